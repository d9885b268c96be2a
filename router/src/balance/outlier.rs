//! One address of several: whether it is in use, or left alone because it kept failing.
//!
//! For [`super::Places`]. Left alone for a pause, it is then tried by one request at a time. If that fails, the next pause is
//! longer; if it succeeds, the address is in use again. All workers share it, so it is made of atomics, and a healthy
//! exchange only reads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::config::Ejection;
use crate::standing::millis;

/// How an address is doing. Times are milliseconds on the clock of [`crate::standing`].
#[derive(Debug, Default)]
pub struct Outlier {
    /// Failures in a row.
    failures: AtomicU32,
    /// When it may be tried next; zero means that it is in use.
    until: AtomicU64,
    /// How often it has been left alone in a row.
    run: AtomicU32,
    /// When it came back the last time.
    back_at: AtomicU64,
    /// How often it has been left alone since the start.
    ejections: AtomicU64,
}

impl Outlier {
    /// Whether it is left alone.
    pub fn is_ejected(&self) -> bool {
        self.until.load(Ordering::Relaxed) != 0
    }

    /// How often it has been left alone since the start, failed tries not counted.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Milliseconds until it may be tried, if it is left alone.
    pub fn pauses_for(&self, now: u64) -> Option<u64> {
        match self.until.load(Ordering::Relaxed) {
            0 => None,
            until => Some(until.saturating_sub(now)),
        }
    }

    /// Whether a request may try it. One in each pause may; one that cannot be asked elsewhere has to wait for longer, since
    /// there is another only if no such request comes.
    pub(super) fn admits_probe(&self, now: u64, is_repeatable: bool, settings: &Ejection) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        let pause = millis(settings.pause);
        let patience = if is_repeatable { 0 } else { pause };
        if until == 0 || now < until.saturating_add(patience) {
            return false;
        }
        let next = now + pause;
        self.until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Notes an answer; whether it is in use again because of it.
    pub(super) fn succeed(&self, is_probe: bool, now: u64) -> bool {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        // An answer to a question from before it was left alone tells nothing about now.
        if !is_probe || self.until.swap(0, Ordering::Relaxed) == 0 {
            return false;
        }
        self.back_at.store(now, Ordering::Relaxed);
        true
    }

    /// Notes a failure; whether there have been enough of them in a row.
    pub(super) fn fail(&self, settings: &Ejection) -> bool {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        before as usize + 1 >= settings.failures
    }

    /// Leaves it alone, for so many milliseconds.
    pub(super) fn eject(&self, now: u64, settings: &Ejection) -> u64 {
        let longest = millis(settings.max_pause);
        let was_in_use = !self.is_ejected();
        if was_in_use {
            self.ejections.fetch_add(1, Ordering::Relaxed);
            if now >= self.back_at.load(Ordering::Relaxed).saturating_add(longest) {
                self.run.store(0, Ordering::Relaxed);
            }
        }
        let run = self.run.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let pause = millis(settings.pause).saturating_mul(u64::from(run)).min(longest);
        self.until.store(now + pause, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        pause
    }
}
