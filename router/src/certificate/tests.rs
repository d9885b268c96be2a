//! What certificates promise: every way of not knowing is hold, every limit that is broken is hold, the rest passes.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::evidence::latency::rounded;
use crate::evidence::{Comparison, Comparisons, Counts};

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second)
}

const NOW: u64 = 3_600;

fn subject() -> Subject {
    Subject {
        route: "get-product".to_owned(),
        from: "shadow".to_owned(),
        to: "canary 5 %".to_owned(),
        config_hash: "c0ffee".to_owned(),
        subject_hash: "5ab1e".to_owned(),
    }
}

fn side(micros: u64) -> Counts {
    let mut counts = Counts {
        classes: [0, 1_900, 0, 100, 0],
        ..Counts::default()
    };
    for n in 0..2_000u64 {
        counts
            .latencies
            .add(rounded(Duration::from_micros(micros + n * micros / 1_000)), 1);
    }
    counts
}

/// Two thousand comparisons over an hour without a flaw.
fn good() -> WindowTotals {
    let mut comparisons = Comparisons::default();
    for n in 0..2_000u64 {
        let status = if n % 20 == 0 { 404 } else { 200 };
        comparisons.note(status, Comparison::Equal, at(n * NOW / 2_000));
    }
    WindowTotals {
        builds: Builds {
            monolith: Some("m1".to_owned()),
            service: Some("s1".to_owned()),
        },
        begins: Some(at(0)),
        ends: Some(at(NOW)),
        monolith: side(20_000),
        service: side(22_000),
        comparisons,
    }
}

fn certificate(window: &WindowTotals, bounds: &Bounds) -> Certificate {
    certify(&subject(), window, bounds, at(NOW))
}

fn failing(window: &WindowTotals, bounds: &Bounds) -> Vec<String> {
    let certificate = certificate(window, bounds);
    let failing: Vec<String> = certificate
        .failing()
        .map(|criterion| criterion.name.clone())
        .collect();
    assert_eq!(certificate.verdict == Verdict::Pass, failing.is_empty());
    failing
}

#[test]
fn good_evidence_passes_by_every_criterion() {
    let strict = Bounds {
        require_build: true,
        ..Bounds::default()
    };
    for bounds in [Bounds::default(), strict] {
        assert_eq!(failing(&good(), &bounds), [""; 0]);
    }
}

#[test]
fn no_evidence_holds_whatever_the_bounds() {
    let lax = Bounds {
        min_comparisons: 0,
        min_per_class: 0,
        min_span: Duration::ZERO,
        max_age: Duration::MAX,
        max_mismatch: 1.0,
        max_mismatches: u64::MAX,
        max_unseen: 1.0,
        max_errors: 1.0,
        max_latency_ratio: 1e9,
        latency_slack: Duration::MAX,
        min_latencies: 0,
        ..Bounds::default()
    };
    for bounds in [Bounds::default(), lax] {
        let failing = failing(&WindowTotals::default(), &bounds);
        for name in [
            "classes",
            "span",
            "freshness",
            "mismatch-rate",
            "mismatches",
            "unseen",
            "service-errors",
            "latency",
        ] {
            assert!(
                failing.iter().any(|failed| failed == name),
                "{name} holds on nothing"
            );
        }
    }
}

#[test]
fn what_is_missing_is_told_in_words_and_never_as_no_number() {
    let nothing = certificate(&WindowTotals::default(), &Bounds::default());
    for criterion in &nothing.criteria {
        let told = criterion.value.to_ascii_lowercase();
        assert!(
            !told.contains("nan") && !told.contains("inf"),
            "{}: {told}",
            criterion.name
        );
    }
    let unseen = nothing
        .criteria
        .iter()
        .find(|criterion| criterion.name == "unseen");
    assert_eq!(unseen.unwrap().value, "nothing copied");
}

/// What is done to a window, and the criteria that must not hold then.
type Flaw = (fn(&mut WindowTotals), &'static [&'static str]);

