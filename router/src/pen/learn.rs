//! What the router learns of a module's pen, from a side's status, from a refusal, from an operator; and what follows for writes.
//!
//! For [`super::watch`], [`super::write`] and the operators' port. The rules are those of *What clients and routers see* in
//! `docs/src/reference/hand-over-protocol.md`, under the names that they have there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use handover::wire::{Phase, State, Status};

use super::{Pen, millis, now};
use crate::config::Owner;

/// Epochs are numbers of the protocol, all below this; one that is not is no epoch.
const EPOCHS: u64 = 1 << 53;

/// What has been learned, beyond what each request needs.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// The highest epoch in which nobody could write, by a refusal.
    pub(super) refused_in: u64,
    /// How many refusals said so. A look that began before the last of them says nothing new.
    pub(super) refusals: u64,
    /// Until when nobody may write, as far as was last seen.
    pub(super) moving_until: u64,
    /// Until when an operator lets writes wait.
    pub(super) held_until: u64,
    /// The epoch when the operator said so: a later one ends it.
    pub(super) held_in: u64,
    /// Whom the last event named as the holder.
    pub(super) told: Option<Owner>,
    /// Each side's status, if it answered when it was last asked.
    pub(super) seen: [Option<Status>; 2],
}

/// What a side that refused a write knows of the pen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Who refused.
    pub by: Owner,
    /// Who holds the pen, as far as that side knows.
    pub holder: Owner,
    /// In which epoch.
    pub epoch: u64,
    /// What can be done with it.
    pub state: State,
}

impl Pen {
    /// Lets writes wait for a while, since a coordinator says that the pen is about to move.
    pub fn hold_writes(&self, time: Duration) {
        let mut learned = self.lock();
        // The first epoch that is heard of is no move of the pen, and must not end a hold that came before it.
        learned.held_in = match self.epoch() {
            0 => u64::MAX,
            known => known,
        };
        learned.held_until = now() + millis(time);
        self.settle(&learned);
    }

    /// Ends that. Writes that wait because a side said so go on waiting until one says otherwise.
    pub fn release_writes(&self) {
        let mut learned = self.lock();
        learned.held_until = 0;
        self.settle(&learned);
        self.look.send_replace(());
    }

    /// Takes note of a refusal.
    pub fn note_refusal(&self, refusal: Refusal) {
        let Refusal {
            by,
            holder,
            epoch,
            state,
        } = refusal;
        if epoch >= EPOCHS {
            return;
        }
        let mut learned = self.lock();
        let known = self.epoch();
        if state == State::Held && epoch >= known {
            self.raise(&mut learned, holder, epoch);
        } else if epoch >= known || Some(by) == self.holder() {
            // Fenced or granted; or the side that was known to hold the pen does not know that yet.
            learned.refusals += 1;
            learned.refused_in = learned.refused_in.max(epoch);
            learned.moving_until = now() + millis(self.settings.hold);
        }
        // Else the refusal is older than what is known, and the holder has the pen already.
        self.settle(&learned);
        drop(learned);
        self.look.send_replace(());
    }

    /// How many refusals have said that nobody may write. To be asked before a look begins.
    pub(crate) fn refusals(&self) -> u64 {
        self.lock().refusals
    }

    /// Takes note of what a side says, which was asked when there had been so many refusals. `None`: it did not answer. Gives the
    /// holder, if that is another one than was given last.
    pub fn note(&self, side: Owner, status: Option<Status>, refusals: u64) -> Option<Owner> {
        let mut learned = self.lock();
        let status = status.filter(|status| status.pen.epoch < EPOCHS);
        self.follows[side as usize].store(status.as_ref().is_some_and(is_close), Ordering::Release);
        let pen = status.as_ref().map(|status| &status.pen);
        let seen = learned.seen.iter().flatten().map(|status| status.pen.epoch);
        let highest = seen.max().unwrap_or(0).max(self.epoch());
        if let Some(pen) = pen.filter(|pen| pen.epoch >= highest) {
            let is_news = refusals == learned.refusals || pen.epoch > learned.refused_in;
            if pen.is_here() && is_news {
                self.raise(&mut learned, side, pen.epoch);
            } else if pen.state != State::Held {
                learned.moving_until = now() + millis(self.settings.hold);
            }
        }
        learned.seen[side as usize] = status;
        self.settle(&learned);
        let before = learned.told;
        learned.told = self.holder().or(before);
        let changed = learned
            .told
            .filter(|told| before.is_some_and(|before| before != *told));
        drop(learned);
        self.looks[side as usize].fetch_add(1, Ordering::AcqRel);
        self.looked.notify_waiters();
        changed
    }

    /// Somebody holds the pen, at an epoch that is not below the highest seen: writes go on.
    fn raise(&self, learned: &mut Learned, owner: Owner, epoch: u64) {
        self.holder.fetch_max(epoch << 2 | code(owner), Ordering::AcqRel);
        learned.moving_until = 0;
        if epoch > learned.held_in {
            learned.held_until = 0;
        }
    }

    /// Lets the data path see what has been learned, and those who wait look again.
    fn settle(&self, learned: &Learned) {
        let until = learned.moving_until.max(learned.held_until);
        self.waits_until.store(until, Ordering::Release);
        self.holding.notify_one();
        if until <= now() && self.queue.len() > 0 {
            self.queue.call();
        }
    }
}

/// Whether a side's copy is whole and kept so.
fn is_close(status: &Status) -> bool {
    let follow = status.follow.as_ref().filter(|_| !status.pen.is_here());
    follow.is_some_and(|follow| follow.phase == Phase::Following)
}

fn code(owner: Owner) -> u64 {
    match owner {
        Owner::Monolith => 1,
        Owner::Service => 2,
    }
}
