//! What one side answered, and how fast: the smallest piece of evidence.
//!
//! For tallies, windows and the store alike; they add these up, and nothing else needs to know what is in them.

use super::latency::Latencies;

/// Answers of one side, by class of status, requests without an answer, and latencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answers by class of status: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub classes: [u64; 5],
    /// Requests that got no answer: not connected, broken off, or too late.
    pub failed: u64,
    /// How long the answers took. A request that failed is not in here: what it took says when we gave up.
    pub latencies: Latencies,
}

impl Counts {
    /// Answers with any status.
    pub fn answered(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Requests, answered or not.
    pub fn total(&self) -> u64 {
        self.answered().saturating_add(self.failed)
    }

    /// Requests that ended badly by the side's own fault: no answer, or a 5xx.
    pub fn errors(&self) -> u64 {
        self.failed.saturating_add(self.classes[4])
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.classes.iter_mut().zip(other.classes) {
            *ours = ours.saturating_add(theirs);
        }
        self.failed = self.failed.saturating_add(other.failed);
        self.latencies.merge(&other.latencies);
    }
}

/// The place of a status in an array of five classes; none if it is no HTTP status (RFC 9110, section 15).
pub fn class(status: u16) -> Option<usize> {
    match status {
        100..=599 => Some(usize::from(status / 100) - 1),
        _ => None,
    }
}
