//! Who may write a module that is handed over, as far as this router knows.
//!
//! For the choice, which sends writes to the holder whatever the file says; for [`mod@write`], which lets them wait while the pen moves and
//! sends a refused one to the holder; and for operators. What is known comes from both sides' status ([`watch`]) and from their
//! refusals. It is knowledge about something that others decide: a router that has slept for an hour sends writes to a side that
//! refuses them, and learns from that.
//!
//! Shared by all workers. A request reads atomics alone; what is learned goes through one lock, so that a look that was begun before a
//! refusal came cannot undo what the refusal taught. A module without hand-over has none of it.

pub mod counts;
pub mod kept;
pub mod learn;
pub mod queue;
pub mod read;
pub mod watch;
pub mod write;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use handover::wire::Status;
use tokio::sync::{Notify, watch as channel};

use self::counts::Counts;
use self::kept::Room;
use self::learn::Learned;
use self::queue::{Denied, Queue};
use crate::config::{Handover, Owner};

/// Two looks of the watch: one may have begun before it was asked for.
const LOOKS: u64 = 2;
/// What a wait may take longer than the clock says before it ends by itself.
const SLACK: Duration = Duration::from_millis(25);

/// What is known of one module's pen.
#[derive(Debug)]
pub struct Pen {
    /// The module.
    pub module: String,
    /// Where it can be asked for, and how writes wait.
    pub settings: Handover,
    /// What has become of writes.
    pub counts: Counts,
    /// Room for bodies that are kept.
    pub(crate) room: Room,
    /// The highest epoch at which a side was known to hold the pen, times four, and which side: one word, so that the two
    /// cannot be read apart, and so that it never goes back.
    holder: AtomicU64,
    /// Until when writes wait, in milliseconds on [`now`]; a time that has passed means that they do not.
    waits_until: AtomicU64,
    /// Whether each side follows the other closely enough to answer.
    follows: [AtomicBool; 2],
    /// How often each side has been asked, whether it answered or not.
    looks: [AtomicU64; 2],
    queue: Queue,
    learned: Mutex<Learned>,
    /// Wakes those who wait for a look.
    looked: Notify,
    /// Wakes whoever ends a wait by the clock.
    holding: Notify,
    /// Wakes the watch, both of its halves.
    look: channel::Sender<()>,
}

impl Pen {
    /// Knows nothing yet.
    pub fn new(module: &str, settings: &Handover) -> Self {
        Self {
            module: module.to_owned(),
            settings: settings.clone(),
            counts: Counts::default(),
            room: Room::new(settings.hold_bytes),
            holder: AtomicU64::new(0),
            waits_until: AtomicU64::new(0),
            follows: Default::default(),
            looks: Default::default(),
            queue: Queue::default(),
            learned: Mutex::default(),
            looked: Notify::new(),
            holding: Notify::new(),
            look: channel::Sender::default(),
        }
    }

    /// Who holds the pen, by the highest epoch seen; nobody before a side has said.
    pub fn holder(&self) -> Option<Owner> {
        match self.holder.load(Ordering::Acquire) & 3 {
            1 => Some(Owner::Monolith),
            2 => Some(Owner::Service),
            _ => None,
        }
    }

    /// The highest epoch in which a side was seen to hold the pen.
    pub fn epoch(&self) -> u64 {
        self.holder.load(Ordering::Acquire) >> 2
    }

    /// Whether a side can answer reads in the holder's stead: it follows, and its copy is whole.
    pub fn follows(&self, side: Owner) -> bool {
        self.follows[side as usize].load(Ordering::Acquire)
    }

    /// How many writes wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether writes wait just now.
    pub fn is_held(&self) -> bool {
        self.waits_until.load(Ordering::Acquire) > now()
    }

    /// What the monolith and the service said, if they answered when they were last asked.
    pub fn seen(&self) -> [Option<Status>; 2] {
        self.lock().seen.clone()
    }

    /// Waits until both sides have been asked at least once since the start, whether they answered or not. Until a side has
    /// said who holds the pen, the file says where to begin.
    pub async fn until_known(&self) {
        if self.holder().is_none() && self.looks() == 0 {
            self.until_looked(|looks| looks > 0 || self.holder().is_some())
                .await;
        }
    }

    /// Waits until the pen is known to have come to an epoch, or both sides have been asked and do not know of it. A position
    /// of that epoch has been seen, so a router that does not know it yet is behind.
    pub async fn until_epoch(&self, epoch: u64) {
        let before = self.looks();
        self.until_looked(|looks| self.epoch() >= epoch || looks >= before + LOOKS)
            .await;
    }

    /// Whether both sides answered when they were last asked.
    pub fn is_in_touch(&self) -> bool {
        self.lock().seen.iter().all(Option::is_some)
    }

    /// How often both sides have been asked.
    fn looks(&self) -> u64 {
        let looks = self.looks.iter().map(|looks| looks.load(Ordering::Acquire));
        looks.min().unwrap_or(0)
    }

    async fn until_looked(&self, is_enough: impl Fn(u64) -> bool) {
        let deadline = Instant::now() + self.settings.hold;
        loop {
            // Registered before the question, or a look that ends between the two would be slept through.
            let looked = self.looked.notified();
            let left = deadline.saturating_duration_since(Instant::now());
            if is_enough(self.looks()) || left.is_zero() {
                return;
            }
            self.look.send_replace(());
            // In vain is answered by the deadline.
            let _looked = tokio::time::timeout(left, looked).await;
        }
    }

    /// Waits until somebody may write, in the order of arrival, for `patience` at the most.
    pub async fn until_free(&self, patience: Duration) -> Result<(), Denied> {
        if !self.is_held() {
            return Ok(());
        }
        let deadline = Instant::now() + patience;
        let place = self.queue.join(self.settings.hold_requests)?;
        self.counts.waited();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(waits) = self.left_to_wait() else {
                return Ok(());
            };
            if left.is_zero() {
                return Err(Denied::TimeUp);
            }
            // Whoever ends a wait by the clock wakes all in order; if there is nobody any more, the config has changed.
            let _called = tokio::time::timeout(left.min(waits + SLACK), place.called()).await;
        }
    }

    /// How long writes still wait, as far as is known.
    fn left_to_wait(&self) -> Option<Duration> {
        let until = self.waits_until.load(Ordering::Acquire);
        let left = until.saturating_sub(now());
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Ends waits that end by the clock, until it is dropped.
    pub(crate) async fn keep_time(&self) {
        loop {
            let changed = self.holding.notified();
            let Some(left) = self.left_to_wait() else {
                changed.await;
                continue;
            };
            if tokio::time::timeout(left, changed).await.is_err() {
                self.queue.call();
            }
        }
    }

    /// Told each time when the watch is to look at once.
    pub(crate) fn wish_to_look(&self) -> channel::Receiver<()> {
        self.look.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
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
