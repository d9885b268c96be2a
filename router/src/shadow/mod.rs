//! The shadow: copies of safe requests go to the service, and the two answers are compared. No client waits for it.
//!
//! For routes in mode shadow, and for the monolith's share of a canary. The way of a copy: the exchange draws the sample and
//! writes the copy's head ([`Draft`]); the monolith's answer is collected on its way to the client ([`capture`]); when it is
//! complete, the copy is offered to the queue; a thread of its own ([`run`]) sends it, compares, asks again where there is a
//! difference, and notes what it found as evidence. A copy for which there is no room is not begun.
//!
//! Architecture Invariant: the data path never waits for the shadow. What it does for a copy is bounded (a head is written, a
//! body of bounded length is copied), and when the queue or the memory is full, the copy is dropped and counted by reason.

pub mod capture;
pub mod fetch;
pub mod findings;
pub mod packed;
pub mod run;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::UnboundedSender;

use crate::compare::Answer;
use crate::config::Shadow as Settings;
use crate::evidence::Side;
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
    /// The service could not be reached for copies of late, and rests.
    CircuitOpen,
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
    /// What is asked.
    pub asks: Asked,
}

/// A safe request without a body, for whichever side will be asked.
#[derive(Debug)]
pub struct Asked {
    /// How.
    pub method: http::Method,
    /// Path and query, byte for byte, and the fields of its head behind them ([`packed`]).
    pub text: BytesMut,
    /// Where the fields begin.
    pub fields: usize,
    /// Each upstream is called by its own name, and not by the one that the client has called us by.
    pub by_own_name: bool,
}

/// An answer that was collected, as it stands in memory.
#[derive(Debug)]
struct Collected {
    status: u16,
    /// The fields of its head ([`packed`]), and its body behind them.
    text: Bytes,
    /// Where the body begins.
    head: usize,
}

/// A copy on its way to the shadow's thread.
#[derive(Debug)]
pub struct Copy {
    draft: Box<Draft>,
    collected: Collected,
    place: Place,
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

/// What a copy takes up of it, given back when the copy is done.
#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    bytes: usize,
    is_waiting: bool,
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

    /// Whether there is no room for one more copy as things are, and why. It is looked at before one is begun, so that a
    /// shadow that cannot keep up costs the worker little; another worker may still be quicker to take what is left.
    pub fn is_full(&self, settings: &Settings) -> Option<Reason> {
        let (bytes, waiting) = self.load();
        match (waiting >= settings.queue, bytes >= settings.memory) {
            (true, _) => Some(Reason::QueueFull),
            (false, true) => Some(Reason::NoRoom),
            (false, false) => None,
        }
    }

    /// Offers a copy whose answer is complete. One that finds no place comes back.
    fn offer(
        &self,
        draft: Box<Draft>,
        collected: Collected,
        mut place: Place,
    ) -> Result<(), (Reason, Box<Draft>)> {
        let most = draft.snapshot.config.shadow.queue;
        place.is_waiting = true;
        if self.room.waiting.fetch_add(1, Ordering::Relaxed) >= most {
            return Err((Reason::QueueFull, draft));
        }
        let copy = Copy {
            draft,
            collected,
            place,
        };
        // The other end is gone only while the process ends.
        self.queue
            .send(copy)
            .map_err(|unsent| (Reason::QueueFull, unsent.0.draft))
    }

    fn place(&self) -> Place {
        Place {
            room: Arc::clone(&self.room),
            bytes: 0,
            is_waiting: false,
        }
    }

    /// Bytes and copies that wait, for whoever watches.
    pub fn load(&self) -> (usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (read(&self.room.bytes), read(&self.room.waiting))
    }
}

