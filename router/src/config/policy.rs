//! `[shadow]` and `[fallback]`: what is asked of a service beside its answers, and what happens when it gives none.
//!
//! For the shadow, which copies requests, and for the exchange, which may answer in a service's place. Every key has a
//! default, so a file without these sections is complete.

use std::time::Duration;

use super::document::{judged, set};
use super::reader::{Reader, Section};
use super::values::{self, Percent};

/// How requests are copied to a service whose answers are compared, not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// How long a copy may take, over all its attempts.
    pub timeout: Duration,
    /// Copies under way at the same time.
    pub concurrency: usize,
    /// Copies that may wait for their turn; what comes on top of them is dropped and counted.
    pub queue: usize,
    /// Bytes of answers that wait to be compared, all together.
    pub memory: usize,
    /// The longest body that is compared, in bytes.
    pub max_body: usize,
    /// How long to wait before a difference is asked again, so that a follower can catch up.
    pub recheck_after: Duration,
    /// The share of copies for which the monolith is asked a second time, to learn what differs by itself.
    pub noise_sample: Percent,
}

/// What happens when a service fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// How long a service may take to the head of its answer before the monolith is asked instead.
    pub attempt_timeout: Duration,
    /// Requests that may be sent a second time, as a share of all.
    pub retry_ratio: Percent,
    /// Requests that may be sent a second time whatever their share, per second and worker.
    pub retry_floor: usize,
    /// Failures in a row that open a service's circuit.
    pub circuit_failures: usize,
    /// How long a circuit stays open before one request tries again.
    pub circuit_pause: Duration,
}

impl Default for Shadow {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            concurrency: 8,
            queue: 1000,
            memory: 32 << 20,
            max_body: 1 << 20,
            recheck_after: Duration::from_secs(1),
            noise_sample: Percent::of(500),
        }
    }
}

impl Default for Fallback {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(5),
            retry_ratio: Percent::of(5_000),
            retry_floor: 10,
            circuit_failures: 5,
            circuit_pause: Duration::from_secs(5),
        }
    }
}

pub(super) fn shadow(reader: &Reader<'_>, section: Option<Section<'_>>) -> Shadow {
    let mut shadow = Shadow::default();
    let Some(section) = section else { return shadow };
    let time = |key| judged(reader, section.text(key), values::duration);
    let count = |key, range| judged(reader, section.number(key), |text| values::whole(text, range));
    let size = |key| judged(reader, section.text(key), values::size);
    set(&mut shadow.timeout, time("timeout").as_ref());
    set(&mut shadow.concurrency, count("concurrency", 1..=1024).as_ref());
    set(&mut shadow.queue, count("queue", 1..=100_000).as_ref());
    set(&mut shadow.memory, size("memory").as_ref());
    set(&mut shadow.max_body, size("max_body").as_ref());
    set(&mut shadow.recheck_after, time("recheck_after").as_ref());
    set(
        &mut shadow.noise_sample,
        judged(reader, section.number("noise_sample"), Percent::parse).as_ref(),
    );
    section.finish();
    shadow
}

pub(super) fn fallback(reader: &Reader<'_>, section: Option<Section<'_>>) -> Fallback {
    let mut fallback = Fallback::default();
    let Some(section) = section else { return fallback };
    let time = |key| judged(reader, section.text(key), values::duration);
    let count = |key, range| judged(reader, section.number(key), |text| values::whole(text, range));
    set(&mut fallback.attempt_timeout, time("attempt_timeout").as_ref());
    set(
        &mut fallback.retry_ratio,
        judged(reader, section.number("retry_ratio"), Percent::parse).as_ref(),
    );
    set(
        &mut fallback.retry_floor,
        count("retry_floor", 0..=100_000).as_ref(),
    );
    set(
        &mut fallback.circuit_failures,
        count("circuit_failures", 1..=1_000_000).as_ref(),
    );
    set(&mut fallback.circuit_pause, time("circuit_pause").as_ref());
    section.finish();
    fallback
}
