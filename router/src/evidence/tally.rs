//! What one worker thread notes of its requests, without locks and without looking anything up.
//!
//! For the forward path, which notes every request, and for the shadow executor. A note is one number pushed to a list: the
//! route, the side, the latency and the class of the answer, packed so that sorting the list puts together what belongs
//! together. When the list is full it is sorted and counted, and once a second the worker hands the counts to
//! [`super::Evidence`]. A histogram for each route and side would cost more on both ends: its counters are cold in the
//! cache when a request comes to them, and thousands of them must be looked through each second.

use std::collections::BTreeMap;
use std::time::Duration;

use super::counts::{Counts, class};
use super::latency::rounded;

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The monolith.
    Monolith,
    /// The service extracted from it.
    Service,
}

/// Whether there was an answer at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered, with whatever status.
    Answered,
    /// It did not: not connected, broken off, or too late.
    Failed,
}

/// Notes that are held before they are counted, 128 KiB: so many that a worker usually counts once a second and merges
/// nothing, so few that sorting them takes less than a millisecond.
const HELD: usize = 16_384;

/// Bits of a note, from the lowest: 3 of class (0 is failed), 32 of microseconds, 1 of side, 28 of route.
const MICROS_AT: u32 = 3;
const SIDE_AT: u32 = 35;
const ROUTE_AT: u32 = 36;

/// The notes of one worker since it last handed them over.
#[derive(Debug)]
pub struct Tally {
    notes: Vec<u64>,
    counted: BTreeMap<(usize, Side), Counts>,
}

impl Tally {
    /// A tally without notes.
    pub fn new() -> Self {
        Self {
            notes: Vec::with_capacity(HELD),
            counted: BTreeMap::new(),
        }
    }

    /// Notes one request. `route` is the route's index in the snapshot that the worker serves from; drain before that
    /// changes. A `status` that is none (below 100, above 599) counts as failed, since no client can use it.
    pub fn note(&mut self, route: usize, side: Side, status: u16, latency: Duration, outcome: Outcome) {
        if self.notes.len() == HELD {
            self.count();
        }
        let class = class_of(status, outcome) as u64;
        let place = (route as u64) << ROUTE_AT | (side as u64) << SIDE_AT;
        self.notes
            .push(place | u64::from(rounded(latency)) << MICROS_AT | class);
    }

    /// Gives what was noted since the last time, by route and side, and begins anew.
    pub fn drain(&mut self) -> Vec<(usize, Side, Counts)> {
        self.count();
        let counted = std::mem::take(&mut self.counted).into_iter();
        counted
            .map(|((route, side), counts)| (route, side, counts))
            .collect()
    }

