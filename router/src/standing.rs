//! How each upstream is doing: whether its circuit is open, and how far its data has come.
//!
//! For the choice, which sends nobody to a side that cannot serve them, and for the attempt, which notes what came of it.
//! A standing belongs to an upstream's addresses and outlives reloads: a new snapshot takes over what the one before knew.
//! It is shared by all workers, so it is made of atomics, and a healthy exchange only reads. How each of several addresses is
//! doing is known to [`crate::balance`].

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::config::Fallback;

/// Everything that is known of an upstream beyond its address.
#[derive(Debug, Default)]
pub struct Standing {
    /// Whether requests are kept from it.
    pub circuit: Circuit,
    /// Whether copies are kept from it. They have a circuit of their own: what a copy meets, which comes beside the load of
    /// clients and with less patience, sends no client elsewhere.
    pub copies: Circuit,
    /// Whether copies are kept from it because it answers them with more than is compared. That is a waste, and no sign that it is ill.
    pub oversized: Circuit,
    build: RwLock<Option<Arc<str>>>,
}

/// The header in which an upstream names its build, so that evidence about one is not taken for evidence about another.
pub const BUILD: http::HeaderName = http::HeaderName::from_static(FIELD);
/// Its text.
pub const FIELD: &str = "x-build-id";

/// The longest build id that is believed.
const LONGEST_BUILD: usize = 128;

impl Standing {
    /// The build that it last named.
    pub fn build(&self) -> Option<Arc<str>> {
        self.build.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a copy may go to it.
    pub fn admits_copy(&self, settings: &Fallback) -> bool {
        self.oversized.admit(settings) != Admission::Open && self.copies.admit(settings) != Admission::Open
    }

    /// Whether it fails clients, or cannot be reached by copies of what they ask. Copies come only as long as a route is compared, so
    /// what they last met counts for a pause and no longer.
    pub fn is_unhealthy(&self) -> bool {
        self.circuit.is_open() || self.copies.keeps_away()
    }

    /// Takes note of the build that an answer names. Almost always it is the one that is known.
    pub fn note_build(&self, named: &str) {
        let is_known = |build: &Option<Arc<str>>| build.as_deref() == Some(named);
        if named.is_empty()
            || named.len() > LONGEST_BUILD
            || is_known(&self.build.read().unwrap_or_else(PoisonError::into_inner))
        {
            return;
        }
        *self.build.write().unwrap_or_else(PoisonError::into_inner) = Some(named.into());
    }
}

/// A circuit breaker: opens when failures outweigh successes, lets one request through from time to time, closes when that
/// one succeeds.
///
/// A failure counts one up, a success one down, never below zero. So a service of whose requests more than half fail will
/// open it sooner or later, a run of failures opens it at once, and a rare failure is forgotten.
#[derive(Debug, Default)]
pub struct Circuit {
    score: AtomicU32,
    /// Milliseconds on [`now`] until which nothing is let through; zero means closed.
    open_until: AtomicU64,
}

/// What a circuit says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Go.
    Closed,
    /// Go, and find out whether it can be closed.
    Probe,
    /// Do not.
    Open,
}

/// What a note about an exchange has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It has just been opened.
    Opened,
    /// It has just been closed.
    Closed,
}

