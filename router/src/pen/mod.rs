//! Who may write a module that is handed over, as far as this router knows.
//!
//! For the choice, which sends writes to the holder whatever the file says; for [`write`], which lets them wait while the pen moves and
//! sends a refused one to the holder; and for operators. What is known comes from both sides' status ([`watch`]) and from their
//! refusals. It is knowledge about something that others decide: a router that has slept for an hour sends writes to a side that
//! refuses them, and learns from that.
//!
//! Shared by all workers, so it is made of atomics; a module without hand-over has none of it.

pub mod watch;
pub mod write;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use handover::wire::{State, Status};
use tokio::sync::Notify;

use crate::config::{Handover, Owner};

/// What is known of one module's pen.
#[derive(Debug)]
pub struct Pen {
    /// The module.
    pub module: String,
    /// Where it can be asked for, and how writes wait.
    pub settings: Handover,
    holder: AtomicU8,
    epoch: AtomicU64,
    /// Nobody may write, as far as was last seen.
    is_moving: AtomicBool,
    /// Whether the side that does not hold the pen follows the other closely enough to answer.
    follows: AtomicBool,
    /// Milliseconds on [`now`] until which an operator lets writes wait.
    held_until: AtomicU64,
    /// The epoch when the operator said so: a later one ends it.
    held_at: AtomicU64,
    waiting: AtomicUsize,
    /// Wakes those who wait.
    moved: Notify,
    /// Wakes the watch.
    pub(crate) look: Notify,
    seen: RwLock<Seen>,
}

/// Both sides' status, when they last answered.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The monolith's.
    pub monolith: Option<Status>,
    /// The service's.
    pub service: Option<Status>,
}

/// Why a write cannot wait any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// As many wait as may.
    Full,
    /// The pen took too long.
    TimeUp,
}

/// A place among those who wait; given back when it is dropped.
struct Place<'p>(&'p AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

const UNKNOWN: u8 = 0;

fn code(owner: Owner) -> u8 {
    match owner {
        Owner::Monolith => 1,
        Owner::Service => 2,
    }
}

impl Pen {
    /// Knows nothing yet.
    pub fn new(module: &str, settings: &Handover) -> Self {
        Self {
            module: module.to_owned(),
            settings: settings.clone(),
            holder: AtomicU8::new(UNKNOWN),
            epoch: AtomicU64::new(0),
            is_moving: AtomicBool::new(false),
            follows: AtomicBool::new(false),
            held_until: AtomicU64::new(0),
            held_at: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            moved: Notify::new(),
            look: Notify::new(),
            seen: RwLock::default(),
        }
    }

    /// Who holds the pen, by the highest epoch seen.
    pub fn holder(&self) -> Option<Owner> {
        match self.holder.load(Ordering::Acquire) {
            1 => Some(Owner::Monolith),
            2 => Some(Owner::Service),
            _ => None,
        }
    }

    /// The highest epoch seen.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether the side that does not hold the pen can answer reads.
    pub fn follows(&self) -> bool {
        self.follows.load(Ordering::Acquire)
    }

    /// How many writes wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether writes wait just now.
    pub fn is_held(&self) -> bool {
        self.is_moving.load(Ordering::Acquire) || self.held_until.load(Ordering::Acquire) > now()
    }

    /// What both sides said last.
    pub fn seen(&self) -> Seen {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets writes wait for a while, since a coordinator says that the pen is about to move.
    pub fn hold(&self, time: Duration) {
        self.held_at.store(self.epoch(), Ordering::Release);
        self.held_until.store(now() + millis(time), Ordering::Release);
    }

    /// Ends that.
    pub fn release(&self) {
        self.held_until.store(0, Ordering::Release);
        self.look.notify_one();
        self.moved.notify_waiters();
    }

    /// Waits until a side has said who holds the pen; after a start nobody has yet. In vain, the file says where to begin.
    pub async fn until_known(&self) {
        let deadline = Instant::now() + self.settings.hold;
        while self.holder().is_none() && Instant::now() < deadline {
            let moved = self.moved.notified();
            if self.holder().is_some() {
                return;
            }
            self.look.notify_one();
            let _ = tokio::time::timeout(Duration::from_millis(50), moved).await;
        }
    }

    /// Waits until somebody may write.
    pub async fn until_free(&self, patience: Duration) -> Result<(), Denied> {
        if !self.is_held() {
            return Ok(());
        }
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.settings.hold_requests {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(Denied::Full);
        }
        let _place = Place(&self.waiting);
        let deadline = Instant::now() + patience;
        loop {
            // Registered before the look, or a move between the two would be slept through.
            let moved = self.moved.notified();
            if !self.is_held() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Denied::TimeUp);
            }
            // An operator's hold ends by the clock, and tells nobody.
            let _ = tokio::time::timeout(left.min(Duration::from_millis(50)), moved).await;
        }
    }

    /// Takes note of a refusal: what the side that refused knows of the pen. Whether the pen is on its way, the next status says.
    pub fn note_refusal(&self, holder: Owner, epoch: u64, state: State) {
        if state == State::Held && epoch >= self.epoch() {
            self.raise(holder, epoch);
        } else {
            // Fenced, granted, or older than what is known: the new holder has not accepted yet.
            self.is_moving.store(true, Ordering::Release);
        }
        self.look.notify_one();
    }

    /// Takes note of what both sides say. Returns the new holder if it is another one than was known.
    pub fn note(&self, seen: Seen) -> Option<Owner> {
        let sides = [(Owner::Monolith, &seen.monolith), (Owner::Service, &seen.service)];
        let known = || {
            sides
                .iter()
                .filter_map(|(owner, status)| Some((*owner, status.as_ref()?)))
        };
        let highest = known().map(|(_, status)| status.pen.epoch).max().unwrap_or(0);
        let writer = known().find(|(_, status)| status.pen.is_here() && status.pen.epoch == highest);
        let mut changed = None;
        if highest >= self.epoch() {
            if let Some((owner, _)) = writer {
                let before = self.holder();
                self.raise(owner, highest);
                changed = (before.is_some() && before != Some(owner)).then_some(owner);
            } else if known()
                .any(|(_, status)| status.pen.epoch == highest && status.pen.state != State::Held)
            {
                self.is_moving.store(true, Ordering::Release);
            }
        }
        let follower = known().find(|(_, status)| !status.pen.is_here());
        let is_close = |status: &Status| {
            status
                .follow
                .as_ref()
                .is_some_and(|follow| follow.phase == handover::wire::Phase::Following)
        };
        self.follows.store(
            follower.is_some_and(|(_, status)| is_close(status)),
            Ordering::Release,
        );
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen;
        changed
    }

    /// Somebody holds the pen, at an epoch that is not below the highest seen: writes go on.
    fn raise(&self, owner: Owner, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
        self.holder.store(code(owner), Ordering::Release);
        self.is_moving.store(false, Ordering::Release);
        if epoch > self.held_at.load(Ordering::Acquire) {
            self.held_until.store(0, Ordering::Release);
        }
        self.moved.notify_waiters();
    }
}

/// Milliseconds since the process first asked, from one on.
fn now() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    1 + millis(BEGAN.elapsed())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
