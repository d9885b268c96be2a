//! Which differences are noise: fields in which the monolith differs from itself.
//!
//! For the evidence. A share of the requests goes to the monolith twice (A/A), and where its two answers differ, a difference
//! between monolith and service says nothing: a time stamp, a random order. The rule is OpenDiffy's
//! (`ai.diffy.analysis.DifferencesFilterFactory` and `JoinedField`, defaults in its settings): a field really differs if it
//! differs more often between the two than within one, by more than 20 % of their sum, and by more than 0.03 % of all requests.
//!
//! Two things are not as there, because a wrong "noise" promotes a service that is wrong:
//!
//! - OpenDiffy asks every request thrice and may compare counts. Here a sample is asked twice, so rates are compared.
//! - A field is noise only if it was seen to differ by itself, in a sample of at least [`Thresholds::least`] A/A comparisons.
//!   OpenDiffy's last threshold would excuse a field that is right in all A/A comparisons and wrong in 2 of 10,000 others;
//!   how many of those a certificate bears is the certificate's business.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Differences;

/// How often a field differed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Comparisons in which the field differed.
    pub differing: u64,
    /// All comparisons.
    pub compared: u64,
}

impl Rate {
    /// As a share of 1; absent if nothing has been compared.
    fn share(self) -> Option<f64> {
        (self.compared > 0).then(|| self.differing as f64 / self.compared as f64)
    }
}

/// What counts as more than noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// How far the two rates must be apart, in percent of their sum.
    pub relative: f64,
    /// How far the two rates must be apart, in percent of all comparisons.
    pub absolute: f64,
    /// How many A/A comparisons there must be before they excuse anything; 0 counts as 1.
    pub least: u64,
}

impl Default for Thresholds {
    /// OpenDiffy's 20 % and 0.03 %, and 20 comparisons.
    fn default() -> Self {
        Self {
            relative: 20.0,
            absolute: 0.03,
            least: 20,
        }
    }
}

/// Whether a field's differences between monolith and service (`raw`) are explained by those within the monolith (`noise`).
///
/// What is not known is not noise: no or too few A/A comparisons, thresholds that are no numbers.
pub fn is_noise(raw: Rate, noise: Rate, thresholds: &Thresholds) -> bool {
    let (Some(between), Some(within)) = (raw.share(), noise.share()) else {
        return false;
    };
    if noise.differing == 0 || noise.compared < thresholds.least {
        return false;
    }
    let apart = (between - within).abs();
    let relative = apart / (between + within) * 100.0;
    let absolute = apart * 100.0;
    // Each is false for NaN.
    between <= within || relative <= thresholds.relative || absolute <= thresholds.absolute
}

/// Counts, per group, how often it differed between the two and within the monolith.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    most: usize,
    raw_compared: u64,
    noise_compared: u64,
    groups: BTreeMap<String, Counts>,
    overflow: Counts,
}

/// Comparisons in which a group differed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Between monolith and service.
    pub raw: u64,
    /// Within the monolith.
    pub noise: u64,
}

