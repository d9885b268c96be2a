//! What has been done since the start, by route: numbers that only rise, for metrics.
//!
//! For the admin port's `/metrics`. A route keeps its numbers over reloads and loses them when it goes, so there are never
//! more label sets than the config has routes. Evidence is another thing: it forgets what is old, this does not.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::evidence::{Comparison, Counts, Side};

/// The upper ends of the latency's buckets, in seconds; what takes longer than the last is in the one without an end.
pub const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Routes of which there are numbers at the most.
const ROUTES: usize = 20_000;

/// The numbers of all routes.
#[derive(Debug, Default)]
pub struct Totals(Mutex<HashMap<String, RouteTotals>>);

/// The numbers of one route.
#[derive(Debug, Clone, Default)]
pub struct RouteTotals {
    /// Requests of clients, by the side that they were sent to; one that was put to the other side as well counts on both.
    pub sides: [SideTotals; 2],
    /// Copies that were sent to the service.
    pub copies: SideTotals,
    /// Pairs of answers, by what came of comparing them.
    pub comparisons: BTreeMap<&'static str, u64>,
    /// Copies that were not made, by reason.
    pub drops: BTreeMap<&'static str, u64>,
}

/// The numbers of one side.
#[derive(Debug, Clone, Default)]
pub struct SideTotals {
    /// Answers by class of status: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub classes: [u64; 5],
    /// Requests without an answer.
    pub failed: u64,
    /// Answers by latency, not cumulative; the last are longer than all of [`BUCKETS`].
    pub buckets: [u64; BUCKETS.len() + 1],
    /// What the answers took together, in microseconds.
    pub micros: u64,
}

impl Totals {
    /// Adds what a side did for clients.
    pub fn add_traffic(&self, route: &str, side: Side, counts: &Counts) {
        self.with(route, |totals| totals.sides[side as usize].add(counts));
    }

    /// Adds what the service did for copies.
    pub fn add_copies(&self, route: &str, counts: &Counts) {
        self.with(route, |totals| totals.copies.add(counts));
    }

    /// Adds a comparison.
    pub fn add_comparison(&self, route: &str, comparison: Comparison<'_>) {
        let outcome = match comparison {
            Comparison::Equal => "equal",
            Comparison::Mismatch(_) => "mismatch",
            Comparison::Noise(_) => "noise",
            Comparison::Lag => "lag",
            Comparison::Incomparable(_) => "incomparable",
        };
        self.with(route, |totals| {
            *totals.comparisons.entry(outcome).or_default() += 1;
        });
    }

    /// Adds copies that were not made.
    pub fn add_drops(&self, route: &str, reason: &'static str, copies: u64) {
        self.with(route, |totals| *totals.drops.entry(reason).or_default() += copies);
    }

    /// Forgets the routes that are not among these.
    pub fn retain(&self, is_route: impl Fn(&str) -> bool) {
        self.lock().retain(|route, _| is_route(route));
    }

    /// All numbers, by route.
    pub fn all(&self) -> BTreeMap<String, RouteTotals> {
        let routes = self.lock();
        routes
            .iter()
            .map(|(route, totals)| (route.clone(), totals.clone()))
            .collect()
    }

    fn with(&self, route: &str, add: impl FnOnce(&mut RouteTotals)) {
        let mut routes = self.lock();
        if let Some(totals) = routes.get_mut(route) {
            add(totals);
        } else if routes.len() < ROUTES {
            add(routes.entry(route.to_owned()).or_default());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, RouteTotals>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SideTotals {
    fn add(&mut self, counts: &Counts) {
        for (ours, theirs) in self.classes.iter_mut().zip(counts.classes) {
            *ours += theirs;
        }
        self.failed += counts.failed;
        for (micros, count) in counts.latencies.pairs() {
            let seconds = f64::from(micros) / 1e6;
            let bucket = BUCKETS.partition_point(|end| *end < seconds);
            self.buckets[bucket] += u64::from(count);
            self.micros += u64::from(micros) * u64::from(count);
        }
    }

    /// How many latencies are in the buckets.
    pub fn measured(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::evidence::{Outcome, Tally};

    fn counts(status: u16, micros: u64) -> Counts {
        let mut tally = Tally::new();
        tally.note(
            0,
            Side::Service,
            status,
            Duration::from_micros(micros),
            Outcome::Answered,
        );
        tally.drain().remove(0).2
    }

    #[test]
    fn numbers_only_rise_and_go_with_their_route() {
        let totals = Totals::default();
        for _ in 0..3 {
            totals.add_traffic("a", Side::Service, &counts(503, 200));
            totals.retain(|route| route == "a");
        }
        totals.add_drops("b", "sampling", 7);
        assert_eq!(totals.all()["a"].sides[1].classes, [0, 0, 0, 0, 3]);
        assert_eq!(totals.all()["b"].drops["sampling"], 7);
        totals.retain(|route| route == "a");
        assert_eq!(totals.all().len(), 1);
    }

    #[test]
    fn each_latency_is_in_the_bucket_that_it_does_not_exceed() {
        for (micros, bucket) in [
            (1, 0),
            (500, 0),
            (510, 1),
            (1_000, 1),
            (2_000, 2),
            (10_000_000, 13),
            (11_000_000, 14),
        ] {
            let mut side = SideTotals::default();
            side.add(&counts(200, micros));
            assert_eq!(
                (side.buckets[bucket], side.measured()),
                (1, 1),
                "{micros} {side:?}"
            );
        }
    }
}
