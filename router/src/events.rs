//! What happened, as it happens: switches, reloads, breaches, circuits.
//!
//! For people who follow the router (`banyan events`, the admin port's `/events`), and counted for its metrics. Telling
//! costs a lock and an allocation and never waits. The last [`KEPT`] are kept, so that a reader who lost its connection
//! goes on where it was; one that does not keep up is cut off and may come back the same way.
//!
//! Numbers rise by one. A process begins with the milliseconds of its start, so that what a reader knew of the process before is
//! older than anything of this one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Events that are kept for readers who come back.
pub const KEPT: usize = 500;
/// Events that a reader may be behind.
const BEHIND: usize = 128;
/// Routes that an event names at the most.
const ROUTES: usize = 100;
/// Characters of an event's text.
const TEXT: usize = 2000;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Routes were switched by command, or by themselves.
    Switch,
    /// An edited file was taken.
    Reload,
    /// An edited file was refused.
    RefusedReload,
    /// A service surely hurts clients.
    Breach,
    /// An upstream keeps failing.
    CircuitOpened,
    /// It answers again.
    CircuitClosed,
    /// A module's pen has another holder.
    PenMoved,
    /// A coordinator has made a step of a hand-over.
    Handover,
    /// An address of several keeps failing, and is left alone.
    AddressEjected,
    /// It answers again.
    AddressReturned,
}

/// One thing that happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Event {
    /// Its number.
    pub id: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// What kind of thing.
    pub kind: Kind,
    /// What happened to what.
    #[serde(flatten)]
    pub about: About,
}

/// What an event is about.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct About {
    /// The event in a sentence; for a switch that of the audit log.
    pub text: String,
    /// The routes concerned, the first hundred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// The upstream concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What for, in the word of the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub action: Option<&'static str>,
}

/// Where events are told and followed; cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    told: Mutex<Told>,
    live: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug)]
struct Told {
    next: u64,
    kept: VecDeque<Arc<Event>>,
    counts: [u64; Kind::ALL.len()],
}

/// What somebody who begins to follow gets.
#[derive(Debug)]
pub struct Following {
    /// What it has missed, oldest first.
    pub missed: Vec<Arc<Event>>,
    /// Whether some of what it has missed is not kept any more.
    pub has_gap: bool,
    /// What comes from now on.
    pub live: broadcast::Receiver<Arc<Event>>,
}

impl Events {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let start = u64::try_from(Utc::now().timestamp_millis()).unwrap_or(1);
        Self(Arc::new(Inner {
            told: Mutex::new(Told {
                next: start,
                kept: VecDeque::new(),
                counts: [0; Kind::ALL.len()],
            }),
            live: broadcast::Sender::new(BEHIND),
        }))
    }

    /// Tells that something happened.
    pub fn tell(&self, kind: Kind, about: About) {
        let mut told = self.lock();
        let event = Arc::new(Event {
            id: told.next,
            at: Utc::now(),
            kind,
            about: about.bounded(),
        });
        told.next += 1;
        told.counts[kind as usize] += 1;
        if told.kept.len() == KEPT {
            told.kept.pop_front();
        }
        told.kept.push_back(Arc::clone(&event));
        // Sent under the lock, or two events could be followed in another order than they are kept. Nobody may listen.
        let _listeners = self.0.live.send(event);
    }

    /// Begins to follow, after the event that was seen last; without one, from now on.
    pub fn follow(&self, seen: Option<u64>) -> Following {
        let told = self.lock();
        let missed: Vec<_> = match seen {
            Some(seen) => told
                .kept
                .iter()
                .filter(|event| event.id > seen)
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        let oldest = told.kept.front().map_or(told.next, |event| event.id);
        Following {
            missed,
            has_gap: seen.is_some_and(|seen| seen + 1 < oldest),
            live: self.0.live.subscribe(),
        }
    }

    /// What is kept, oldest first.
    pub fn kept(&self) -> Vec<Arc<Event>> {
        self.lock().kept.iter().cloned().collect()
    }

    /// How many of each kind there have been since the start.
    pub fn counts(&self) -> impl Iterator<Item = (Kind, u64)> {
        let counts = self.lock().counts;
        Kind::ALL.into_iter().zip(counts)
    }

    /// How many follow.
    pub fn followers(&self) -> usize {
        self.0.live.receiver_count()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Kind {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Switch,
        Self::Reload,
        Self::RefusedReload,
        Self::Breach,
        Self::CircuitOpened,
        Self::CircuitClosed,
        Self::PenMoved,
        Self::Handover,
        Self::AddressEjected,
        Self::AddressReturned,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Reload => "reload",
            Self::RefusedReload => "refused-reload",
            Self::Breach => "breach",
            Self::CircuitOpened => "circuit-opened",
            Self::CircuitClosed => "circuit-closed",
            Self::PenMoved => "pen-moved",
            Self::Handover => "handover",
            Self::AddressEjected => "address-ejected",
            Self::AddressReturned => "address-returned",
        }
    }
}

impl About {
    /// Something that is told in a sentence.
    pub fn new(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    fn bounded(mut self) -> Self {
        self.routes.truncate(ROUTES);
        if let Some((end, _)) = self.text.char_indices().nth(TEXT) {
            self.text.truncate(end);
            self.text.push('…');
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(events: &[Arc<Event>]) -> Vec<&str> {
        events.iter().map(|event| event.about.text.as_str()).collect()
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_gets_what_it_has_missed_and_then_what_comes() {
        let events = Events::new();
        events.tell(Kind::Reload, About::new("one".to_owned()));
        let seen = events.kept()[0].id;
        events.tell(Kind::Breach, About::new("two".to_owned()));
        let mut following = events.follow(Some(seen));
        assert_eq!(
            (texts(&following.missed), following.has_gap),
            (vec!["two"], false)
        );
        events.tell(Kind::Switch, About::new("three".to_owned()));
        let event = following.live.recv().await.unwrap();
        assert_eq!((event.id, event.about.text.as_str()), (seen + 2, "three"));
        assert!(events.follow(None).missed.is_empty());
        let counts: Vec<u64> = events.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_a_reader_learns_of_the_gap() {
        let events = Events::new();
        events.tell(Kind::Reload, About::new("first".to_owned()));
        let first = events.kept()[0].id;
        for _ in 0..KEPT + 1 {
            events.tell(Kind::Reload, About::new("x".repeat(10 * TEXT)));
        }
        let following = events.follow(Some(first));
        assert_eq!((following.missed.len(), following.has_gap), (KEPT, true));
        assert!(
            following
                .missed
                .iter()
                .all(|event| event.about.text.chars().count() == TEXT + 1)
        );
        assert!(!events.follow(Some(first + 1)).has_gap);
        // One that an earlier process has told.
        assert!(events.follow(Some(7)).has_gap);
    }

    #[tokio::test]
    async fn a_reader_that_does_not_keep_up_is_cut_off_and_the_teller_does_not_wait() {
        let events = Events::new();
        let mut following = events.follow(None);
        for _ in 0..10 * BEHIND {
            events.tell(Kind::Reload, About::default());
        }
        assert!(matches!(
            following.live.recv().await,
            Err(broadcast::error::RecvError::Lagged(_))
        ));
    }
}