impl Circuit {
    /// Whether a request may go to the upstream. Of those that come while it is open, one in each pause is let through.
    pub fn admit(&self, settings: &Fallback) -> Admission {
        let until = self.open_until.load(Ordering::Relaxed);
        if until == 0 {
            return Admission::Closed;
        }
        let now = now();
        if now < until {
            return Admission::Open;
        }
        let next = now + millis(settings.circuit_pause);
        match self
            .open_until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => Admission::Probe,
            Err(_) => Admission::Open,
        }
    }

    /// Whether it is open, without asking to be let through.
    pub fn is_open(&self) -> bool {
        self.open_until.load(Ordering::Relaxed) != 0
    }

    /// Whether it keeps requests away at this moment. One that nobody has asked since its pause ended says nothing of now.
    pub fn keeps_away(&self) -> bool {
        now() < self.open_until.load(Ordering::Relaxed)
    }

    /// Notes an answer.
    pub fn succeed(&self) -> Change {
        // Most of the time there is nothing to forget, and then nothing is written that other workers would have to fetch.
        if self.score.load(Ordering::Relaxed) == 0 {
            return Change::None;
        }
        if self.open_until.swap(0, Ordering::Relaxed) != 0 {
            self.score.store(0, Ordering::Relaxed);
            return Change::Closed;
        }
        let down = |score: u32| score.checked_sub(1);
        let _was_zero = self
            .score
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, down);
        Change::None
    }

    /// Notes a failure.
    pub fn fail(&self, settings: &Fallback) -> Change {
        let limit = u32::try_from(settings.circuit_failures).unwrap_or(u32::MAX);
        let up = |score: u32| Some(score.saturating_add(1).min(limit));
        let before = self
            .score
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, up)
            .unwrap_or(limit);
        if before.saturating_add(1) < limit {
            return Change::None;
        }
        let until = now() + millis(settings.circuit_pause);
        match self.open_until.swap(until, Ordering::Relaxed) {
            0 => Change::Opened,
            _ => Change::None,
        }
    }
}

/// Milliseconds since the process first asked, from one on.
pub(crate) fn now() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    1 + millis(BEGAN.elapsed())
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(failures: usize, pause: Duration) -> Fallback {
        Fallback {
            circuit_failures: failures,
            circuit_pause: pause,
            ..Fallback::default()
        }
    }

    #[test]
    fn a_run_of_failures_opens_it_and_a_successful_probe_closes_it() {
        let settings = settings(3, Duration::from_millis(1));
        let circuit = Circuit::default();
        assert_eq!(circuit.fail(&settings), Change::None);
        assert_eq!(circuit.fail(&settings), Change::None);
        assert_eq!(circuit.admit(&settings), Admission::Closed);
        assert_eq!(circuit.fail(&settings), Change::Opened);
        assert!(circuit.is_open());
        while circuit.admit(&settings) != Admission::Probe {}
        assert_eq!(circuit.succeed(), Change::Closed);
        assert_eq!(circuit.admit(&settings), Admission::Closed);
    }

    #[test]
    fn one_request_probes_per_pause_and_a_failed_probe_keeps_it_open() {
        let settings = settings(1, Duration::from_secs(3600));
        let circuit = Circuit::default();
        assert_eq!(circuit.fail(&settings), Change::Opened);
        assert_eq!(circuit.admit(&settings), Admission::Open);
        assert!(circuit.keeps_away());
        circuit.open_until.store(1, Ordering::Relaxed);
        assert!(circuit.is_open() && !circuit.keeps_away());
        assert_eq!(circuit.admit(&settings), Admission::Probe);
        assert_eq!(circuit.admit(&settings), Admission::Open);
        assert_eq!(circuit.fail(&settings), Change::None);
        assert_eq!(circuit.admit(&settings), Admission::Open);
    }

    #[test]
    fn a_service_that_answers_copies_with_too_much_is_left_alone_and_not_ill() {
        let settings = settings(1, Duration::from_secs(3600));
        let standing = Standing::default();
        assert!(standing.admits_copy(&settings));
        standing.oversized.fail(&settings);
        assert!(!standing.admits_copy(&settings) && !standing.is_unhealthy());
        let standing = Standing::default();
        standing.copies.fail(&settings);
        assert!(!standing.admits_copy(&settings) && standing.is_unhealthy());
    }

    #[test]
    fn it_opens_if_more_than_half_fail_and_not_if_fewer_do() {
        let settings = settings(5, Duration::from_secs(3600));
        let run = |failures: usize, of: usize| {
            let circuit = Circuit::default();
            for n in 0..1000 {
                if n % of < failures {
                    circuit.fail(&settings);
                } else {
                    circuit.succeed();
                }
                if circuit.is_open() {
                    return true;
                }
            }
            false
        };
        assert!(run(3, 5));
        assert!(!run(2, 5));
        assert!(!run(1, 100));
    }
}