impl Place {
    /// Takes so much more memory, unless the limit is reached.
    fn take(&mut self, bytes: usize, limit: usize) -> bool {
        self.bytes += bytes;
        self.room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= limit
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.is_waiting {
            self.room.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Draft {
    /// Path and query.
    fn target(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.asks.text[..self.asks.fields])
    }

    /// The head for a side, unless the target is one that our client cannot ask for.
    fn head(&self, side: Side) -> Option<http::Request<()>> {
        let (target, fields) = self.asks.text.split_at(self.asks.fields);
        let mut request = http::Request::new(());
        *request.method_mut() = self.asks.method.clone();
        *request.uri_mut() = http::Uri::from(http::uri::PathAndQuery::try_from(target).ok()?);
        *request.headers_mut() = packed::fields(fields);
        let fields = request.headers_mut();
        if self.asks.by_own_name {
            let upstream = match side {
                Side::Monolith => self.snapshot.monolith,
                Side::Service => self.service,
            };
            // Which address will be asked is not known yet; it shows here alone.
            let own = &self.snapshot.config.upstreams[upstream].addresses[0].authority;
            if let Ok(own) = http::HeaderValue::from_str(own) {
                fields.insert(http::header::HOST, own);
            }
        }
        // Both sides are told that nobody waits for the answer.
        fields.insert(MARK, http::HeaderValue::from_static("1"));
        Some(request)
    }
}

impl Collected {
    /// As the comparer has it.
    fn answer(&self) -> Answer {
        Answer {
            status: self.status,
            headers: packed::fields(&self.text[..self.head]),
            body: self.text.slice(self.head..),
        }
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
            Self::CircuitOpen => "circuit-open",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tokio::sync::mpsc::unbounded_channel;

    fn draft(by_own_name: bool) -> Box<Draft> {
        let text = "[router]\n[upstreams]\nmonolith = \"http://a:1\"\ns = \"http://b:2\"\n[modules.m]\nservice = \"s\"\n\
                    [[modules.m.routes]]\nname = \"r\"\nmatch = \"GET /a\"\nmode = \"shadow\"\n[shadow]\nqueue = 1\n";
        let snapshot = Snapshot::new(Config::parse("test.toml", text.as_bytes()).unwrap());
        let service = (0..2).find(|at| *at != snapshot.monolith).unwrap();
        let mut text = BytesMut::from("/a?b=%20c");
        let fields = text.len();
        packed::put(&mut text, "host", b"shop.example");
        packed::put(&mut text, "accept", b"*/*");
        Box::new(Draft {
            snapshot: Arc::new(snapshot),
            route: 0,
            service,
            asks: Asked {
                method: http::Method::GET,
                text,
                fields,
                by_own_name,
            },
        })
    }

    #[test]
    fn both_sides_are_asked_for_the_same_and_told_that_it_is_a_copy() {
        let host = |draft: &Draft, side| {
            let head = draft.head(side).unwrap();
            assert_eq!(head.uri().to_string(), "/a?b=%20c");
            assert_eq!(
                (&head.headers()["accept"], &head.headers()[MARK]),
                (&"*/*".parse().unwrap(), &"1".parse().unwrap())
            );
            head.headers()["host"].to_str().unwrap().to_owned()
        };
        let of_both = |draft: &Draft| [host(draft, Side::Monolith), host(draft, Side::Service)];
        assert_eq!(of_both(&draft(false)), ["shop.example", "shop.example"]);
        assert_eq!(of_both(&draft(true)), ["a:1", "b:2"]);
    }

    #[test]
    fn a_copy_is_not_begun_while_there_is_no_room_for_it() {
        let (queue, mut copies) = unbounded_channel();
        let shadow = Shadow::new(queue, unbounded_channel().0);
        let draft = || draft(false);
        let settings = draft().snapshot.config.shadow.clone();
        let collected = || Collected {
            status: 200,
            text: Bytes::from_static(b"body"),
            head: 0,
        };
        assert_eq!(shadow.is_full(&settings), None);
        shadow.offer(draft(), collected(), shadow.place()).unwrap();
        assert_eq!(shadow.is_full(&settings), Some(Reason::QueueFull));
        // One that was begun before finds out at its end, and leaves nothing behind.
        let (reason, _) = shadow.offer(draft(), collected(), shadow.place()).unwrap_err();
        assert_eq!((reason, shadow.load()), (Reason::QueueFull, (0, 1)));
        drop(copies.try_recv().unwrap());
        assert_eq!(shadow.is_full(&settings), None);
        let mut place = shadow.place();
        assert!(!place.take(settings.memory + 1, settings.memory));
        assert_eq!(shadow.is_full(&settings), Some(Reason::NoRoom));
        drop(place);
        assert_eq!(shadow.is_full(&settings), None);
    }
}
