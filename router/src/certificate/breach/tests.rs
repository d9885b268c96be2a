//! What the breach detector promises: soon on a service that is bad, and not on one that is as good as the monolith.

use std::time::SystemTime;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::evidence::{About, Counts, Evidence, Side, Tally};
use crate::evidence::{Outcome, latency::rounded};

/// How answers come about.
#[derive(Clone, Copy)]
struct Nature {
    /// In seconds.
    median: f64,
    /// The standard deviation of the latency's logarithm: 0.5 is a quiet server, 1.2 one with a long tail.
    spread: f64,
    errors: f64,
}

impl Nature {
    fn latency(&self, random: &mut StdRng) -> Duration {
        // Box and Muller, A note on the generation of random normal deviates, 1958.
        let (u, v): (f64, f64) = (random.random_range(f64::EPSILON..1.0), random.random());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        Duration::from_secs_f64(self.median * (self.spread * normal).exp())
    }

    fn status(&self, random: &mut StdRng) -> u16 {
        if random.random_bool(self.errors) { 503 } else { 200 }
    }
}

fn answers(nature: Nature, count: u64, pause: f64, random: &mut StdRng) -> Counts {
    let mut counts = Counts::default();
    for _ in 0..count {
        let class = usize::from(nature.status(random) / 100) - 1;
        counts.classes[class] += 1;
        // Now and then a process stands still, and a few requests wait for it.
        let paused = if random.random_bool(pause) { 0.2 } else { 0.0 };
        let latency = nature.latency(random) + Duration::from_secs_f64(paused);
        counts.latencies.add(rounded(latency), 1);
    }
    counts
}

fn magnitude(range: std::ops::Range<f64>, random: &mut StdRng) -> f64 {
    10f64.powf(random.random_range(range))
}

#[test]
#[expect(clippy::print_stdout, reason = "the rate is worth knowing")]
fn a_healthy_pair_is_left_alone_for_twenty_thousand_windows_of_noise() {
    let (windows, mut alarms, mut seen) = (20_000, 0, 0);
    let mut random = StdRng::seed_from_u64(2026);
    for _ in 0..windows {
        let nature = Nature {
            median: magnitude(-3.3..-1.0, &mut random),
            spread: random.random_range(0.2..1.2),
            errors: random.random_range(0.0..0.005),
        };
        let (many, few) = (magnitude(1.3..2.7, &mut random), magnitude(1.3..2.3, &mut random));
        let pauses: (f64, f64) = (random.random_range(0.0..0.03), random.random_range(0.0..0.03));
        let compared = few as u64;
        let recent = RecentTotals {
            seconds: 10,
            monolith: answers(nature, many as u64, pauses.0, &mut random),
            service: answers(nature, few as u64, pauses.1, &mut random),
            compared,
            mismatches: (0..compared).filter(|_| random.random_bool(0.001)).count() as u64,
            unhealthy: false,
        };
        seen += recent.service.total() + recent.monolith.total();
        if let Some(breach) = breach(&recent, &BreachLimits::default()) {
            println!("false alarm: {breach:?}");
            alarms += 1;
        }
    }
    println!(
        "{alarms} false alarms in {windows} windows of {} requests on average",
        seen / windows
    );
    assert!((alarms as f64) < windows as f64 * 1e-3);
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second)
}

/// Plays some seconds of health and then the change, through tally and evidence as in the router; the seconds of it that it took to
/// see the breach, at most 10.
fn seconds_until_breach(seed: u64, (before, after): (Nature, Nature)) -> (u64, Option<&'static str>) {
    const CHANGE: u64 = 15;
    let mut random = StdRng::seed_from_u64(seed);
    let evidence = Evidence::new(Duration::from_secs(86_400));
    let limits = BreachLimits::default();
    let mut tally = Tally::new();
    for second in 0..CHANGE + 10 {
        let nature = if second < CHANGE { before } else { after };
        for _ in 0..150 {
            tally.note(
                0,
                Side::Monolith,
                before.status(&mut random),
                before.latency(&mut random),
                Outcome::Answered,
            );
        }
        for _ in 0..50 {
            tally.note(
                0,
                Side::Service,
                nature.status(&mut random),
                nature.latency(&mut random),
                Outcome::Answered,
            );
        }
        let about = About {
            route: "r",
            subject: "s",
            monolith: None,
            service: None,
        };
        for (_, side, counts) in tally.drain() {
            evidence.note_traffic(&about, side, &counts, at(second));
        }
        if let Some(breach) = watch(&evidence, ("r", "s"), false, &limits, (at(0), at(second))) {
            assert!(second >= CHANGE, "false alarm: {breach:?}");
            return (second - CHANGE + 1, Some(breach.metric));
        }
    }
    (10, None)
}

const QUIET: Nature = Nature {
    median: 0.005,
    spread: 0.5,
    errors: 0.002,
};

