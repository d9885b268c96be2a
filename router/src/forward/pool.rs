//! Idle connections to upstreams, kept by one worker for its own use.
//!
//! For the forwarder. Workers share nothing, so there is no lock. The connection used last is used next: it is the least
//! likely to have been closed by the other side meanwhile. Each upstream's health is noted too, so that an outage is logged
//! once when it begins and once when it is over, and not per request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::link::Link;
use crate::clock::Clock;
use crate::config::Upstream;

/// Idle connections by upstream address.
#[derive(Debug)]
pub struct Pool {
    clock: Clock,
    /// A handful, so that looking through them is quicker than hashing an address.
    shelves: RefCell<Vec<Rc<Shelf>>>,
}

/// One upstream's.
#[derive(Debug)]
pub struct Shelf {
    authority: String,
    clock: Clock,
    /// The one used last is at the end.
    idle: RefCell<Vec<Idle>>,
    is_failing: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: u64,
}

impl Pool {
    /// Holds nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            shelves: RefCell::default(),
        }
    }

    /// An upstream's shelf.
    pub fn shelf(&self, upstream: &Upstream) -> Rc<Shelf> {
        let mut shelves = self.shelves.borrow_mut();
        if let Some(shelf) = shelves.iter().find(|shelf| shelf.authority == upstream.authority) {
            return Rc::clone(shelf);
        }
        let shelf = Rc::new(Shelf {
            authority: upstream.authority.clone(),
            clock: self.clock.clone(),
            idle: RefCell::default(),
            is_failing: Cell::new(false),
        });
        shelves.push(Rc::clone(&shelf));
        shelf
    }

    /// Closes what has been idle for too long, and all connections to upstreams that are no longer in use.
    pub fn tidy(&self, upstreams: &[Upstream], limit: Duration) {
        self.shelves.borrow_mut().retain(|shelf| {
            let in_use = upstreams
                .iter()
                .any(|upstream| upstream.authority == shelf.authority);
            shelf
                .idle
                .borrow_mut()
                .retain(|idle| in_use && !self.clock.is_past(idle.since, limit) && idle.link.is_alive(false));
            in_use
        });
    }
}

impl Shelf {
    /// An idle connection, if there is one. With `must_live` the kernel is asked whether it still stands.
    pub fn take(&self, limit: Duration, must_live: bool) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { link, since }) = idle.pop() {
            if self.clock.is_past(since, limit) {
                // Those below have been idle for longer.
                idle.clear();
                return None;
            }
            if link.is_alive(must_live) {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection for the next request, unless the last answer has left something on it.
    pub fn put(&self, mut link: Box<Link>) {
        if link.rest() {
            let since = self.clock.now();
            self.idle.borrow_mut().push(Idle { link, since });
        }
    }

    /// Notes that an exchange failed, and logs if that is news.
    pub fn note_failure(&self, upstream: &Upstream, error: &dyn std::fmt::Display) {
        if self.is_failing.replace(true) {
            tracing::debug!(upstream = upstream.name, "upstream {error}");
        } else {
            tracing::warn!(
                upstream = upstream.name,
                address = upstream.authority,
                "upstream {error}"
            );
        }
    }

    /// Notes that there was an answer, and logs if that is news.
    pub fn note_success(&self, upstream: &Upstream) {
        if self.is_failing.replace(false) {
            tracing::info!(upstream = upstream.name, "upstream answers again");
        }
    }
}
