//! What became known of a route within one span of time: traffic of both sides, comparisons, noise, drops.
//!
//! For the windows, which are rows of buckets, and for the store, which keeps one row for each. Whatever a bucket is told, it
//! stays small: the names that it counts by are short and few, and what exceeds that is counted without its name.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::counts::{Counts, class};
use super::tally::Side;

/// The reason of a drop that says nothing about the service: the pair was not in the sample.
pub const SAMPLING: &str = "sampling";

/// Names that are counted apart in one bucket; all others are counted as [`OTHERS`].
const NAMES: usize = 32;

/// Bytes of a name that are kept.
const NAME_LENGTH: usize = 160;

/// What is counted under when a bucket has as many names as it may.
pub const OTHERS: &str = "(others)";

/// What came of comparing the two answers to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison<'g> {
    /// They are the same.
    Equal,
    /// They differ, in these groups (the status, a header, or a path in the JSON).
    Mismatch(&'g [String]),
    /// They differ only in groups that also differ when the monolith is asked twice.
    Noise(&'g [String]),
    /// They differed, and agreed once the follower had caught up.
    Lag,
    /// They could not be compared, for this reason.
    Incomparable(&'g str),
}

/// Comparisons of answers, by class of the monolith's status and by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Comparisons {
    /// Pairs that agreed, by class of the monolith's status (1xx to 5xx); equal, or but for noise.
    pub agreed: [u64; 5],
    /// Pairs that differed, by class of the monolith's status.
    pub differed: [u64; 5],
    /// Of those that agreed: how many differed in noisy groups.
    pub noisy: u64,
    /// Pairs that agreed only once the follower had caught up.
    pub lagged: u64,
    /// Pairs that could not be compared, or whose monolith's status was none.
    pub incomparable: u64,
    /// In which groups pairs differed; a pair may be in several.
    pub groups: BTreeMap<String, u64>,
    /// Why pairs could not be compared.
    pub reasons: BTreeMap<String, u64>,
    /// Copies that were not sent, by reason.
    pub drops: BTreeMap<String, u64>,
    /// How often the monolith was asked twice.
    pub doubled: u64,
    /// In which groups the monolith differed from itself.
    pub noise: BTreeMap<String, u64>,
    /// When the first pair was compared, in milliseconds since the Unix epoch.
    pub first: Option<u64>,
    /// When the last pair was compared.
    pub last: Option<u64>,
}

impl Comparisons {
    /// Pairs that were compared and have a verdict: they agreed or they differed.
    pub fn compared(&self) -> u64 {
        self.agreed.iter().chain(&self.differed).sum()
    }

    /// Pairs that differed.
    pub fn mismatches(&self) -> u64 {
        self.differed.iter().sum()
    }

    /// Pairs without a verdict: incomparable, lagging, or dropped for another reason than [`SAMPLING`].
    pub fn unseen(&self) -> u64 {
        let dropped = self.drops.iter().filter(|(reason, _)| *reason != SAMPLING);
        let dropped: u64 = dropped.map(|(_, count)| count).sum();
        dropped
            .saturating_add(self.incomparable)
            .saturating_add(self.lagged)
    }

    /// Notes one comparison. `status` is the monolith's.
    pub fn note(&mut self, status: u16, comparison: Comparison<'_>, at: SystemTime) {
        let Some(class) = class(status) else {
            self.incomparable += 1;
            return count(&mut self.reasons, "no-status", 1);
        };
        match comparison {
            Comparison::Equal => self.agreed[class] += 1,
            Comparison::Noise(_) => {
                self.agreed[class] += 1;
                self.noisy += 1;
            }
            Comparison::Mismatch(groups) => {
                self.differed[class] += 1;
                groups.iter().for_each(|group| count(&mut self.groups, group, 1));
            }
            Comparison::Lag => self.lagged += 1,
            Comparison::Incomparable(reason) => {
                self.incomparable += 1;
                count(&mut self.reasons, reason, 1);
            }
        }
        if !matches!(comparison, Comparison::Lag | Comparison::Incomparable(_)) {
            let at = millis(at);
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = self.last.max(Some(at));
        }
    }

    /// Notes that the monolith was asked twice and differed from itself in these groups, or in none.
    pub fn note_noise(&mut self, groups: &[String]) {
        self.doubled += 1;
        groups.iter().for_each(|group| count(&mut self.noise, group, 1));
    }

    /// Notes copies that were not sent.
    pub fn note_drops(&mut self, reason: &str, copies: u64) {
        count(&mut self.drops, reason, copies);
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for class in 0..5 {
            self.agreed[class] = self.agreed[class].saturating_add(other.agreed[class]);
            self.differed[class] = self.differed[class].saturating_add(other.differed[class]);
        }
        self.noisy = self.noisy.saturating_add(other.noisy);
        self.lagged = self.lagged.saturating_add(other.lagged);
        self.incomparable = self.incomparable.saturating_add(other.incomparable);
        self.doubled = self.doubled.saturating_add(other.doubled);
        let named = [
            (&mut self.groups, &other.groups),
            (&mut self.reasons, &other.reasons),
            (&mut self.drops, &other.drops),
            (&mut self.noise, &other.noise),
        ];
        for (ours, theirs) in named {
            theirs
                .iter()
                .for_each(|(name, number)| count(ours, name, *number));
        }
        self.first = match (self.first, other.first) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.last = self.last.max(other.last);
    }
}

/// What became known within one span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The monolith's answers.
    pub monolith: Counts,
    /// The service's answers, to clients and to copies.
    pub service: Counts,
    /// Both compared.
    pub comparisons: Comparisons,
    /// When the first thing in here was noted, in milliseconds since the Unix epoch.
    pub first: u64,
    /// When the last thing was noted.
    pub last: u64,
}