#[test]
fn half_of_all_answers_being_5xx_shows_within_two_seconds() {
    for seed in 0..60 {
        let bad = Nature { errors: 0.5, ..QUIET };
        let (seconds, metric) = seconds_until_breach(seed, (QUIET, bad));
        assert!(
            seconds <= 2 && metric == Some("errors"),
            "seed {seed}: {metric:?} after {seconds} s"
        );
    }
}

#[test]
fn being_ten_times_slower_shows_within_three_seconds() {
    for seed in 0..60 {
        let spread = 0.3 + (seed % 5) as f64 * 0.15;
        let median = [0.001, 0.005, 0.05][seed as usize % 3];
        let before = Nature {
            median,
            spread,
            ..QUIET
        };
        let slow = Nature {
            median: median * 10.0,
            ..before
        };
        let (seconds, metric) = seconds_until_breach(seed, (before, slow));
        assert!(
            seconds <= 3 && metric == Some("latency"),
            "seed {seed}: {metric:?} after {seconds} s"
        );
    }
}

#[test]
fn a_quiet_route_is_judged_over_the_longer_window_and_never_for_what_was_before_its_switch() {
    let evidence = Evidence::new(Duration::from_secs(86_400));
    let about = About {
        route: "r",
        subject: "s",
        monolith: None,
        service: None,
    };
    let one = Counts {
        classes: [0, 0, 0, 0, 1],
        ..Counts::default()
    };
    // One 5xx every two seconds.
    let limits = BreachLimits::default();
    let mut judged = None;
    for second in (0..60).step_by(2) {
        evidence.note_traffic(&about, Side::Service, &one, at(second));
        let found = watch(&evidence, ("r", "s"), false, &limits, (at(0), at(second)));
        judged = judged.or(found.map(|_| second));
    }
    // The second of the switch itself is left out.
    assert_eq!(judged, Some(40));
    let since = |second| watch(&evidence, ("r", "s"), false, &limits, (at(second), at(59)));
    assert!(since(10).is_some());
    assert_eq!((since(40), since(59), since(1_000)), (None, None, None));
    let health = watch(&evidence, ("r", "s"), true, &limits, (at(59), at(59)));
    assert_eq!(health.map(|breach| breach.metric), Some("health"));
}

fn recent(service: [u64; 2], mismatches: (u64, u64)) -> RecentTotals {
    let [good, bad] = service;
    RecentTotals {
        seconds: 10,
        service: Counts {
            classes: [0, good, 0, 0, bad],
            ..Counts::default()
        },
        mismatches: mismatches.0,
        compared: mismatches.1,
        ..RecentTotals::default()
    }
}

fn metric(recent: &RecentTotals) -> Option<&'static str> {
    breach(recent, &BreachLimits::default()).map(|breach| breach.metric)
}

#[test]
fn nothing_seen_and_too_little_seen_are_no_breach() {
    assert_eq!(metric(&RecentTotals::default()), None);
    assert_eq!(metric(&recent([0, 19], (19, 19))), None);
    assert_eq!(metric(&recent([0, 20], (0, 0))), Some("errors"));
    assert_eq!(metric(&recent([20, 0], (20, 20))), Some("mismatches"));
}

#[test]
fn a_breach_is_told_as_a_sentence() {
    let told = |recent: &RecentTotals| breach(recent, &BreachLimits::default()).unwrap().to_string();
    let errors = told(&recent([10, 30], (0, 0)));
    assert!(errors.starts_with("errors: 30 of 40 in "), "{errors}");
    assert!(errors.ends_with(" %; allowed is at most 5.00 %"), "{errors}");
}

#[test]
fn an_upstream_that_is_unhealthy_is_a_breach_without_any_request() {
    let recent = RecentTotals {
        unhealthy: true,
        ..RecentTotals::default()
    };
    let breach = breach(&recent, &BreachLimits::default()).unwrap();
    assert_eq!(
        breach.to_string(),
        "health: the service's circuit is open, for too many requests to it have failed; allowed is a closed circuit"
    );
}

#[test]
fn requests_without_an_answer_are_errors() {
    let mut recent = recent([50, 0], (0, 0));
    recent.service.failed = 20;
    assert_eq!(metric(&recent), Some("errors"));
}

#[test]
fn a_limit_that_is_no_number_counts_as_broken_by_any_data_and_by_none() {
    let broken: [fn(&mut BreachLimits); 3] = [
        |limits| limits.max_errors = f64::NAN,
        |limits| limits.max_mismatch = f64::NAN,
        |limits| limits.z = f64::NAN,
    ];
    for breaking in broken {
        let mut limits = BreachLimits::default();
        breaking(&mut limits);
        assert!(breach(&recent([20, 0], (0, 20)), &limits).is_some());
        assert!(breach(&RecentTotals::default(), &limits).is_none());
    }
}

#[test]
fn a_breach_says_what_was_measured() {
    let told = breach(&recent([50, 50], (0, 0)), &BreachLimits::default()).unwrap();
    assert_eq!(told.bound, "at most 5.00 %");
    assert_eq!(told.value, "50 of 100 in 10 s, surely above 35.63 %");
}
