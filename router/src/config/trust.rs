//! `[certificate]` and `[promotion]`: what evidence a promotion needs, in which steps it goes, and what takes trust away.
//!
//! For the certificates and the auto-promotion controller. Shares are percentages in the file and shares of one behind it.

use std::time::Duration;

use super::comparison::percentage;
use super::document::judged;
use super::reader::{Reader, Section};
use super::values::{self, Complaint, Percent};
use crate::certificate::{Bounds, BreachLimits};

/// How a route goes from the monolith to the service.
#[derive(Debug, Clone, PartialEq)]
pub struct Promotion {
    /// The shares of the canary, rising, between shadow and service.
    pub steps: Vec<Percent>,
    /// How long a route of an automatic module stays at each step at the least.
    pub interval: Duration,
    /// What makes an automatic module's route go back to the monolith.
    pub breach: BreachLimits,
}

impl Default for Promotion {
    fn default() -> Self {
        Self {
            steps: [100, 1_000, 2_500, 5_000].map(Percent::of).to_vec(),
            interval: Duration::from_mins(10),
            breach: BreachLimits::default(),
        }
    }
}

pub(super) fn certificate(reader: &Reader<'_>, section: Option<Section<'_>>) -> Bounds {
    let mut bounds = Bounds::default();
    let Some(section) = section else { return bounds };
    let keys = Keys {
        reader,
        section: &section,
    };
    keys.count("min_comparisons", &mut bounds.min_comparisons);
    keys.count("min_per_class", &mut bounds.min_per_class);
    keys.share("class_share", &mut bounds.class_share);
    keys.time("min_span", &mut bounds.min_span);
    keys.time("max_age", &mut bounds.max_age);
    keys.share("max_mismatch", &mut bounds.max_mismatch);
    keys.count("max_mismatches", &mut bounds.max_mismatches);
    keys.share("max_unseen", &mut bounds.max_unseen);
    keys.share("max_errors", &mut bounds.max_errors);
    keys.ratio("max_latency_ratio", &mut bounds.max_latency_ratio);
    keys.time("latency_slack", &mut bounds.latency_slack);
    keys.count("min_latencies", &mut bounds.min_latencies);
    if let Some(flag) = section.flag("require_build") {
        bounds.require_build = flag.value;
    }
    keys.share("confidence", &mut bounds.confidence);
    keys.time("ttl", &mut bounds.ttl);
    section.finish();
    bounds
}

pub(super) fn promotion(reader: &Reader<'_>, section: Option<Section<'_>>) -> Promotion {
    let mut promotion = Promotion::default();
    let Some(section) = section else {
        return promotion;
    };
    let keys = Keys {
        reader,
        section: &section,
    };
    if let Some(steps) = steps(reader, &section) {
        promotion.steps = steps;
    }
    let breach = &mut promotion.breach;
    keys.time("interval", &mut promotion.interval);
    keys.count("min_requests", &mut breach.min_requests);
    keys.share("max_errors", &mut breach.max_errors);
    keys.share("max_mismatch", &mut breach.max_mismatch);
    keys.ratio("max_latency_ratio", &mut breach.max_latency_ratio);
    keys.time("latency_slack", &mut breach.latency_slack);
    section.finish();
    promotion
}

/// The steps, which must rise and stay between nobody and everybody.
fn steps(reader: &Reader<'_>, section: &Section<'_>) -> Option<Vec<Percent>> {
    let entries = section.numbers("steps")?;
    let (place, remedy) = (entries.span.clone(), "write such as steps = [1, 10, 50]");
    let shares = entries.value.into_iter();
    let shares: Vec<Percent> = shares
        .filter_map(|text| judged(reader, Some(text), Percent::parse))
        .map(|share| share.value)
        .collect();
    let rises = shares.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = shares
        .iter()
        .all(|share| (1..10_000).contains(&share.threshold()));
    if shares.is_empty() || !rises || !inside {
        let reason = "the steps must rise, above 0 and below 100".to_owned();
        reader.fault(&place, &entries.key, reason, remedy);
        return None;
    }
    Some(shares)
}

/// Reads keys into settings that have a default.
struct Keys<'r> {
    reader: &'r Reader<'r>,
    section: &'r Section<'r>,
}

impl Keys<'_> {
    fn count(&self, key: &'static str, setting: &mut u64) {
        let read = judged(self.reader, self.section.number(key), |text| {
            values::whole(text, 0..=1_000_000_000)
        });
        *setting = read.map_or(*setting, |read| read.value as u64);
    }

    fn share(&self, key: &'static str, setting: &mut f64) {
        let read = judged(self.reader, self.section.number(key), percentage);
        *setting = read.map_or(*setting, |read| read.value / 100.0);
    }

    fn ratio(&self, key: &'static str, setting: &mut f64) {
        let read = judged(self.reader, self.section.number(key), ratio);
        *setting = read.map_or(*setting, |read| read.value);
    }

    fn time(&self, key: &'static str, setting: &mut Duration) {
        let read = judged(self.reader, self.section.text(key), values::duration);
        *setting = read.map_or(*setting, |read| read.value);
    }
}

fn ratio(text: &str) -> Result<f64, Complaint> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (1.0..=1000.0).contains(number))
        .ok_or_else(|| {
            (
                format!("{text} is not between 1 and 1000"),
                "give a ratio such as 1.5".to_owned(),
            )
        })
}
