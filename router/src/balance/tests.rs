//! The choice and the ejection, without a network.

use std::time::Duration;

use super::*;
use crate::config::Percent;

const SAFE: Asking = Asking {
    is_repeatable: true,
    avoid: None,
};

fn places(count: usize) -> Places {
    let addresses = (0..count).map(|index| Address {
        host: format!("h{index}"),
        port: 80,
        authority: format!("h{index}"),
    });
    let upstream = Upstream {
        name: "u".to_owned(),
        addresses: addresses.collect(),
    };
    Places::new(&upstream, |_| None)
}

fn settings(failures: usize, pause: Duration, share: u16) -> Ejection {
    Ejection {
        failures,
        pause,
        max_pause: 3 * pause,
        max_share: Percent::of(100 * share),
    }
}

fn at(index: usize) -> Place {
    Place {
        index,
        is_probe: false,
    }
}

/// How often each address is chosen, when so much is under way at each.
fn counts<const N: usize>(places: &Places, in_flight: [usize; N]) -> [usize; N] {
    let mut counts = [0; N];
    let settings = settings(3, Duration::from_secs(3600), 50);
    for _ in 0..6_000 {
        let place = places.choose(SAFE, &settings, |index| in_flight[index]).unwrap();
        assert!(!place.is_probe);
        counts[place.index] += 1;
    }
    counts
}

#[test]
fn equal_addresses_get_equal_shares_and_the_busiest_of_them_nothing() {
    // Six sigma of 6,000 draws at one in three.
    let fair = |count| (1_780..=2_220).contains(&count);
    let equal = counts(&places(3), [1, 1, 1]);
    assert!(equal.into_iter().all(fair), "{equal:?}");
    let uneven = counts(&places(3), [0, 5, 9]);
    assert_eq!(uneven[2], 0, "it is drawn with one that has less to do");
    assert!(uneven[0] > 3_700 && uneven[1] > 1_780, "{uneven:?}");
}

#[test]
fn an_address_that_fails_in_a_row_is_left_alone_and_one_that_fails_now_and_then_is_not() {
    let settings = settings(3, Duration::from_secs(3600), 50);
    let places = places(2);
    for _ in 0..10 {
        assert_eq!(places.failed(at(0), &settings), (Change::None, false));
        assert_eq!(places.failed(at(0), &settings), (Change::None, false));
        assert_eq!(places.succeeded(at(0)), Change::None);
    }
    for _ in 0..2 {
        places.failed(at(0), &settings);
    }
    assert_eq!(
        places.failed(at(0), &settings),
        (Change::Ejected(3_600_000), false)
    );
    assert_eq!(counts(&places, [0, 9]), [0, 6_000]);
    assert_eq!(places.any(), 1);
    // What it was asked before tells nothing about now.
    assert_eq!(places.succeeded(at(0)), Change::None);
    assert!(places.outlier(0).is_ejected());
    assert_eq!(places.outlier(0).ejections(), 1);
}

#[test]
fn no_more_are_left_alone_than_the_share_and_then_the_circuit_counts() {
    let most = |count: usize, share: u16| {
        let (places, settings) = (places(count), settings(1, Duration::from_secs(3600), share));
        let for_circuit = (0..count).filter(|index| places.failed(at(*index), &settings).1);
        let for_circuit = for_circuit.count();
        let ejected = places.outliers.iter().filter(|outlier| outlier.is_ejected());
        let ejected = ejected.count();
        assert_eq!(
            for_circuit,
            count - ejected,
            "{count} addresses, {share} %: what is not left alone counts"
        );
        ejected
    };
    assert_eq!(most(2, 50), 1);
    assert_eq!(most(3, 10), 1, "one may be in any case");
    assert_eq!(most(2, 100), 1, "the last one never is");
    assert_eq!(most(10, 30), 3);
    assert_eq!(most(64, 100), 63);
    assert_eq!(most(4, 0), 0);
}

#[test]
fn one_request_tries_again_and_each_failure_makes_the_pause_longer_up_to_its_limit() {
    let settings = settings(1, Duration::from_millis(20), 50);
    let places = places(2);
    assert_eq!(places.failed(at(0), &settings), (Change::Ejected(20), false));
    let next = || loop {
        let place = places.choose(SAFE, &settings, |_| 0).unwrap();
        if place.is_probe {
            return place;
        }
    };
    for pause in [40, 60, 60] {
        let probe = next();
        assert_eq!(probe.index, 0);
        assert!(
            !places.choose(SAFE, &settings, |_| 0).unwrap().is_probe,
            "one at a time"
        );
        assert_eq!(places.failed(probe, &settings), (Change::None, false));
        let left = places.outlier(0).pauses_for(now()).unwrap();
        assert!((pause - 15..=pause).contains(&left), "{left} of {pause}");
    }
    assert_eq!(places.succeeded(next()), Change::Returned);
    assert!(!places.outlier(0).is_ejected());
    // It has hardly come back: it is not believed as much as at first.
    assert_eq!(places.failed(at(0), &settings), (Change::Ejected(60), false));
}

#[test]
fn an_address_that_has_been_well_for_long_begins_anew() {
    let settings = settings(1, Duration::from_millis(10), 50);
    let outlier = Outlier::default();
    assert_eq!(outlier.eject(1_000, &settings), 10);
    assert!(outlier.admits_probe(1_010, true, &settings));
    assert!(outlier.succeed(true, 1_011));
    assert_eq!(outlier.eject(1_020, &settings), 20);
    assert!(outlier.admits_probe(1_040, true, &settings));
    assert!(outlier.succeed(true, 1_041));
    assert_eq!(outlier.eject(1_041 + 30, &settings), 10);
}

#[test]
fn what_cannot_be_asked_elsewhere_tries_only_if_nothing_else_does() {
    let settings = settings(1, Duration::from_millis(10), 50);
    let outlier = Outlier::default();
    outlier.eject(1_000, &settings);
    assert!(!outlier.admits_probe(1_009, true, &settings));
    assert!(!outlier.admits_probe(1_019, false, &settings));
    assert!(outlier.admits_probe(1_020, false, &settings));
    assert!(!outlier.admits_probe(1_021, true, &settings));
}

#[test]
fn what_has_just_failed_a_request_is_not_asked_again_for_it() {
    let settings = settings(1, Duration::from_millis(1), 50);
    let avoiding = |index| Asking {
        is_repeatable: true,
        avoid: Some(index),
    };
    let two = places(2);
    for _ in 0..100 {
        assert_eq!(two.choose(avoiding(1), &settings, |_| 0), Some(at(0)));
    }
    assert_eq!(places(1).choose(avoiding(0), &settings, |_| 0), None);
    // What is left alone is no way out, also if it is time to try it.
    two.failed(at(0), &settings);
    let is_due = || two.outlier(0).pauses_for(now()) == Some(0);
    while !is_due() {}
    assert!(!two.has_other(1) && two.has_other(0));
    assert_eq!(two.choose(avoiding(1), &settings, |_| 0), None);
}
