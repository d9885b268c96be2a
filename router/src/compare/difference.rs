//! What was found to differ: one entry per group, however often it differs.
//!
//! For whoever counts ([`super::noise`]), keeps examples ([`super::samples`]) and shows them. A group is a field, with the
//! indexes of arrays left out: `body $.items[*].price`. A list of a thousand items with a wrong price is one group, so it
//! cannot push the wrong name of item 7 off a list of bounded length.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::body::Reason;
use super::rules::Limits;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The field: `status`, `header etag`, `body` (as a whole) or `body $.items[*].price`.
    pub group: String,
    /// Where it was first met: `status`, `etag`, `body` or `$.items[3].price`, which can be copied into the rules.
    pub at: String,
    /// What the monolith said there: JSON, shortened, secrets replaced by `[redacted]`; or `[absent]`.
    pub left: String,
    /// What the service said there. If shortening or redacting made both look alike, ` (differs)` follows.
    pub right: String,
    /// How often the field differs in this pair of answers.
    pub count: u64,
}

/// All that differs between two answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// The first difference of each group, in the order of status, headers, body; at most
    /// [`Limits::differences`](super::Limits::differences) groups. Never empty unless that limit is 0.
    pub listed: Vec<Difference>,
    /// How many differences there are, those of unlisted groups included.
    pub total: u64,
    /// Why the body was not compared although status or headers differ.
    pub uncompared: Option<Reason>,
}

impl Differences {
    /// The fields that differ, each once.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(|difference| difference.group.as_str())
    }

    /// How many differences belong to groups that found no room on the list.
    pub fn unlisted(&self) -> u64 {
        let listed: u64 = self.listed.iter().map(|difference| difference.count).sum();
        self.total.saturating_sub(listed)
    }
}

/// Collects differences during one comparison.
#[derive(Debug)]
pub(super) struct Found {
    most: usize,
    listed: Vec<Difference>,
    positions: HashMap<String, usize>,
    total: u64,
}

impl Found {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.differences,
            listed: Vec::new(),
            positions: HashMap::new(),
            total: 0,
        }
    }

    /// Counts a difference; `show` gives what the two sides say, and is asked only if the group is new.
    pub(super) fn add(&mut self, group: &str, at: &str, show: impl FnOnce() -> (String, String)) {
        self.total += 1;
        if let Some(position) = self.positions.get(group) {
            if let Some(known) = self.listed.get_mut(*position) {
                known.count += 1;
            }
        } else if self.listed.len() < self.most {
            let (left, mut right) = show();
            if left == right {
                right.push_str(" (differs)");
            }
            self.positions.insert(group.to_owned(), self.listed.len());
            self.listed.push(Difference {
                group: group.to_owned(),
                at: at.to_owned(),
                left,
                right,
                count: 1,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(super) fn finish(self, uncompared: Option<Reason>) -> Differences {
        Differences {
            listed: self.listed,
            total: self.total,
            uncompared,
        }
    }
}
