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
use crate::config::{Address, Upstream};

/// Idle connections by upstream address.
#[derive(Debug)]
pub struct Pool {
    clock: Clock,
    /// A handful, so that looking through them is quicker than hashing an address.
    shelves: RefCell<Vec<Rc<Shelf>>>,
}

/// One address's.
#[derive(Debug)]
pub struct Shelf {
    authority: String,
    clock: Clock,
    /// The one used last is at the end.
    idle: RefCell<Vec<Idle>>,
    is_failing: Cell<bool>,
    /// Requests under way, where there is a choice of addresses.
    in_flight: Cell<usize>,
}

/// A request under way to one of several addresses, from its head to the end of its answer.
#[derive(Debug)]
pub struct Flight(Rc<Shelf>);

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

    /// An address's shelf.
    pub fn shelf(&self, address: &Address) -> Rc<Shelf> {
        let mut shelves = self.shelves.borrow_mut();
        if let Some(shelf) = shelves.iter().find(|shelf| shelf.authority == address.authority) {
            return Rc::clone(shelf);
        }
        let shelf = Rc::new(Shelf {
            authority: address.authority.clone(),
            clock: self.clock.clone(),
            idle: RefCell::default(),
            is_failing: Cell::new(false),
            in_flight: Cell::new(0),
        });
        shelves.push(Rc::clone(&shelf));
        shelf
    }

    /// How many requests are under way to an address that is one of several.
    pub fn in_flight(&self, address: &Address) -> usize {
        let shelves = self.shelves.borrow();
        let shelf = shelves.iter().find(|shelf| shelf.authority == address.authority);
        shelf.map_or(0, |shelf| shelf.in_flight.get())
    }

    /// Closes what has been idle for too long, and all connections to upstreams that are no longer in use.
    pub fn tidy(&self, upstreams: &[Upstream], limit: Duration) {
        self.shelves.borrow_mut().retain(|shelf| {
            let mut authorities = upstreams.iter().flat_map(Upstream::authorities);
            let in_use = authorities.any(|authority| authority == shelf.authority);
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

    /// Counts a request that begins, until the flight ends.
    pub fn fly(self: &Rc<Self>) -> Flight {
        self.in_flight.set(self.in_flight.get() + 1);
        Flight(Rc::clone(self))
    }

    /// Notes that an exchange failed, and logs if that is news.
    pub fn note_failure(&self, upstream: &Upstream, error: &dyn std::fmt::Display) {
        if self.is_failing.replace(true) {
            tracing::debug!(upstream = upstream.name, "upstream {error}");
        } else {
            tracing::warn!(
                upstream = upstream.name,
                address = self.authority,
                "upstream {error}"
            );
        }
    }

    /// Notes that there was an answer, and logs if that is news.
    pub fn note_success(&self, upstream: &Upstream) {
        if self.is_failing.replace(false) {
            tracing::info!(
                upstream = upstream.name,
                address = self.authority,
                "upstream answers again"
            );
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}
