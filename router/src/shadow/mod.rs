//! The shadow: copies of safe requests go to the service, and the two answers are compared. No client waits for it.
//!
//! For routes in mode shadow, and for the monolith's share of a canary. The way of a copy: the exchange draws the sample and
//! writes the copy's head ([`Draft`]); the monolith's answer is collected on its way to the client ([`capture`]); when it is
//! complete, the copy is offered to the queue; a thread of its own ([`run`]) sends it, compares, asks again where there is a
//! difference, and notes what it found as evidence.
//!
//! Architecture Invariant: the data path never waits for the shadow. What it does for a copy is bounded (a head is written, a
//! body of bounded length is copied), and when the queue or the memory is full, the copy is dropped and counted by reason.

pub mod capture;
pub mod fetch;
pub mod findings;
pub mod run;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::compare::Answer;
use crate::notes::Notes;
use crate::snapshot::Snapshot;

/// The header that tells an upstream that nobody waits for the answer, so that logs and mails can tell.
pub const MARK: http::HeaderName = http::HeaderName::from_static("x-banyan-shadow");

/// Why a request that could have been compared was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The sample did not draw it.
    Sampling,
    /// It has a body, which is not kept.
    HasBody,
    /// The monolith's answer is longer than what is compared.
    TooLarge,
    /// As many copies wait as may.
    QueueFull,
    /// The answers that wait take up all the memory they may.
    NoRoom,
    /// The client left, or the monolith broke off, before the answer was complete.
    Incomplete,
    /// The monolith gave no answer to compare with.
    NoAnswer,
}

/// A request that will be copied, once the monolith has answered.
#[derive(Debug)]
pub struct Draft {
    /// What it was served by.
    pub snapshot: Arc<Snapshot>,
    /// Index of its route.
    pub route: usize,
    /// Index of the service's upstream.
    pub service: usize,
    /// The head for the service.
    pub to_service: http::Request<()>,
    /// The head for the monolith, for when it is asked again.
    pub to_monolith: http::Request<()>,
    /// How long the monolith took to the head of its answer.
    pub took: Duration,
}

/// A copy with the answer that its twin got.
#[derive(Debug)]
pub struct Copy {
    /// The request.
    pub draft: Box<Draft>,
    /// The monolith's answer.
    pub answer: Answer,
    _place: Place,
    _space: Space,
}

/// The workers' end of the shadow.
#[derive(Debug, Clone)]
pub struct Shadow {
    queue: UnboundedSender<Copy>,
    notes: UnboundedSender<Notes>,
    room: Arc<Room>,
}

/// How much of the shadow's room is taken. The limits are the config's, so that a reload can change them.
#[derive(Debug, Default)]
struct Room {
    waiting: AtomicUsize,
    bytes: AtomicUsize,
}

/// A place in the queue.
#[derive(Debug)]
struct Place(Arc<Room>);

/// Memory that a copy takes up.
#[derive(Debug)]
struct Space {
    room: Arc<Room>,
    bytes: usize,
}

impl Shadow {
    /// The workers' end, for copies that are sent through `queue` and counts that are sent through `notes`.
    pub fn new(queue: UnboundedSender<Copy>, notes: UnboundedSender<Notes>) -> Self {
        Self {
            queue,
            notes,
            room: Arc::default(),
        }
    }

    /// Where workers send what they have counted.
    pub fn notes(&self) -> UnboundedSender<Notes> {
        self.notes.clone()
    }

    /// Offers a copy whose answer is complete.
    fn offer(&self, draft: Box<Draft>, answer: Answer, space: Space) -> Result<(), Reason> {
        let most = draft.snapshot.config.shadow.queue;
        let place = Place(Arc::clone(&self.room));
        if self.room.waiting.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(Reason::QueueFull);
        }
        let copy = Copy {
            draft,
            answer,
            _place: place,
            _space: space,
        };
        // The other end is gone only while the process ends.
        self.queue.send(copy).map_err(|_| Reason::QueueFull)
    }

    fn space(&self) -> Space {
        Space {
            room: Arc::clone(&self.room),
            bytes: 0,
        }
    }

    /// Bytes and copies that wait, for whoever watches.
    pub fn load(&self) -> (usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (read(&self.room.bytes), read(&self.room.waiting))
    }
}

impl Space {
    /// Takes so much more, unless the limit is reached.
    fn take(&mut self, bytes: usize, limit: usize) -> bool {
        self.bytes += bytes;
        self.room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= limit
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Reason {
    /// The word for it, in metrics and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::HasBody => "has-body",
            Self::TooLarge => "too-large",
            Self::QueueFull => "queue-full",
            Self::NoRoom => "no-room",
            Self::Incomplete => "incomplete",
            Self::NoAnswer => "no-answer",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
