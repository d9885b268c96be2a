//! Certificates: whether the evidence allows a route's next step, criterion by criterion.
//!
//! For `banyan certify`, for promotions, which need one that holds, and for the audit log, which keeps it. Pure: the same
//! evidence at the same time gives the same certificate. A certificate says *pass* only if every criterion holds, and a
//! criterion holds only if a number that exists is on the right side of a bound that exists. So no data, an unknown metric
//! or a NaN is *hold*; there is no way of writing a criterion that forgets it ([`criteria`]).
//!
//! A certificate is about one route, one step, one subject (see [`crate::evidence`]) and one pair of builds, for a while. It
//! must be asked whether it is still about what is there before something is done on its word
//! ([`Certificate::is_valid_for`]).

pub mod bounds;
pub mod breach;
pub mod criteria;
pub mod limits;

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use breach::{Breach, breach};
pub use criteria::Criterion;
pub use limits::{Bounds, BreachLimits};

use crate::evidence::{Builds, WindowTotals};

/// What a certificate is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The route's name.
    pub route: String,
    /// The mode that the route is in, as in the config: `shadow`, `canary 5 %`.
    pub from: String,
    /// The mode that it is to go to.
    pub to: String,
    /// A hash of the whole config file, to tell later what it said.
    pub config_hash: String,
    /// The subject of the evidence; if it changes, the certificate is void.
    pub subject_hash: String,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every criterion holds: the step may be taken.
    Pass,
    /// Some do not: the route stays where it is.
    Hold,
}

/// Whether one route may take one step, and what speaks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Certificate {
    /// A hash of everything else in here.
    pub id: String,
    /// The route's name.
    pub route: String,
    /// The mode that the route was in.
    pub from: String,
    /// The mode that it may go to, or not.
    pub to: String,
    /// What it says.
    pub verdict: Verdict,
    /// The reasons, in the order of [`criteria::all`].
    pub criteria: Vec<Criterion>,
    /// When the first evidence was noted; none if there is none.
    pub window_start: Option<DateTime<Utc>>,
    /// When the last evidence was noted.
    pub window_end: Option<DateTime<Utc>>,
    /// A hash of the config file as it was.
    pub config_hash: String,
    /// What the evidence is about.
    pub subject_hash: String,
    /// The monolith's build, if known.
    pub monolith_build: Option<String>,
    /// The service's build, if known.
    pub service_build: Option<String>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Asks every criterion.
pub fn certify(subject: &Subject, window: &WindowTotals, bounds: &Bounds, now: SystemTime) -> Certificate {
    let criteria = criteria::all(window, bounds, now);
    let verdict = match criteria.iter().all(|criterion| criterion.holds) {
        true => Verdict::Pass,
        false => Verdict::Hold,
    };
    let issued_at = DateTime::<Utc>::from(now);
    let ttl = chrono::TimeDelta::from_std(bounds.ttl).ok();
    let expires_at = ttl.and_then(|ttl| issued_at.checked_add_signed(ttl));
    let mut certificate = Certificate {
        id: String::new(),
        route: subject.route.clone(),
        from: subject.from.clone(),
        to: subject.to.clone(),
        verdict,
        criteria,
        window_start: window.begins.map(DateTime::from),
        window_end: window.ends.map(DateTime::from),
        config_hash: subject.config_hash.clone(),
        subject_hash: subject.subject_hash.clone(),
        monolith_build: window.builds.monolith.clone(),
        service_build: window.builds.service.clone(),
        issued_at,
        // A time that no calendar has is none to rely on.
        expires_at: expires_at.unwrap_or(issued_at),
    };
    certificate.id = certificate.hash();
    certificate
}

impl Certificate {
    /// Whether it allows the step now: it passed, is about this subject and these builds, has begun and not ended, and
    /// nobody changed it since.
    pub fn is_valid_for(&self, subject_hash: &str, builds: &Builds, now: SystemTime) -> bool {
        let now = DateTime::<Utc>::from(now);
        self.verdict == Verdict::Pass
            && !self.criteria.is_empty()
            && self.criteria.iter().all(|criterion| criterion.holds)
            && self.subject_hash == subject_hash
            && self.monolith_build == builds.monolith
            && self.service_build == builds.service
            && self.issued_at <= now
            && now < self.expires_at
            && self.id == self.hash()
    }

    /// The criteria that do not hold.
    pub fn failing(&self) -> impl Iterator<Item = &Criterion> {
        self.criteria.iter().filter(|criterion| !criterion.holds)
    }

    /// 32 hexadecimal digits of SHA-256 over the content without the id.
    fn hash(&self) -> String {
        let content = Self {
            id: String::new(),
            ..self.clone()
        };
        // What cannot be written as JSON gets an id that no certificate has again.
        let text = serde_json::to_vec(&content).unwrap_or_default();
        let digest = Sha256::digest(text);
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