impl Tally {
    /// Remembers at most so many groups.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Counts a comparison of monolith and service, with the groups that differed.
    pub fn raw<'g>(&mut self, groups: impl IntoIterator<Item = &'g str>) {
        self.raw_compared += 1;
        self.count(groups, |counts| &mut counts.raw);
    }

    /// Counts a comparison of the monolith with itself, with the groups that differed.
    pub fn noise<'g>(&mut self, groups: impl IntoIterator<Item = &'g str>) {
        self.noise_compared += 1;
        self.count(groups, |counts| &mut counts.noise);
    }

    fn count<'g>(&mut self, groups: impl IntoIterator<Item = &'g str>, which: fn(&mut Counts) -> &mut u64) {
        let groups: BTreeSet<&str> = groups.into_iter().collect();
        for group in groups {
            let has_room = self.groups.contains_key(group) || self.groups.len() < self.most;
            let counts = match has_room {
                true => self.groups.entry(group.to_owned()).or_default(),
                false => &mut self.overflow,
            };
            *which(counts) += 1;
        }
    }

    /// Whether a group is noise by now. A group that found no room is none.
    pub fn is_noise(&self, group: &str, thresholds: &Thresholds) -> bool {
        self.groups.get(group).is_some_and(|counts| {
            let raw = Rate {
                differing: counts.raw,
                compared: self.raw_compared,
            };
            let noise = Rate {
                differing: counts.noise,
                compared: self.noise_compared,
            };
            is_noise(raw, noise, thresholds)
        })
    }

    /// Whether everything that differs is noise, so that the comparison is no mismatch.
    pub fn excuses(&self, differences: &Differences, thresholds: &Thresholds) -> bool {
        let known = differences.unlisted() == 0 && differences.uncompared.is_none();
        known && differences.groups().all(|group| self.is_noise(group, thresholds))
    }

    /// Every remembered group with its counts, in alphabetical order.
    pub fn groups(&self) -> impl Iterator<Item = (&str, Counts)> {
        self.groups
            .iter()
            .map(|(group, counts)| (group.as_str(), *counts))
    }

    /// How many comparisons there were: between the two, and within the monolith.
    pub fn compared(&self) -> Counts {
        Counts {
            raw: self.raw_compared,
            noise: self.noise_compared,
        }
    }

    /// How often a group differed that found no room.
    pub fn overflow(&self) -> Counts {
        self.overflow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(raw: (u64, u64), within: (u64, u64)) -> bool {
        let rate = |(differing, compared)| Rate { differing, compared };
        is_noise(rate(raw), rate(within), &Thresholds::default())
    }

    #[test]
    fn a_field_that_differs_as_often_by_itself_is_noise() {
        assert!(
            noise((1000, 1000), (50, 50)),
            "a time stamp, of which a sample was asked twice"
        );
        assert!(noise((300, 1000), (32, 100)), "within 20 % of the sum");
        assert!(!noise((1000, 1000), (30, 50)), "(1.0 − 0.6) / 1.6 is above 20 %");
        assert!(
            noise((22, 100_000), (10, 100_000)),
            "0.012 % of all requests is below 0.03 %"
        );
        assert!(!noise((60, 100_000), (10, 100_000)), "0.05 % is above it");
    }

    #[test]
    fn without_a_sample_nothing_is_noise() {
        assert!(!noise((1, 1000), (0, 0)));
        assert!(!noise((0, 0), (50, 50)));
        assert!(!noise((1000, 1000), (1, 1)), "one accident is no sample");
        assert!(!noise((1000, 1000), (19, 19)));
        assert!(noise((1000, 1000), (20, 20)));
        assert!(!noise((2, 10_000), (0, 10_000)), "it never differed by itself");
    }

    #[test]
    fn thresholds_that_are_no_numbers_excuse_nothing() {
        let thresholds = Thresholds {
            relative: f64::NAN,
            absolute: f64::NAN,
            least: 1,
        };
        let (raw, within) = (
            Rate {
                differing: 2,
                compared: 3,
            },
            Rate {
                differing: 1,
                compared: 3,
            },
        );
        assert!(!is_noise(raw, within, &thresholds));
    }

    #[test]
    fn a_group_counts_once_per_comparison_and_beyond_the_bound_it_is_counted_as_overflow() {
        let mut tally = Tally::new(2);
        tally.raw(["a", "a", "b"]);
        tally.raw(["c", "a"]);
        tally.noise(["c", "d"]);
        let groups: Vec<_> = tally.groups().collect();
        assert_eq!(
            groups,
            [
                ("a", Counts { raw: 2, noise: 0 }),
                ("b", Counts { raw: 1, noise: 0 })
            ]
        );
        assert_eq!(tally.overflow(), Counts { raw: 1, noise: 2 });
        assert_eq!(tally.compared(), Counts { raw: 2, noise: 1 });
        assert!(!tally.is_noise(
            "c",
            &Thresholds {
                least: 1,
                ..Thresholds::default()
            }
        ));
        let text = serde_json::to_string(&tally).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
    }
}
