//! Whether a service hurts its clients now: a pure function of the last seconds.
//!
//! For the auto-promotion controller, which asks each second ([`watch`]) and reverts on a breach. A revert is cheap but not free, and the
//! question is put a hundred thousand times a day for each route; so a breach must be sure. A share is beyond its limit only
//! if its lower bound by Wilson is. Latencies are compared at the 90th percentile: enough of a slow tail that a service
//! which is slow for one request in ten shows, and, since the window slides, a service that has just become slow shows when
//! a tenth of the window is past. The 99th would need some hundred requests to mean anything, and one garbage collection moves it.
//! Here too the surer ends are taken: what the service's percentile is at least, against what the monolith's is at most.
//!
//! This is no evidence *for* anything: no data is no breach. It may only ever take trust away; giving it is for
//! certificates.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::bounds::{wilson, wilson_at};
use super::limits::BreachLimits;
use crate::evidence::{Evidence, Latencies, RecentTotals};

/// The percentile at which latencies are compared.
const QUANTILE: f64 = 0.9;

/// A service that is beyond a limit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Breach {
    /// What was measured: `health`, `errors`, `mismatches` or `latency`.
    pub metric: &'static str,
    /// The limit, for people.
    pub bound: String,
    /// What it was, for people.
    pub value: String,
}

impl fmt::Display for Breach {
    /// `errors: 30 of 40 in 5 s, surely above 51.32 %; allowed is at most 5.00 %`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; allowed is {}", self.metric, self.value, self.bound)
    }
}

/// Looks for a breach in each of the windows that the limits name, up to now. None reaches back before `since`, the route's
/// last switch: what a step before it did wrong was judged then, and would undo a mended one.
pub fn watch(
    evidence: &Evidence,
    (route, subject): (&str, &str),
    unhealthy: bool,
    limits: &BreachLimits,
    (since, now): (SystemTime, SystemTime),
) -> Option<Breach> {
    // Whole seconds that lie behind the switch, and the one that is running.
    let past = now.duration_since(since).map_or(1, |past| past.as_secs().max(1));
    let mut windows = limits.windows.iter();
    windows.find_map(|window| {
        let window = Duration::from_secs(window.as_secs().min(past));
        let mut recent = evidence.recent(route, subject, window, now);
        recent.unhealthy = unhealthy;
        breach(&recent, limits)
    })
}

/// The first limit that is surely broken, if any.
pub fn breach(recent: &RecentTotals, limits: &BreachLimits) -> Option<Breach> {
    health(recent)
        .or_else(|| errors(recent, limits))
        .or_else(|| mismatches(recent, limits))
        .or_else(|| latency(recent, limits))
}

fn health(recent: &RecentTotals) -> Option<Breach> {
    recent.unhealthy.then(|| Breach {
        metric: "health",
        bound: "a closed circuit".to_owned(),
        value: "the service's circuit is open, for too many requests to it have failed".to_owned(),
    })
}

fn errors(recent: &RecentTotals, limits: &BreachLimits) -> Option<Breach> {
    let (errors, total) = (recent.service.errors(), recent.service.total());
    share("errors", (errors, total), limits.max_errors, recent, limits)
}

fn mismatches(recent: &RecentTotals, limits: &BreachLimits) -> Option<Breach> {
    let found = (recent.mismatches, recent.compared);
    share("mismatches", found, limits.max_mismatch, recent, limits)
}

fn share(
    metric: &'static str,
    (found, seen): (u64, u64),
    limit: f64,
    recent: &RecentTotals,
    limits: &BreachLimits,
) -> Option<Breach> {
    let (surely, _) = wilson(found, seen, limits.z);
    // Written so that a limit that is no number is broken, for nobody may go on trusting what it was to bound.
    let within = surely <= limit;
    let judged = seen >= limits.min_requests.max(1);
    (judged && !within).then(|| Breach {
        metric,
        bound: format!("at most {:.2} %", limit * 100.0),
        value: format!(
            "{found} of {seen} in {} s, surely above {:.2} %",
            recent.seconds,
            surely * 100.0
        ),
    })
}

fn latency(recent: &RecentTotals, limits: &BreachLimits) -> Option<Breach> {
    let (_, monolith) = percentile(&recent.monolith.latencies, limits)?;
    let (service, _) = percentile(&recent.service.latencies, limits)?;
    let ratio = service.as_secs_f64() / monolith.as_secs_f64();
    let within =
        ratio <= limits.max_latency_ratio || service <= monolith.saturating_add(limits.latency_slack);
    (!within).then(|| Breach {
        metric: "latency",
        bound: format!(
            "p90 at most {} × the monolith's, or {:?} more",
            limits.max_latency_ratio, limits.latency_slack
        ),
        value: format!(
            "p90 surely above {service:.1?}, {ratio:.1} × the monolith's, which is at most {monolith:.1?}, in {} s",
            recent.seconds
        ),
    })
}

/// What the percentile is at least and at most: the sample's own percentiles at the ends of Wilson's interval around it.
fn percentile(latencies: &Latencies, limits: &BreachLimits) -> Option<(Duration, Duration)> {
    let seen = latencies.len();
    if seen < limits.min_requests.max(1) {
        return None;
    }
    let (low, high) = wilson_at(QUANTILE, seen, limits.z);
    Some((latencies.quantile(low)?, latencies.quantile(high)?))
}

#[cfg(test)]
mod tests;
