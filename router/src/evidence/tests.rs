//! What the shared evidence promises: subjects and builds apart, everything counted once, memory bounded.

use std::sync::Arc;

use super::*;

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second)
}

fn about<'a>(subject: &'a str, service: &'a str) -> About<'a> {
    About {
        route: "get-product",
        subject,
        monolith: Some("m1"),
        service: Some(service),
    }
}

fn answers(count: u64, micros: u32) -> Counts {
    let mut counts = Counts {
        classes: [0, count, 0, 0, 0],
        ..Counts::default()
    };
    for n in 0..count as u32 {
        counts
            .latencies
            .add(latency::rounded(Duration::from_micros(u64::from(micros + n))), 1);
    }
    counts
}

fn day() -> Evidence {
    Evidence::new(Duration::from_secs(24 * 3_600))
}

#[test]
fn what_is_noted_shows_in_both_windows() {
    let evidence = day();
    let about = about("s", "1");
    for second in 0..600 {
        evidence.note_traffic(&about, Side::Monolith, &answers(3, 100), at(second));
        evidence.note_traffic(&about, Side::Service, &answers(2, 200), at(second));
        evidence.note_comparison(&about, 200, Comparison::Equal, at(second));
    }
    let groups = ["$.price".to_owned()];
    evidence.note_comparison(&about, 404, Comparison::Mismatch(&groups), at(599));
    evidence.note_noise(&about, &groups, at(599));
    evidence.note_drop(&about, "queue-full", at(599));
    let recent = evidence.recent("get-product", "s", Duration::from_secs(10), at(599));
    assert_eq!((recent.monolith.total(), recent.service.total()), (30, 20));
    assert_eq!((recent.compared, recent.mismatches), (11, 1));
    let window = evidence.window("get-product", "s", at(0), at(600));
    assert_eq!(
        (window.monolith.total(), window.service.latencies.len()),
        (1_800, 1_200)
    );
    let comparisons = &window.comparisons;
    assert_eq!((comparisons.agreed[1], comparisons.differed[3]), (600, 1));
    assert_eq!(
        (
            comparisons.noise.get("$.price"),
            comparisons.drops.get("queue-full")
        ),
        (Some(&1), Some(&1))
    );
    assert_eq!(
        comparisons
            .last
            .zip(comparisons.first)
            .map(|(last, first)| last - first),
        Some(599_000)
    );
}

#[test]
fn another_subject_has_no_evidence_and_takes_none_away() {
    let evidence = day();
    evidence.note_traffic(&about("old", "1"), Side::Service, &answers(5, 100), at(0));
    assert_eq!(
        evidence.window("get-product", "new", at(0), at(1)),
        WindowTotals::default()
    );
    evidence.note_traffic(&about("new", "1"), Side::Service, &answers(1, 100), at(1));
    evidence.note_traffic(&about("old", "1"), Side::Service, &answers(5, 100), at(1));
    let total = |subject| {
        evidence
            .window("get-product", subject, at(0), at(1))
            .service
            .total()
    };
    assert_eq!((total("old"), total("new"), total("other")), (10, 1, 0));
}

#[test]
fn a_new_build_begins_a_new_window_for_certificates_and_none_for_breaches() {
    let evidence = day();
    evidence.note_traffic(&about("s", "1"), Side::Service, &answers(5, 100), at(0));
    evidence.note_traffic(&about("s", "2"), Side::Service, &answers(1, 100), at(1));
    let window = evidence.window("get-product", "s", at(0), at(2));
    assert_eq!(
        (window.builds.service.as_deref(), window.service.total()),
        (Some("2"), 1)
    );
    let recent = evidence.recent("get-product", "s", Duration::from_secs(10), at(2));
    assert_eq!(recent.service.total(), 6);
}

#[test]
fn a_service_that_names_another_build_each_time_gets_no_window_and_no_memory() {
    let evidence = day();
    let long = "x".repeat(1_000);
    for n in 0..5_000u64 {
        let build = n.to_string();
        evidence.note_comparison(&about("s", &build), 200, Comparison::Equal, at(n));
        evidence.note_comparison(&about(&build, &long), 200, Comparison::Equal, at(n));
    }
    let window = evidence.window("get-product", "s", at(0), at(5_000));
    assert!(window.comparisons.compared() <= 1);
    assert!(evidence.unsaved("get-product").len() <= 64);
    let unknown = evidence.window("get-product", "4999", at(0), at(5_000));
    assert_eq!(
        (unknown.builds.service, unknown.comparisons.compared()),
        (None, 1)
    );
}

