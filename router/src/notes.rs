//! What one worker has counted since it last said so: traffic by route and side, copies that were not made.
//!
//! For the worker, which writes it without a lock, and for a thread beside the shadow's, which takes it in as evidence once a
//! second.
//! Counts name routes by their index, so they belong to one snapshot and are handed over when it changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::evidence::{Counts, Outcome, Side, Tally};
use crate::shadow::Reason;
use crate::snapshot::Snapshot;

/// A worker's counts.
#[derive(Debug)]
pub struct Notebook {
    snapshot: Arc<Snapshot>,
    traffic: Tally,
    drops: HashMap<(usize, Reason), u64>,
    to: UnboundedSender<Notes>,
}

/// Counts that are handed over.
#[derive(Debug)]
pub struct Notes {
    /// What the indexes refer to.
    pub snapshot: Arc<Snapshot>,
    /// Answers by route and side; the index after the last route stands for requests that no route matches.
    pub traffic: Vec<(usize, Side, Counts)>,
    /// Copies that were not made, by route and reason.
    pub drops: Vec<(usize, Reason, u64)>,
}

impl Notebook {
    /// Empty, for requests that are served from this snapshot.
    pub fn new(snapshot: Arc<Snapshot>, to: UnboundedSender<Notes>) -> Self {
        Self {
            snapshot,
            traffic: Tally::new(),
            drops: HashMap::new(),
            to,
        }
    }

    /// Counts what one side did with a request: its status, or none.
    pub fn served(
        &mut self,
        by: &Arc<Snapshot>,
        route: Option<usize>,
        side: Side,
        status: Option<u16>,
        took: Duration,
    ) {
        self.turn_to(by);
        let route = route.unwrap_or(by.config.routes.len());
        let outcome = status.map_or(Outcome::Failed, |_| Outcome::Answered);
        self.traffic
            .note(route, side, status.unwrap_or_default(), took, outcome);
    }

    /// Counts a copy that is not made.
    pub fn dropped(&mut self, by: &Arc<Snapshot>, route: usize, reason: Reason) {
        self.turn_to(by);
        *self.drops.entry((route, reason)).or_default() += 1;
    }

    /// Hands over what has been counted.
    pub fn hand_over(&mut self) {
        if self.traffic.is_empty() && self.drops.is_empty() {
            return;
        }
        let drops = self.drops.drain();
        let notes = Notes {
            snapshot: Arc::clone(&self.snapshot),
            traffic: self.traffic.drain(),
            drops: drops
                .map(|((route, reason), count)| (route, reason, count))
                .collect(),
        };
        // The other end is gone only while the process ends.
        let _ended = self.to.send(notes);
    }

    /// A request goes on with the snapshot it began with, so for a moment after a reload this goes back and forth.
    fn turn_to(&mut self, snapshot: &Arc<Snapshot>) {
        if !Arc::ptr_eq(&self.snapshot, snapshot) {
            self.hand_over();
            self.snapshot = Arc::clone(snapshot);
        }
    }
}