const FLAWS: [Flaw; 14] = [
    (|window| window.comparisons.agreed[1] = 500, &["comparisons"]),
    (|window| window.comparisons.agreed[3] = 19, &["classes"]),
    (|window| window.monolith.classes[2] = 50, &["classes"]),
    (|window| window.monolith.classes = [0; 5], &["classes"]),
    (
        |window| window.comparisons.first = window.comparisons.last,
        &["span"],
    ),
    (
        |window| window.comparisons.last = Some(crate::evidence::bucket::millis(at(NOW - 301))),
        &["freshness"],
    ),
    (
        |window| window.comparisons.last = Some(crate::evidence::bucket::millis(at(NOW + 301))),
        &["freshness"],
    ),
    (|window| window.comparisons.differed[1] = 1, &["mismatches"]),
    (
        |window| window.comparisons.differed[1] = 20,
        &["mismatch-rate", "mismatches"],
    ),
    (
        |window| window.comparisons.note_drops("queue-full", 600),
        &["unseen"],
    ),
    (|window| window.comparisons.lagged = 600, &["unseen"]),
    (|window| window.service.failed = 30, &["service-errors"]),
    (|window| window.service.classes[4] = 30, &["service-errors"]),
    (|window| window.service = side(32_000), &["latency"]),
];

#[test]
fn each_flaw_is_found_by_its_criterion_and_by_no_other() {
    for (number, (flaw, names)) in FLAWS.iter().enumerate() {
        let mut window = good();
        flaw(&mut window);
        assert_eq!(failing(&window, &Bounds::default()), *names, "flaw {number}");
    }
}

#[test]
fn limits_can_be_loosened_one_by_one() {
    let mut window = good();
    window.comparisons.differed[1] = 3;
    let forgiving = Bounds {
        max_mismatches: 3,
        ..Bounds::default()
    };
    assert_eq!(failing(&window, &forgiving), [""; 0]);
    window.builds.service = None;
    assert_eq!(failing(&window, &forgiving), [""; 0]);
    let strict = Bounds {
        require_build: true,
        ..forgiving
    };
    assert_eq!(failing(&window, &strict), ["builds"]);
}

#[test]
fn sampling_is_forgiven_and_so_are_errors_that_both_sides_made_and_small_absolute_delays() {
    let mut window = good();
    window
        .comparisons
        .note_drops(crate::evidence::SAMPLING, 1_000_000);
    (0..200).for_each(|_| window.comparisons.note(500, Comparison::Equal, at(NOW)));
    window.monolith.classes[4] = 200;
    window.service.classes[4] = 200;
    (window.monolith, window.service) = (
        Counts {
            latencies: side(300).latencies,
            ..window.monolith
        },
        Counts {
            latencies: side(1_500).latencies,
            ..window.service
        },
    );
    assert_eq!(failing(&window, &Bounds::default()), [""; 0]);
}

/// How a bound is set, and the criterion that must not hold if it is set to no number.
type Slip = (fn(&mut Bounds, f64), &'static str);

#[test]
fn a_bound_that_is_no_number_holds_by_its_criterion() {
    for limit in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let broken: [Slip; 5] = [
            (|bounds, limit| bounds.max_mismatch = limit, "mismatch-rate"),
            (|bounds, limit| bounds.max_unseen = limit, "unseen"),
            (|bounds, limit| bounds.max_errors = limit, "service-errors"),
            (|bounds, limit| bounds.max_latency_ratio = limit, "latency"),
            (|bounds, limit| bounds.confidence = limit, "mismatch-rate"),
        ];
        for (breaking, name) in broken {
            let mut bounds = Bounds::default();
            breaking(&mut bounds, limit);
            assert!(
                failing(&good(), &bounds).iter().any(|failed| failed == name),
                "{name} at {limit}"
            );
        }
        // Every class matters then, also those that never occurred.
        let bounds = Bounds {
            class_share: limit,
            ..Bounds::default()
        };
        assert_eq!(failing(&good(), &bounds), ["classes"]);
    }
}

#[test]
fn evidence_that_gets_worse_never_turns_hold_into_pass() {
    let mut random = StdRng::seed_from_u64(11);
    let (mut passed, mut held) = (0, 0);
    for _ in 0..400 {
        let mut window = good();
        let scale = random.random_range(0..8) * 10;
        window.comparisons.differed[1] = random.random_range(0..=scale) / 10;
        window.comparisons.incomparable = random.random_range(0..=scale) * 20;
        window.service.failed = random.random_range(0..=scale) / 2;
        let bounds = Bounds {
            max_mismatches: 2,
            ..Bounds::default()
        };
        let before = certificate(&window, &bounds).verdict;
        match before {
            Verdict::Pass => passed += 1,
            Verdict::Hold => held += 1,
        }
        let worsen: [fn(&mut WindowTotals); 4] = [
            |window| window.comparisons.differed[3] += 1,
            |window| window.comparisons.incomparable += 1,
            |window| window.service.classes[4] += 1,
            |window| window.comparisons.note_drops("no-room", 1),
        ];
        worsen[random.random_range(0..4)](&mut window);
        let after = certificate(&window, &bounds).verdict;
        assert!(before == Verdict::Pass || after == Verdict::Hold);
    }
    assert!(
        passed > 50 && held > 50,
        "{passed} passed, {held} held: the trial tries nothing"
    );
}