    /// Whether nothing was noted since the last time.
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.counted.is_empty()
    }

    fn count(&mut self) {
        self.notes.sort_unstable();
        let same = |a: &u64, b: &u64| a >> SIDE_AT == b >> SIDE_AT;
        for notes in self.notes.chunk_by(same) {
            let mut counts = Counts::default();
            for note in notes {
                add(&mut counts, (note >> MICROS_AT) as u32, (note & 7) as usize);
            }
            let place = place(notes[0]);
            match self.counted.get_mut(&place) {
                Some(known) => known.merge(&counts),
                None => drop(self.counted.insert(place, counts)),
            }
        }
        self.notes.clear();
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Counts {
    /// What a single request comes to. For who notes them one by one, and has no use for a list.
    pub fn of(status: u16, latency: Duration, outcome: Outcome) -> Self {
        let mut counts = Self::default();
        add(&mut counts, rounded(latency), class_of(status, outcome));
        counts
    }
}

/// The class of an answer from 1 to 5, or 0 if it is none.
fn class_of(status: u16, outcome: Outcome) -> usize {
    match outcome {
        Outcome::Answered => class(status).map_or(0, |class| class + 1),
        Outcome::Failed => 0,
    }
}

fn place(note: u64) -> (usize, Side) {
    let side = match note >> SIDE_AT & 1 {
        0 => Side::Monolith,
        _ => Side::Service,
    };
    ((note >> ROUTE_AT) as usize, side)
}

fn add(counts: &mut Counts, micros: u32, class: usize) {
    match class.checked_sub(1) {
        None => counts.failed += 1,
        Some(class) => {
            counts.classes[class] += 1;
            counts.latencies.add(micros, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::evidence::{About, Evidence};

    #[test]
    fn everything_noted_is_drained_once_whatever_the_order() {
        let mut random = StdRng::seed_from_u64(7);
        let (mut tally, mut expected) = (Tally::new(), BTreeMap::<_, Counts>::new());
        for _ in 0..3 * HELD + 17 {
            let route = random.random_range(0..1_000);
            let side = if random.random() {
                Side::Monolith
            } else {
                Side::Service
            };
            let status =
                [101, 200, 204, 304, 404, 500, 503, 0, 99, 600, u16::MAX][random.random_range(0..11)];
            let latency = Duration::from_micros(random.random_range(0..5_000_000));
            let outcome = if random.random_bool(0.1) {
                Outcome::Failed
            } else {
                Outcome::Answered
            };
            tally.note(route, side, status, latency, outcome);
            let counts = expected.entry((route, side)).or_default();
            match class(status).filter(|_| outcome == Outcome::Answered) {
                None => counts.failed += 1,
                Some(class) => {
                    counts.classes[class] += 1;
                    counts.latencies.add(rounded(latency), 1);
                }
            }
        }
        let drained = tally
            .drain()
            .into_iter()
            .map(|(route, side, counts)| ((route, side), counts));
        assert_eq!(drained.collect::<BTreeMap<_, _>>(), expected);
        assert!(tally.is_empty() && tally.drain().is_empty());
    }

    #[test]
    fn the_largest_route_and_the_longest_latency_do_not_run_into_each_other() {
        let mut tally = Tally::new();
        let last = (1 << 28) - 1;
        tally.note(last, Side::Monolith, 599, Duration::MAX, Outcome::Answered);
        tally.note(0, Side::Service, 100, Duration::ZERO, Outcome::Answered);
        let drained = tally.drain();
        let sides: Vec<_> = drained.iter().map(|(route, side, _)| (*route, *side)).collect();
        assert_eq!(sides, [(0, Side::Service), (last, Side::Monolith)]);
        assert_eq!(drained[0].2.classes, [1, 0, 0, 0, 0]);
        assert_eq!(drained[1].2.classes, [0, 0, 0, 0, 1]);
    }

    /// Run with `cargo test --release -p router --lib tally -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures; meaningful in release alone"]
    #[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
    fn a_note_costs_some_tens_of_nanoseconds() {
        const SECONDS: usize = 200;
        const EACH: usize = 10_000;
        for routes in [1, 8, 1_000] {
            let mut random = StdRng::seed_from_u64(3);
            let given: Vec<(usize, Duration)> = (0..65_536)
                .map(|_| {
                    let micros = 10f64.powf(random.random_range(2.0..4.0));
                    (
                        random.random_range(0..routes),
                        Duration::from_micros(micros as u64),
                    )
                })
                .collect();
            let names: Vec<String> = (0..routes).map(|route| format!("route-{route}")).collect();
            let evidence = Evidence::new(Duration::from_secs(86_400));
            let (mut tally, mut given) = (Tally::new(), given.iter().cycle());
            let (mut noting, mut draining, mut handing) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
            for second in 0..SECONDS {
                let began = Instant::now();
                for (route, latency) in given.by_ref().take(EACH) {
                    tally.note(*route, Side::Monolith, 200, *latency, Outcome::Answered);
                }
                noting += began.elapsed();
                let began = Instant::now();
                let drained = tally.drain();
                draining += began.elapsed();
                let began = Instant::now();
                let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second as u64);
                for (route, side, counts) in drained {
                    let about = About {
                        route: &names[route],
                        subject: "5ab1e",
                        monolith: Some("m1"),
                        service: Some("s1"),
                    };
                    evidence.note_traffic(&about, side, &counts, at);
                }
                handing += began.elapsed();
            }
            let note = noting.as_nanos() as f64 / (SECONDS * EACH) as f64;
            let (drain, hand) = (draining / SECONDS as u32, handing / SECONDS as u32);
            println!(
                "{routes} routes: {note:.1} ns a note; each second {drain:.1?} to drain, {hand:.1?} to hand over"
            );
            assert!(note < 100.0);
        }
    }
}
