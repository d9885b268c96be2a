//! Idle connections to upstreams, kept by one worker for its own use.
//!
//! For the forwarder. Workers share nothing, so there is no lock. The connection used last is used next: it is the least
//! likely to have been closed by the other side meanwhile. Each upstream's health is noted too, so that an outage is logged
//! once when it begins and once when it is over, and not per request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::link::Link;
use crate::config::Upstream;
use crate::watch::Clock;

/// Idle connections by upstream address.
#[derive(Debug)]
pub struct Pool {
    clock: Clock,
    upstreams: RefCell<HashMap<String, Shelf>>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// The one used last is at the end.
    idle: Vec<Idle>,
    is_failing: bool,
}

#[derive(Debug)]
struct Idle {
    link: Link,
    since: u64,
}

/// A connection in use, which goes back to its pool when its answer has been read to the end.
#[derive(Debug)]
pub struct Lease {
    pool: Rc<Pool>,
    authority: String,
    /// The connection.
    pub link: Link,
}

impl Pool {
    /// Holds nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            upstreams: RefCell::default(),
        }
    }

    /// An idle connection, if there is one. With `must_live` the kernel is asked whether it still stands.
    pub fn take(&self, upstream: &Upstream, limit: Duration, must_live: bool) -> Option<Link> {
        let mut upstreams = self.upstreams.borrow_mut();
        let idle = &mut upstreams.get_mut(&upstream.authority)?.idle;
        let oldest = self.oldest_usable(limit);
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            if idle[at].since < oldest {
                idle.drain(..=at);
                return None;
            }
            if idle[at].link.is_closed() {
                idle.remove(at);
                continue;
            }
            // Still busy with the end of its last exchange: leave it for later.
            if !idle[at].link.is_ready() {
                continue;
            }
            let taken = idle.remove(at).link;
            if !must_live || taken.is_alive() {
                return Some(taken);
            }
        }
        None
    }

    /// A lease on a connection.
    pub fn lease(self: &Rc<Self>, upstream: &Upstream, link: Link) -> Lease {
        Lease {
            pool: Rc::clone(self),
            authority: upstream.authority.clone(),
            link,
        }
    }

    /// Closes what has been idle for too long, and all connections to upstreams that are no longer in use.
    pub fn tidy(&self, upstreams: &[Upstream], limit: Duration) {
        let oldest = self.oldest_usable(limit);
        self.upstreams.borrow_mut().retain(|authority, shelf| {
            shelf
                .idle
                .retain(|idle| idle.since >= oldest && !idle.link.is_closed());
            upstreams.iter().any(|upstream| upstream.authority == *authority)
        });
    }

    /// Notes that an exchange failed, and logs if that is news.
    pub fn note_failure(&self, upstream: &Upstream, error: &dyn std::fmt::Display) {
        let mut upstreams = self.upstreams.borrow_mut();
        let shelf = upstreams.entry(upstream.authority.clone()).or_default();
        if std::mem::replace(&mut shelf.is_failing, true) {
            tracing::debug!(upstream = upstream.name, "upstream {error}");
        } else {
            tracing::warn!(
                upstream = upstream.name,
                address = upstream.authority,
                "upstream {error}"
            );
        }
    }

    /// Notes that a connection was made, and logs if that is news.
    pub fn note_success(&self, upstream: &Upstream) {
        let mut upstreams = self.upstreams.borrow_mut();
        if let Some(shelf) = upstreams
            .get_mut(&upstream.authority)
            .filter(|shelf| shelf.is_failing)
        {
            shelf.is_failing = false;
            tracing::info!(upstream = upstream.name, "upstream answers again");
        }
    }

    fn oldest_usable(&self, limit: Duration) -> u64 {
        self.clock
            .now()
            .saturating_sub(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Lease {
    /// Gives the connection back for the next request.
    pub fn give_back(self) {
        if self.link.is_closed() {
            return;
        }
        let since = self.pool.clock.now();
        let mut upstreams = self.pool.upstreams.borrow_mut();
        let idle = Idle {
            link: self.link,
            since,
        };
        match upstreams.get_mut(&self.authority) {
            Some(shelf) => shelf.idle.push(idle),
            None => drop(upstreams.insert(
                self.authority,
                Shelf {
                    idle: vec![idle],
                    is_failing: false,
                },
            )),
        }
    }
}
