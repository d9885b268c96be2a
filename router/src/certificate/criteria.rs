//! What must hold for a route to take its next step, one function for each criterion.
//!
//! For [`super::certify`]. Whether a criterion holds is decided in `at_least` and `at_most` alone: both sides must be
//! finite numbers, and the comparison is never negated. So a criterion whose number cannot be had (nothing seen, a division
//! by zero, a metric that nobody measured) does not hold, whoever wrote it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::bounds::clopper_pearson_upper;
use super::limits::Bounds;
use crate::evidence::WindowTotals;
use crate::evidence::bucket::millis;

/// The percentile at which latencies are compared.
const QUANTILE: f64 = 0.99;

/// Groups of differences that are named in a value; the rest is told by number.
const NAMED: usize = 5;

/// One reason for or against a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Criterion {
    /// Its name; one word, or several with hyphens.
    pub name: String,
    /// What is asked, for people.
    pub bound: String,
    /// What there is, for people.
    pub value: String,
    /// What there is, for machines: a number, a share from 0 to 1, seconds, or a ratio. None if there is no such number.
    pub number: Option<f64>,
    /// Whether it speaks for the step.
    pub holds: bool,
}

/// All criteria, in the order in which they are shown.
pub fn all(window: &WindowTotals, bounds: &Bounds, now: SystemTime) -> Vec<Criterion> {
    vec![
        comparisons(window, bounds),
        classes(window, bounds),
        span(window, bounds),
        freshness(window, bounds, now),
        mismatch_rate(window, bounds),
        mismatches(window, bounds),
        unseen(window, bounds),
        errors(window, bounds),
        latency(window, bounds),
        builds(window, bounds),
    ]
}

fn comparisons(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let compared = window.comparisons.compared();
    let bound = format!("at least {}", bounds.min_comparisons);
    at_least(
        "comparisons",
        (bound, compared.to_string()),
        compared as f64,
        bounds.min_comparisons as f64,
    )
}

/// Each class that matters has been compared often enough; the number is that of the class with the fewest.
fn classes(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let answered = window.monolith.answered() as f64;
    let compared = |class: usize| window.comparisons.agreed[class] + window.comparisons.differed[class];
    // A share that is NaN, for want of answers or by the config, makes every class matter.
    let matters = |class: &usize| {
        let share = window.monolith.classes[*class] as f64 / answered;
        !(share <= bounds.class_share && bounds.class_share.is_finite())
    };
    let classes: Vec<usize> = (0..5).filter(matters).collect();
    let fewest = classes.iter().map(|class| compared(*class)).min();
    let told: Vec<String> = classes
        .iter()
        .map(|class| format!("{}xx: {}", class + 1, compared(*class)))
        .collect();
    let value = match window.monolith.answered() {
        0 => "no answers of the monolith".to_owned(),
        _ => told.join(", "),
    };
    let bound = format!(
        "at least {} in each class above {} of the monolith's answers",
        bounds.min_per_class,
        percent(bounds.class_share)
    );
    let fewest = fewest
        .filter(|_| answered > 0.0)
        .map_or(f64::NAN, |fewest| fewest as f64);
    at_least("classes", (bound, value), fewest, bounds.min_per_class as f64)
}

fn span(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let ends = window.comparisons.first.zip(window.comparisons.last);
    let seconds = ends.map_or(f64::NAN, |(first, last)| (last as f64 - first as f64) / 1_000.0);
    let texts = (
        format!("at least {}", time(bounds.min_span)),
        seconds_text(seconds),
    );
    at_least("span", texts, seconds, bounds.min_span.as_secs_f64())
}

/// The last comparison is not long ago; nor in the future, by a clock that goes wrong, where it would stay fresh for ever.
fn freshness(window: &WindowTotals, bounds: &Bounds, now: SystemTime) -> Criterion {
    let last = window.comparisons.last;
    let age = last.map_or(f64::NAN, |last| {
        (millis(now) as f64 - last as f64).abs() / 1_000.0
    });
    let texts = (
        format!("last comparison at most {} ago", time(bounds.max_age)),
        seconds_text(age),
    );
    at_most("freshness", texts, age, bounds.max_age.as_secs_f64())
}

fn mismatch_rate(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let found = (window.comparisons.mismatches(), window.comparisons.compared());
    share("mismatch-rate", found, bounds.max_mismatch, bounds.confidence)
}

fn mismatches(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let mismatches = window.comparisons.mismatches();
    let compared = window.comparisons.compared();
    let value = match (mismatches, compared) {
        (_, 0) => "nothing compared".to_owned(),
        (0, _) => "0".to_owned(),
        _ => format!("{mismatches}, in {}", names(&window.comparisons.groups)),
    };
    let number = if compared > 0 { mismatches as f64 } else { f64::NAN };
    let bound = format!("at most {}", bounds.max_mismatches);
    at_most("mismatches", (bound, value), number, bounds.max_mismatches as f64)
}

fn unseen(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let unseen = window.comparisons.unseen();
    let all = unseen.saturating_add(window.comparisons.compared());
    let number = unseen as f64 / all as f64;
    let mut value = match all {
        0 => "nothing copied".to_owned(),
        _ => format!("{} ({unseen} of {all})", percent(number)),
    };
    if unseen > 0 {
        let mut reasons = window.comparisons.reasons.clone();
        let drops = window.comparisons.drops.iter();
        let drops = drops.filter(|(reason, _)| reason.as_str() != crate::evidence::SAMPLING);
        reasons.extend(drops.map(|(reason, count)| (reason.clone(), *count)));
        reasons
            .extend((window.comparisons.lagged > 0).then_some(("lag".to_owned(), window.comparisons.lagged)));
        value = format!("{value}: {}", names(&reasons));
    }
    let bound = format!("at most {} without a verdict", percent(bounds.max_unseen));
    at_most("unseen", (bound, value), number, bounds.max_unseen)
}

