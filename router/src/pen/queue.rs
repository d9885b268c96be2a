//! Writes that wait while nobody may write: each has a place, and they are called in the order in which they came.
//!
//! For [`super::Pen`]. In order means that they set out in order. Those of different workers and connections may still overtake
//! each other on the way, as they may when nothing waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Why a write cannot wait, or not any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// As many wait as may, or their bodies take as much room as they may.
    Full,
    /// The pen took too long.
    TimeUp,
}

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    places: Mutex<Places>,
    /// How many there are, for whoever only wants to know that.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, Arc<Notify>>,
}

/// A place among them; given back when it is dropped, also when its client has left.
#[derive(Debug)]
pub(super) struct Place<'q> {
    queue: &'q Queue,
    number: u64,
    call: Arc<Notify>,
}

impl Queue {
    /// Takes the last place, if fewer than `most` are taken.
    pub(super) fn join(&self, most: usize) -> Result<Place<'_>, Denied> {
        let mut places = self.lock();
        if places.taken.len() >= most {
            return Err(Denied::Full);
        }
        let (number, call) = (places.next, Arc::new(Notify::new()));
        places.next += 1;
        places.taken.insert(number, Arc::clone(&call));
        self.count.store(places.taken.len(), Ordering::Release);
        Ok(Place {
            queue: self,
            number,
            call,
        })
    }

    /// Calls everybody, the first one first. Who is called looks whether it may go.
    pub(super) fn call(&self) {
        self.lock().taken.values().for_each(|call| call.notify_one());
    }

    /// How many places are taken.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Waits for the next call. A call that came before is not lost.
    pub(super) async fn called(&self) {
        self.call.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.queue.lock();
        places.taken.remove(&self.number);
        self.queue.count.store(places.taken.len(), Ordering::Release);
    }
}