#[test]
fn what_is_too_old_or_no_route_any_more_is_forgotten() {
    let evidence = day();
    for hour in 0..72 {
        evidence.note_traffic(
            &about("s", "1"),
            Side::Service,
            &answers(1, 100),
            at(hour * 3_600),
        );
        evidence.tidy(at(hour * 3_600));
    }
    let parts = evidence.parts("get-product", "s", at(72 * 3_600));
    assert!((24..=25).contains(&parts.len()), "{}", parts.len());
    evidence.tidy(at(1_000 * 3_600));
    assert!(evidence.routes().is_empty());
    evidence.note_traffic(&about("s", "1"), Side::Service, &answers(1, 100), at(0));
    evidence.retain(|route| route == "another");
    assert!(evidence.routes().is_empty());
}

#[test]
fn the_oldest_evidence_goes_when_there_is_more_than_fits() {
    let mut evidence = day();
    evidence.budget = 5_000;
    // Below 256 microseconds each is told apart, so these are a hundred different ones.
    let counts = answers(100, 128);
    let held = |evidence: &Evidence, now| {
        let parts = ["a", "b", "c"]
            .iter()
            .flat_map(|route| evidence.parts(route, "s", now));
        parts.map(|part| part.bucket.values()).sum::<usize>()
    };
    for bucket in 0..60 {
        let now = at(bucket * 300);
        for route in ["a", "b", "c"] {
            let about = About {
                route,
                ..about("s", "1")
            };
            evidence.note_traffic(&about, Side::Service, &counts, now);
        }
        if bucket == 59 {
            assert!(held(&evidence, now) > 4_000, "there is room for more");
        }
        evidence.tidy(now);
        assert!(held(&evidence, now) <= 5_000, "too much after {bucket}");
    }
    let newest = evidence.parts("a", "s", at(59 * 300));
    let last = bucket::millis(at(59 * 300));
    assert!(newest.iter().any(|part| part.bucket.first == last));
}

#[test]
fn a_route_that_somebody_is_about_to_note_something_of_is_not_forgotten() {
    let evidence = day();
    let held = evidence.open("get-product");
    evidence.tidy(at(0));
    assert_eq!(evidence.routes(), ["get-product"]);
    drop(held);
    evidence.tidy(at(0));
    assert!(evidence.routes().is_empty());
}

#[test]
fn threads_that_note_at_once_while_others_tidy_lose_nothing() {
    let evidence = Arc::new(day());
    let workers = (0..4).map(|worker| {
        let evidence = Arc::clone(&evidence);
        std::thread::spawn(move || {
            for n in 0..2_000u64 {
                let route = format!("r{}", n % 7);
                let about = About {
                    route: &route,
                    ..about("s", "1")
                };
                let side = if worker % 2 == 0 {
                    Side::Monolith
                } else {
                    Side::Service
                };
                evidence.note_traffic(&about, side, &answers(1, 100), at(n / 100));
                if n % 50 == 0 {
                    evidence.tidy(at(n / 100));
                }
            }
        })
    });
    workers
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    let totals = evidence.routes().into_iter().map(|route| {
        let window = evidence.window(&route, "s", at(0), at(20));
        window.monolith.total() + window.service.total()
    });
    assert_eq!(totals.sum::<u64>(), 8_000);
}

#[test]
fn a_window_has_at_most_so_many_buckets_of_whole_minutes() {
    for (hours, minutes) in [(1, 1), (4, 1), (24, 5), (48, 10), (168, 35)] {
        let span = Span::new(Duration::from_secs(hours * 3_600));
        let evidence = Evidence { span, ..day() };
        for minute in 0..2 * hours * 60 {
            evidence.note_drop(&about("s", "1"), SAMPLING, at(minute * 60));
        }
        let end = at(2 * hours * 3_600);
        let parts = evidence.parts("get-product", "s", end).len() as u64;
        assert!(
            (hours * 60 / minutes..=290).contains(&parts),
            "{hours} h: {parts}"
        );
    }
}

#[test]
fn what_comes_after_a_switch_counts_from_that_moment_and_what_was_before_it_does_not() {
    let evidence = day();
    let about = about("s", "1");
    evidence.note_traffic(&about, Side::Service, &answers(7, 100), at(10));
    evidence.cut("get-product", at(20));
    evidence.note_traffic(&about, Side::Service, &answers(2, 100), at(21));
    let counted = |from| {
        evidence
            .window("get-product", "s", at(from), at(30))
            .service
            .total()
    };
    assert_eq!((counted(19), counted(0)), (2, 9));
    // Somebody who switches all the time fills no memory.
    for second in 0..5_000 {
        evidence.cut("get-product", at(30 + second));
        evidence.note_traffic(&about, Side::Service, &answers(1, 100), at(30 + second));
    }
    let buckets = evidence.parts("get-product", "s", at(5_030)).len();
    assert!((288..1_000).contains(&buckets), "{buckets}");
}
