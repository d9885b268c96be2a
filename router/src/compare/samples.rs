//! Examples of what differed: per group how often, since when, and the latest few.
//!
//! For whoever asks "show me one", through the admin API, and for the database, which keeps them over a restart. Bounded in
//! every direction: groups, examples per group, and bytes per example. Secrets are gone before anything gets here: values by
//! [`super::compare`], parameters of the target by [`Samples::add`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::print::{shorten, show_text};
use super::{Difference, Differences};

const LONGEST_METHOD: usize = 32;
const LONGEST_TARGET: usize = 512;

/// A bounded store of examples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    most_groups: usize,
    most_examples: usize,
    groups: BTreeMap<String, Group>,
    overflow: u64,
}

/// What is known of one field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Comparisons in which it differed.
    pub count: u64,
    /// When it differed first.
    pub first_seen: DateTime<Utc>,
    /// When it differed last.
    pub last_seen: DateTime<Utc>,
    /// The latest examples, the newest last, each of another target.
    pub samples: Vec<Sample>,
}

/// One example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub seen: DateTime<Utc>,
    /// The request's method.
    pub method: String,
    /// Its path and query, with the values of parameters replaced whose names look secret.
    pub target: String,
    /// As in [`Difference::at`].
    pub at: String,
    /// As in [`Difference::left`].
    pub left: String,
    /// As in [`Difference::right`].
    pub right: String,
}

impl Samples {
    /// Remembers at most so many groups, and so many examples of each.
    pub fn new(most_groups: usize, most_examples: usize) -> Self {
        Self {
            most_groups,
            most_examples,
            ..Self::default()
        }
    }

    /// Adds what one comparison found.
    pub fn add(&mut self, now: SystemTime, method: &str, target: &str, differences: &Differences) {
        let now = DateTime::<Utc>::from(now);
        for difference in &differences.listed {
            let sample = Sample {
                seen: now,
                method: shorten(method, LONGEST_METHOD).into_owned(),
                target: show_text(target, LONGEST_TARGET),
                at: difference.at.clone(),
                left: difference.left.clone(),
                right: difference.right.clone(),
            };
            self.put(difference, sample);
        }
        if differences.unlisted() > 0 {
            self.overflow += 1;
        }
    }

    fn put(&mut self, difference: &Difference, sample: Sample) {
        let room = self.groups.len() < self.most_groups;
        let group = match self.groups.entry(difference.group.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => new.insert(Group {
                count: 0,
                first_seen: sample.seen,
                last_seen: sample.seen,
                samples: Vec::new(),
            }),
            Entry::Vacant(_) => {
                self.overflow += 1;
                return;
            }
        };
        group.count += 1;
        // Comparisons end in another order than they began.
        group.first_seen = group.first_seen.min(sample.seen);
        group.last_seen = group.last_seen.max(sample.seen);
        group
            .samples
            .retain(|known| (&known.method, &known.target) != (&sample.method, &sample.target));
        group.samples.push(sample);
        let surplus = group.samples.len().saturating_sub(self.most_examples);
        group.samples.drain(..surplus);
    }

    /// Every remembered group, in alphabetical order.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(name, group)| (name.as_str(), group))
    }

    /// How often something differed that found no room: once per group that was turned away, and once per comparison that had
    /// more groups than it could list.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn differences(groups: &[&str]) -> Differences {
        let listed = groups.iter().map(|group| Difference {
            group: (*group).to_owned(),
            at: "$.a[0]".to_owned(),
            left: "1".to_owned(),
            right: "2".to_owned(),
            count: 1,
        });
        Differences {
            listed: listed.collect(),
            total: groups.len() as u64,
            uncompared: None,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn groups_and_examples_are_bounded_and_the_rest_is_counted() {
        let mut samples = Samples::new(2, 3);
        for n in 0..10u64 {
            samples.add(
                at(n),
                "GET",
                &format!("/a/{n}"),
                &differences(&["one", "two", "three"]),
            );
        }
        assert_eq!(samples.overflow(), 10);
        let groups: Vec<_> = samples.groups().collect();
        assert_eq!(
            groups.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["one", "two"]
        );
        let (_, one) = groups[0];
        assert_eq!(
            (one.count, one.first_seen, one.last_seen),
            (10, at(0).into(), at(9).into())
        );
        let targets: Vec<_> = one.samples.iter().map(|sample| sample.target.as_str()).collect();
        assert_eq!(targets, ["/a/7", "/a/8", "/a/9"]);
    }

    #[test]
    fn one_target_cannot_fill_the_examples() {
        let mut samples = Samples::new(1, 3);
        samples.add(at(0), "GET", "/rare", &differences(&["one"]));
        (1..100).for_each(|n| samples.add(at(n), "GET", "/often", &differences(&["one"])));
        let (_, group) = samples.groups().next().unwrap();
        let targets: Vec<_> = group
            .samples
            .iter()
            .map(|sample| sample.target.as_str())
            .collect();
        assert_eq!(targets, ["/rare", "/often"]);
        assert_eq!(group.count, 100);
    }

    #[test]
    fn targets_are_shortened_and_their_secrets_are_gone() {
        let mut samples = Samples::new(1, 1);
        let target = format!("/a?access_token=s3cr3t&q={}", "x".repeat(10_000));
        samples.add(at(0), "GET", &target, &differences(&["one"]));
        let text = serde_json::to_string(&samples).unwrap();
        assert!(
            !text.contains("s3cr3t") && text.contains("/a?access_token=[redacted]&q=xxx"),
            "{text}"
        );
        assert!(text.len() < 1200, "{}", text.len());
        assert_eq!(serde_json::from_str::<Samples>(&text).unwrap(), samples);
    }

    #[test]
    fn differences_that_were_not_listed_are_counted() {
        let mut samples = Samples::new(5, 1);
        let mut more = differences(&["one"]);
        more.total = 4;
        samples.add(at(0), "GET", "/a", &more);
        assert_eq!(samples.overflow(), 1);
    }
}