/// Errors of the service, but for those where the monolith erred too and the pair was found to agree.
fn errors(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let errors = window
        .service
        .errors()
        .saturating_sub(window.comparisons.agreed[4]);
    let found = (errors, window.service.total());
    share("service-errors", found, bounds.max_errors, bounds.confidence)
}

fn latency(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let (monolith, service) = (&window.monolith.latencies, &window.service.latencies);
    let fewest = monolith.len().min(service.len());
    let bound = format!(
        "p99 at most {} × the monolith's or {} more, by {} answers each",
        bounds.max_latency_ratio,
        time(bounds.latency_slack),
        bounds.min_latencies
    );
    let quantiles = monolith.quantile(QUANTILE).zip(service.quantile(QUANTILE));
    let quantiles = quantiles.filter(|_| fewest >= bounds.min_latencies.max(1));
    let Some((monolith, service)) = quantiles else {
        let value = format!("{fewest} answers");
        return at_most("latency", (bound, value), f64::NAN, bounds.max_latency_ratio);
    };
    let ratio = service.as_secs_f64() / monolith.as_secs_f64();
    let value = format!("{ratio:.2} × ({service:.1?} against {monolith:.1?})");
    let within_slack = service <= monolith.saturating_add(bounds.latency_slack);
    let mut criterion = at_most("latency", (bound, value), ratio, bounds.max_latency_ratio);
    criterion.holds |= within_slack && ratio.is_finite() && bounds.max_latency_ratio.is_finite();
    criterion
}

/// Both sides say which build they are. That it is one build each, the window sees to: it begins when the last other one
/// answered.
fn builds(window: &WindowTotals, bounds: &Bounds) -> Criterion {
    let told = |build: &Option<String>| build.clone().unwrap_or_else(|| "unknown".to_owned());
    let builds = [&window.builds.monolith, &window.builds.service];
    let known = builds.iter().filter(|build| build.is_some()).count() as f64;
    let (bound, least) = match bounds.require_build {
        true => ("one known on each side", 2.0),
        false => ("not asked", 0.0),
    };
    let value = format!("monolith {}, service {}", told(builds[0]), told(builds[1]));
    at_least("builds", (bound.to_owned(), value), known, least)
}

/// The upper bound of a share.
fn share(name: &str, (found, seen): (u64, u64), limit: f64, confidence: f64) -> Criterion {
    let upper = clopper_pearson_upper(found, seen, confidence);
    let bound = format!(
        "at most {} with {} confidence",
        percent(limit),
        percent(confidence)
    );
    let value = match seen {
        0 => "nothing seen".to_owned(),
        _ => format!("{found} of {seen}, so at most {}", percent(upper)),
    };
    at_most(name, (bound, value), upper, limit)
}

fn at_least(name: &str, texts: (String, String), number: f64, bound: f64) -> Criterion {
    criterion(name, texts, number, bound.is_finite() && number >= bound)
}

fn at_most(name: &str, texts: (String, String), number: f64, bound: f64) -> Criterion {
    criterion(name, texts, number, bound.is_finite() && number <= bound)
}

fn criterion(name: &str, (bound, value): (String, String), number: f64, holds: bool) -> Criterion {
    // Nine decimals are more than anybody reads, and few enough to come back from JSON as they went there: the
    // certificate's id is a hash of them.
    let rounded = (number * 1e9).round() / 1e9;
    Criterion {
        name: name.to_owned(),
        bound,
        value,
        number: Some(rounded).filter(|number| number.is_finite()),
        holds: holds && number.is_finite(),
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text.as_str(),
    };
    format!("{text} %")
}

fn seconds_text(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "nothing compared".to_owned(), time)
}

/// As the config writes it, two units at the most: `90s` is `1m 30s`.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) if !time.is_zero() => format!("{}ms", time.as_millis()),
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, 0, _) => format!("{hours}h"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}

/// The most frequent names with their counts.
fn names(counts: &BTreeMap<String, u64>) -> String {
    let mut sorted: Vec<(&String, &u64)> = counts.iter().collect();
    sorted.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let told: Vec<String> = sorted
        .iter()
        .take(NAMED)
        .map(|(name, count)| format!("{name} ({count})"))
        .collect();
    match sorted.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", told.join(", ")),
        None => told.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_no_number_is_on_the_right_side_of_anything() {
        let texts = || (String::new(), String::new());
        for no_number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for judged in [
                at_least("x", texts(), no_number, 0.0),
                at_most("x", texts(), no_number, 0.0),
                at_least("x", texts(), 0.0, no_number),
                at_most("x", texts(), 0.0, no_number),
                at_least("x", texts(), no_number, no_number),
                at_most("x", texts(), no_number, no_number),
            ] {
                assert!(!judged.holds && judged.number.is_none_or(|number| number == 0.0));
            }
        }
        assert!(at_least("x", texts(), 0.0, 0.0).holds && at_most("x", texts(), 0.0, 0.0).holds);
    }
}
