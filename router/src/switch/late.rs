//! Entries that are written behind the switch's back: at once if the database is there, else as soon as it is.
//!
//! For [`super::perform`]. Two kinds come here: what happened without anybody waiting for the log (a file edited by hand
//! was taken or refused), and what could not be written in time. A revert does not wait for a database, so it may be made
//! before the log has it; its words are then in the program's log, at level error, and here until the database takes them.
//!
//! They are written in the order in which they came, and at most [`ROOM`] wait; what finds no room is in the program's log
//! only. A router that is killed takes what waits here with it: then the next start finds a file whose hash the log does
//! not know, and notes that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::error::chain;
use chrono::NaiveDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::audit::{Action, Error, Ledger, Outcome, Planned};

/// How many entries may wait.
pub const ROOM: usize = 100;
/// How long to wait after the database has refused.
const PAUSE: Duration = Duration::from_millis(500);

/// What is to be written of a switch whose end is known.
#[derive(Debug)]
pub(super) struct Untold {
    pub(super) intent: Intent,
    pub(super) planned: Planned,
    pub(super) at: NaiveDateTime,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    /// The program's log has it already.
    pub(super) is_logged: bool,
}

/// What the log has of it so far.
#[derive(Debug)]
pub(super) enum Intent {
    /// Nothing.
    Missing,
    /// That it was begun.
    Written(i64),
    /// Somebody is still trying to write that it was begun.
    Pending(JoinHandle<Result<i64, Error>>),
}

/// The entries that wait; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Late(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    inbox: Mutex<Inbox>,
    waiting: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inbox {
    queue: VecDeque<Untold>,
    is_served: bool,
}

impl Late {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Inner {
            ledger,
            inbox: Mutex::default(),
            waiting: watch::Sender::new(0),
        }))
    }

    /// Takes an entry to be written. Must be called within the async runtime.
    pub(super) fn push(&self, untold: Untold) {
        let mut inbox = self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        // One more may be in the hands of the task that writes.
        if inbox.queue.len() >= ROOM {
            let sentence = untold.planned.sentence();
            tracing::error!(
                waiting = ROOM,
                outcome = untold.outcome.words(),
                "the audit log will miss an entry, too many wait for its database: {sentence}"
            );
            return;
        }
        inbox.queue.push_back(untold);
        self.0.waiting.send_modify(|waiting| *waiting += 1);
        if !inbox.is_served {
            inbox.is_served = true;
            tokio::spawn(Self::serve(self.clone()));
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        *self.0.waiting.borrow()
    }

    /// Waits until none waits; whether that was in time.
    pub(super) async fn written(&self, patience: Duration) -> bool {
        let mut waiting = self.0.waiting.subscribe();
        let empty = waiting.wait_for(|waiting| *waiting == 0);
        tokio::time::timeout(patience, empty).await.is_ok()
    }

    async fn serve(self) {
        loop {
            let next = {
                let mut inbox = self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner);
                let next = inbox.queue.pop_front();
                inbox.is_served = next.is_some();
                next
            };
            let Some(untold) = next else { return };
            self.write(untold).await;
            self.0.waiting.send_modify(|waiting| *waiting -= 1);
        }
    }

    async fn write(&self, mut untold: Untold) {
        let begun = match &mut untold.intent {
            Intent::Missing => None,
            Intent::Written(id) => Some(*id),
            Intent::Pending(attempt) => attempt.await.ok().and_then(Result::ok),
        };
        // What was neither begun nor done needs no telling.
        if begun.is_none() && untold.outcome == Outcome::NotDone {
            return;
        }
        let mut is_logged = untold.is_logged;
        loop {
            let written = match begun {
                Some(id) => self.0.ledger.conclude(id, untold.outcome, &untold.detail).await,
                None => self.note(&untold).await,
            };
            // An intent that is gone (a restored backup) will not come back.
            let Err(error) = written else { return };
            if matches!(error, Error::NotFound(_)) {
                tracing::error!("{}: {}", chain(&error), untold.planned.sentence());
                return;
            }
            if !is_logged {
                is_logged = true;
                let sentence = untold.planned.sentence();
                tracing::error!(
                    error = chain(&error),
                    outcome = untold.outcome.words(),
                    "the audit log cannot be written, the entry waits: {sentence}"
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn note(&self, untold: &Untold) -> Result<(), Error> {
        let (ledger, planned) = (&self.0.ledger, &untold.planned);
        // The file that the reload has taken may have been written by another process at this place, which has told it.
        if planned.action == Action::Reload && ledger.knows(&planned.hash_after).await? {
            return Ok(());
        }
        let noted = ledger.note(planned, untold.at, untold.outcome, &untold.detail);
        noted.await.map(drop)
    }
}