#[test]
fn a_certificate_is_good_for_its_subject_its_builds_and_its_time_alone() {
    let window = good();
    let certificate = certificate(&window, &Bounds::default());
    let valid = |certificate: &Certificate, subject: &str, builds: &Builds, second: u64| {
        certificate.is_valid_for(subject, builds, at(second))
    };
    let other = Builds {
        service: Some("s2".to_owned()),
        ..window.builds.clone()
    };
    assert!(valid(&certificate, "5ab1e", &window.builds, NOW));
    assert!(valid(&certificate, "5ab1e", &window.builds, NOW + 3_599));
    assert!(!valid(&certificate, "5ab1e", &window.builds, NOW + 3_600));
    assert!(!valid(&certificate, "5ab1e", &window.builds, NOW - 1));
    assert!(!valid(&certificate, "0ther", &window.builds, NOW));
    assert!(!valid(&certificate, "5ab1e", &other, NOW));
    let endless = Bounds {
        ttl: Duration::MAX,
        ..Bounds::default()
    };
    let endless = certify(&subject(), &window, &endless, at(NOW));
    assert!(!valid(&endless, "5ab1e", &window.builds, NOW));
}

#[test]
fn a_certificate_comes_back_from_json_as_it_was_and_not_changed() {
    let mut window = good();
    for differed in 0..300 {
        window.comparisons.differed[1] = differed;
        window.service.failed = differed / 7;
        let certificate = certificate(&window, &Bounds::default());
        let text = serde_json::to_string(&certificate).unwrap();
        let back: Certificate = serde_json::from_str(&text).unwrap();
        assert_eq!(back, certificate);
        assert_eq!(back.hash(), back.id, "{text}");
    }
    let held = certificate(&window, &Bounds::default());
    let forged = serde_json::to_string(&held).unwrap();
    let forged = forged
        .replace("\"hold\"", "\"pass\"")
        .replace("\"holds\":false", "\"holds\":true");
    let forged: Certificate = serde_json::from_str(&forged).unwrap();
    assert_eq!(forged.verdict, Verdict::Pass);
    assert!(!forged.is_valid_for("5ab1e", &window.builds, at(NOW)));
    assert!(!held.is_valid_for("5ab1e", &window.builds, at(NOW)));
}

#[test]
fn what_is_shown_reads_well() {
    let mut window = good();
    let groups: Vec<String> = (0..7).map(|n| format!("$.field{n}")).collect();
    window
        .comparisons
        .note(200, Comparison::Mismatch(&groups), at(NOW));
    window
        .comparisons
        .note(200, Comparison::Incomparable("too-large"), at(NOW));
    let certificate = certificate(&window, &Bounds::default());
    let shown: Vec<String> = certificate
        .criteria
        .iter()
        .map(|criterion| format!("{}: {} ({})", criterion.name, criterion.value, criterion.bound))
        .collect();
    let expected = [
        "comparisons: 2001 (at least 1000)",
        "classes: 2xx: 1901, 4xx: 100 (at least 20 in each class above 1 % of the monolith's answers)",
        "span: 1h (at least 10m)",
        "freshness: 0s (last comparison at most 5m ago)",
        "mismatch-rate: 1 of 2001, so at most 0.237 % (at most 0.5 % with 95 % confidence)",
        "mismatches: 1, in $.field0 (1), $.field1 (1), $.field2 (1), $.field3 (1), $.field4 (1) and 2 more (at most 0)",
        "unseen: 0.05 % (1 of 2002): too-large (1) (at most 20 % without a verdict)",
        "service-errors: 0 of 2000, so at most 0.15 % (at most 1 % with 95 % confidence)",
        "latency: 1.11 × (66.0ms against 59.6ms) (p99 at most 1.5 × the monolith's or 5ms more, by 200 answers each)",
        "builds: monolith m1, service s1 (not asked)",
    ];
    for (shown, expected) in shown.iter().zip(expected) {
        assert_eq!(shown, expected);
    }
}
