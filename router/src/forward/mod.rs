//! The one seam to the upstreams: a request goes in, an upstream's answer comes out.
//!
//! For [`crate::exchange`]. HTTP/1.1 is spoken here by our own hand, over a [`pool::Pool`] that each worker has to itself: a
//! request is written as text into the socket and the answer read from it, in the task of the client's connection, with no
//! other task and no queue between them (decision 23 says why and what it costs).
//!
//! When is a request sent again? Only when that cannot do it twice: (1) not a byte of it was taken by the kernel; (2) it has
//! no body and an idempotent method, and a connection that had been idle broke before the first byte of an answer, which is
//! what a server does that closed it meanwhile. Then once, on a fresh connection. For every other request the kernel is
//! asked first whether the idle connection still stands.
//!
//! What does not get through as it would directly: trailers of a *request* (actix's decoder drops them; those of an answer
//! are passed on), informational answers other than `100 Continue`, a reason phrase that is not the usual one, and of a
//! *request* the order of fields with different names and the case of their names. A client that closes its
//! sending side after the request counts as gone, since it cannot be told from one that is.

pub mod answer;
pub mod ask;
pub mod body;
pub mod chunks;
pub mod convert;
pub mod fields;
pub mod head;
pub mod headers;
pub mod incoming;
pub mod link;
pub mod pool;
pub mod send;

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use self::ask::{Answer, Asking, Breach};
use self::body::Progress;
use self::link::{ConnectError, Link};
use self::pool::{Flight, Pool, Shelf};
use self::send::Outbound;
use crate::clock::{Clock, TICK};
use crate::config::{Address, Settings, Upstream};

/// A fresh connection may break at once; more than this many in a row is an outage.
const MOST_ATTEMPTS: usize = 3;

/// Sends requests for one worker.
#[derive(Debug)]
pub struct Forwarder {
    pool: Rc<Pool>,
    clock: Clock,
}

/// How a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caution {
    /// It has no body and its method is idempotent: sent twice it does no harm.
    Repeatable,
    /// It must not be sent twice.
    Once,
    /// It is being repeated: only a fresh connection will do.
    Fresh,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There was no connection, so nothing of the request was sent; here it is.
    #[error("{error}")]
    Connect {
        /// Why not.
        error: ConnectError,
        /// What may be sent elsewhere.
        unsent: Option<Box<Outbound>>,
    },
    /// The head of the answer took too long.
    #[error("sent no answer within {0:?}")]
    Timeout(Duration),
    /// The client stopped sending its body.
    #[error("was not sent the whole body, because the client broke off")]
    ClientGone,
    /// The client's body is longer than so many bytes, which is the limit.
    #[error("was not sent the whole body, which is longer than {0} bytes")]
    BodyTooLong(u64),
    /// The connection broke before the head of an answer.
    #[error("broke off before it had answered: {error}")]
    Broken {
        /// How.
        error: Breach,
        /// It was an idle connection, and not a byte came back.
        is_stale: bool,
    },
}

impl Forwarder {
    /// Without connections yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            pool: Rc::new(Pool::new(clock.clone())),
            clock,
        }
    }

    /// Closes what is no longer needed.
    pub fn tidy(&self, upstreams: &[Upstream], settings: &Settings) {
        self.pool.tidy(upstreams, settings.pool_idle_timeout);
    }

    /// How many requests of this worker's are under way to an address that is one of several.
    pub fn in_flight(&self, address: &Address) -> usize {
        self.pool.in_flight(address)
    }

    /// Counts a request that begins at such an address.
    pub fn fly(&self, address: &Address) -> Flight {
        self.pool.shelf(address).fly()
    }

    /// Sends a request to an address of an upstream and waits for the head of the answer, up to `limit` after the last byte
    /// of the request.
    pub async fn send(
        &self,
        (upstream, address): (&Upstream, &Address),
        outbound: Outbound,
        caution: Caution,
        settings: &Settings,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let shelf = self.pool.shelf(address);
        // Awaited where it is made: kept in a variable first, all of it would be moved once more.
        let outcome = self
            .try_send(&shelf, address, outbound, caution, settings, limit)
            .await;
        match &outcome {
            Ok(_) => shelf.note_success(upstream),
            // Neither is the upstream's fault: the client left, or the request is about to be sent again.
            Err(Failure::ClientGone | Failure::BodyTooLong(_) | Failure::Broken { is_stale: true, .. }) => {}
            Err(failure) => shelf.note_failure(upstream, failure),
        }
        outcome
    }

    async fn try_send(
        &self,
        shelf: &Rc<Shelf>,
        address: &Address,
        mut outbound: Outbound,
        caution: Caution,
        settings: &Settings,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let progress = outbound.body.progress();
        let patience = settings.connect_timeout.min(limit);
        let mut attempt = 1;
        loop {
            let (link, reused) = match self.link(shelf, address, caution, (settings, patience)).await {
                Ok(linked) => linked,
                Err(error) => {
                    let unsent = Some(Box::new(outbound));
                    return Err(Failure::Connect { error, unsent });
                }
            };
            let mut asking = Asking::new(link, outbound);
            let asked = self.in_time(asking.head(), progress.as_deref(), limit).await;
            let error = match asked {
                Some(Ok(head)) => return Ok(asking.answer(head, Some(Rc::clone(shelf)))),
                Some(Err(error)) => error,
                None => return Err(Failure::Timeout(limit)),
            };
            if let Some(progress) = progress.as_ref().filter(|progress| progress.has_client_failed()) {
                let too_long = progress.too_long_for();
                return Err(too_long.map_or(Failure::ClientGone, Failure::BodyTooLong));
            }
            let is_stale = reused && !asking.has_heard();
            match asking.unsent() {
                Some(unsent) if attempt < MOST_ATTEMPTS => outbound = unsent,
                _ => return Err(Failure::Broken { error, is_stale }),
            }
            attempt += 1;
        }
    }

    async fn link(
        &self,
        shelf: &Shelf,
        address: &Address,
        caution: Caution,
        (settings, patience): (&Settings, Duration),
    ) -> Result<(Box<Link>, bool), ConnectError> {
        let must_live = caution == Caution::Once;
        let idle = match caution {
            Caution::Fresh => None,
            _ => shelf.take(settings.pool_idle_timeout, must_live),
        };
        match idle {
            Some(link) => Ok((link, true)),
            None => Ok((Link::open(address, patience).await?, false)),
        }
    }

    /// Waits for the head of an answer; `None` if it took too long. The time counts from the last piece of the request's
    /// body, and not at all while it is the client who keeps everyone waiting.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = T>,
        progress: Option<&Progress>,
        limit: Duration,
    ) -> Option<T> {
        let mut answer = pin!(answer);
        let mut deadline = self.clock.after(limit);
        loop {
            if let Some(answer) = self.clock.by(deadline, answer.as_mut()).await {
                return Some(answer);
            }
            let progress = progress?;
            if progress.is_waiting_for_client() {
                deadline = self.clock.after(limit);
            } else if self.clock.is_past(progress.last(), limit) {
                return None;
            } else {
                deadline = self.clock.after(TICK);
            }
        }
    }
}
