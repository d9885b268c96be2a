//! A worker's coarse clock, and alarms on it.
//!
//! For the watch over connections, the pool, and the wait for an answer. A timer of the runtime costs a lock, a system
//! clock reading and a place in a wheel per request, only to be taken away again unused nearly always. Here reading the time
//! is reading a number, and an alarm is a slot in a list that is looked through once per [`TICK`].

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// How often the hand moves; time limits are kept to this precision, never falling short.
pub const TICK: Duration = Duration::from_millis(250);

/// A worker's clock.
#[derive(Debug, Clone)]
pub struct Clock(Rc<Face>);

#[derive(Debug)]
struct Face {
    began: Instant,
    now: Cell<u64>,
    alarms: RefCell<Alarms>,
}

#[derive(Debug, Default)]
struct Alarms {
    slots: Vec<Option<(u64, Waker)>>,
    free: Vec<usize>,
}

/// A slot that is given back when it is no longer needed.
struct Alarm<'c> {
    clock: &'c Clock,
    slot: Option<usize>,
}

impl Clock {
    /// Starts at zero.
    pub fn new() -> Self {
        Self(Rc::new(Face {
            began: Instant::now(),
            now: Cell::new(0),
            alarms: RefCell::default(),
        }))
    }

    /// Milliseconds since the start, at most one [`TICK`] old.
    pub fn now(&self) -> u64 {
        self.0.now.get()
    }

    /// The time at which at least `limit` will have passed.
    pub fn after(&self, limit: Duration) -> u64 {
        self.now()
            .saturating_add(millis(limit))
            .saturating_add(millis(TICK))
    }

    /// Whether more than `limit` has passed since `then`.
    pub fn is_past(&self, then: u64, limit: Duration) -> bool {
        self.now() >= then.saturating_add(millis(limit))
    }

    /// Moves the hand and rings what is due.
    pub fn tick(&self) {
        let now = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.now.set(now);
        let alarms = self.0.alarms.borrow();
        let due = alarms
            .slots
            .iter()
            .flatten()
            .filter(|(deadline, _)| *deadline <= now);
        due.for_each(|(_, waker)| waker.wake_by_ref());
    }

    /// Waits for a future, but not beyond a time.
    pub async fn by<F: Future>(&self, deadline: u64, mut future: Pin<&mut F>) -> Option<F::Output> {
        let mut alarm = Alarm {
            clock: self,
            slot: None,
        };
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if self.now() >= deadline {
                return Poll::Ready(None);
            }
            alarm.set(deadline, context.waker());
            Poll::Pending
        })
        .await
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Alarm<'_> {
    fn set(&mut self, deadline: u64, waker: &Waker) {
        let mut alarms = self.clock.0.alarms.borrow_mut();
        let slot = match self.slot.or_else(|| alarms.free.pop()) {
            Some(slot) => slot,
            None => {
                alarms.slots.push(None);
                alarms.slots.len() - 1
            }
        };
        self.slot = Some(slot);
        if !alarms.slots[slot]
            .as_ref()
            .is_some_and(|(_, known)| known.will_wake(waker))
        {
            alarms.slots[slot] = Some((deadline, waker.clone()));
        }
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let mut alarms = self.clock.0.alarms.borrow_mut();
            alarms.slots[slot] = None;
            alarms.free.push(slot);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
