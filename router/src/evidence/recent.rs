//! The last seconds of a route: what a breach shows itself in.
//!
//! For the auto-promotion controller. Builds make no difference here: whether clients are being hurt now has nothing to do
//! with which build does it.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::bucket::{Comparison, millis};
use super::counts::Counts;
use super::tally::Side;

/// Seconds that are remembered at the most.
pub const REMEMBERED: u64 = 120;

/// Both sides over the last seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentTotals {
    /// How many seconds that is; fewer were noted if the route is new or idle.
    pub seconds: u64,
    /// The monolith's answers.
    pub monolith: Counts,
    /// The service's answers.
    pub service: Counts,
    /// Pairs that were compared and have a verdict.
    pub compared: u64,
    /// Of these, pairs that differed.
    pub mismatches: u64,
    /// Whether the service's upstream counts as unhealthy. The evidence knows nothing of that and leaves it `false`; whoever
    /// looks after upstreams sets it.
    pub unhealthy: bool,
}

/// The last seconds of one route, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent(VecDeque<(u64, Second)>);

#[derive(Debug, Clone, Default)]
struct Second {
    sides: [Counts; 2],
    compared: u64,
    mismatches: u64,
}

impl Recent {
    pub(super) fn note_traffic(&mut self, side: Side, counts: &Counts, at: SystemTime) {
        if let Some(second) = self.second(at) {
            second.sides[side as usize].merge(counts);
        }
    }

    pub(super) fn note_comparison(&mut self, comparison: Comparison<'_>, at: SystemTime) {
        let differed = match comparison {
            Comparison::Equal | Comparison::Noise(_) => 0,
            Comparison::Mismatch(_) => 1,
            Comparison::Lag | Comparison::Incomparable(_) => return,
        };
        if let Some(second) = self.second(at) {
            second.compared += 1;
            second.mismatches += differed;
        }
    }

    /// The last `seconds` up to and with the one that is running.
    pub(super) fn totals(&self, seconds: u64, now: SystemTime) -> RecentTotals {
        let seconds = seconds.clamp(1, REMEMBERED);
        let now = millis(now) / 1_000;
        let mut totals = RecentTotals {
            seconds,
            ..RecentTotals::default()
        };
        for (_, second) in self.0.iter().filter(|(at, _)| at + seconds > now && *at <= now) {
            totals.monolith.merge(&second.sides[Side::Monolith as usize]);
            totals.service.merge(&second.sides[Side::Service as usize]);
            totals.compared += second.compared;
            totals.mismatches += second.mismatches;
        }
        totals
    }

    /// Forgets what is too old.
    pub(super) fn tidy(&mut self, now: SystemTime) {
        let now = millis(now) / 1_000;
        while self.0.front().is_some_and(|(at, _)| at + REMEMBERED <= now) {
            self.0.pop_front();
        }
    }

    /// Different latencies that are held.
    pub(super) fn values(&self) -> usize {
        let sides = self.0.iter().flat_map(|(_, second)| &second.sides);
        sides.map(|counts| counts.latencies.values()).sum()
    }

    /// The second at this time; none if it is older than all that is remembered.
    fn second(&mut self, at: SystemTime) -> Option<&mut Second> {
        self.tidy(at);
        let at = millis(at) / 1_000;
        let newest = self.0.back().map_or(at, |(newest, _)| *newest);
        // Nobody notes what happened minutes ago: the clock was set back, and what is newer than now would hide it.
        if at + REMEMBERED <= newest {
            self.0.clear();
        }
        // Notes come nearly in order, so the place is at the end or next to it.
        let place = self.0.iter().rposition(|(second, _)| *second <= at);
        let place = match place {
            Some(place) if self.0[place].0 == at => place,
            place => {
                let place = place.map_or(0, |place| place + 1);
                self.0.insert(place, (at, Second::default()));
                place
            }
        };
        // A clock that is set back must not make the row grow beyond its length.
        let place = match self.0.len() as u64 > REMEMBERED {
            true => {
                self.0.pop_front();
                place.checked_sub(1)?
            }
            false => place,
        };
        self.0.get_mut(place).map(|(_, second)| second)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second)
    }

    fn one() -> Counts {
        Counts {
            classes: [0, 1, 0, 0, 0],
            ..Counts::default()
        }
    }

    #[test]
    fn a_window_holds_its_seconds_and_no_other() {
        let mut recent = Recent::default();
        for second in [0, 1, 2, 2, 1, 5] {
            recent.note_traffic(Side::Service, &one(), at(second));
        }
        let total = |seconds, now| recent.totals(seconds, at(now)).service.total();
        assert_eq!((total(1, 2), total(2, 2), total(3, 2)), (2, 4, 5));
        assert_eq!((total(1, 5), total(60, 5), total(60, 300)), (1, 6, 0));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_blind_the_window() {
        let mut recent = Recent::default();
        for second in 0..REMEMBERED {
            recent.note_traffic(Side::Service, &one(), at(10_000 + second));
        }
        recent.note_traffic(Side::Service, &one(), at(5));
        assert_eq!(recent.totals(10, at(5)).service.total(), 1);
    }

    #[test]
    fn no_more_is_remembered_than_is_promised_even_if_the_clock_jumps() {
        let mut recent = Recent::default();
        for round in 0..20u64 {
            for second in 0..400 {
                recent.note_traffic(Side::Monolith, &one(), at(second * 37 % 400 + round * 13));
                recent.note_comparison(Comparison::Equal, at(second));
                assert!(recent.0.len() as u64 <= REMEMBERED);
                assert!(
                    recent
                        .0
                        .iter()
                        .zip(recent.0.iter().skip(1))
                        .all(|(a, b)| a.0 < b.0)
                );
            }
        }
        recent.tidy(at(10_000));
        assert_eq!(recent.0.len(), 0);
    }
}