impl Bucket {
    /// An empty one that begins with something noted at `at`.
    pub fn beginning(at: SystemTime) -> Self {
        let at = millis(at);
        Self {
            first: at,
            last: at,
            ..Self::default()
        }
    }

    /// The counts of a side.
    pub fn side(&mut self, side: Side) -> &mut Counts {
        match side {
            Side::Monolith => &mut self.monolith,
            Side::Service => &mut self.service,
        }
    }

    /// Takes note that something came at this time.
    pub fn touch(&mut self, at: SystemTime) {
        let at = millis(at);
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }

    /// Different latencies that are held, both sides together.
    pub fn values(&self) -> usize {
        self.monolith.latencies.values() + self.service.latencies.values()
    }
}

/// Counts under a name, or under [`OTHERS`] if there are too many names already.
fn count(names: &mut BTreeMap<String, u64>, name: &str, number: u64) {
    let name = &name[..name.floor_char_boundary(NAME_LENGTH)];
    let name = match names.len() >= NAMES && !names.contains_key(name) {
        true => OTHERS,
        false => name,
    };
    match names.get_mut(name) {
        Some(known) => *known = known.saturating_add(number),
        None => drop(names.insert(name.to_owned(), number)),
    }
}

/// Milliseconds since the Unix epoch; 0 for what lies before it.
pub fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn a_thousand_names_are_counted_whole_and_held_as_few() {
        let mut comparisons = Comparisons::default();
        for n in 0..1_000 {
            let groups = [format!("$.{}{n}", "ö".repeat(1_000)), format!("$.field{n}")];
            comparisons.note(200, Comparison::Mismatch(&groups), AT);
        }
        assert_eq!(comparisons.mismatches(), 1_000);
        assert_eq!(comparisons.groups.values().sum::<u64>(), 2_000);
        assert!(comparisons.groups.len() <= NAMES + 1);
        assert!(comparisons.groups.keys().all(|name| name.len() <= NAME_LENGTH));
    }

    #[test]
    fn sampling_is_no_drop_and_what_has_no_verdict_is_unseen() {
        let mut comparisons = Comparisons::default();
        comparisons.note_drops(SAMPLING, 1_000);
        comparisons.note_drops("queue-full", 3);
        comparisons.note(200, Comparison::Lag, AT);
        comparisons.note(200, Comparison::Incomparable("too-large"), AT);
        comparisons.note(0, Comparison::Equal, AT);
        assert_eq!((comparisons.unseen(), comparisons.compared()), (6, 0));
        assert_eq!((comparisons.first, comparisons.last), (None, None));
    }
}
