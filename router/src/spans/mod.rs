//! Spans: what each request was asked, why it went where it went, and how long each upstream took, for an OpenTelemetry
//! collector.
//!
//! For teams that follow a request through many services. Off unless `[telemetry] otlp` is set; then the way of a request's
//! spans is this: the worker draws the sample before it plans ([`Spans::start`]), or heeds the caller's decision; what
//! happens to the request is written into a [`trace::Trace`]; when the last byte of the answer is gone, the
//! [`record::Record`] is offered to a queue, and a thread of its own ([`export`]) makes spans of it ([`otlp`]) and posts them
//! in batches.
//!
//! Architecture Invariant: the data path never waits for the collector. Where nothing is recorded it pays for a look at an
//! `Option`; what it offers to a full queue is dropped and counted; a record is of bounded size, so the queue is too.
//!
//! Not recorded: requests that never became one (malformed heads, CONNECT), and what comes after the switch to another
//! protocol. That an answer breaks off in its body does not show.

pub mod export;
pub mod otlp;
pub mod record;
pub mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::{Sender, UnboundedSender};
use tokio::sync::oneshot;

use self::record::Record;
use crate::config::{Percent, Telemetry};

/// The workers' end of the exporter; cheap to clone.
#[derive(Debug, Clone)]
pub struct Spans {
    queue: Sender<Record>,
    flushes: UnboundedSender<oneshot::Sender<()>>,
    counts: Arc<Counts>,
}

/// What became of spans since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// The collector has taken them.
    pub sent: AtomicU64,
    /// The queue was full.
    pub dropped: AtomicU64,
    /// The collector did not take them in time.
    pub failed: AtomicU64,
}

/// A request that may be recorded, from the moment at which it was taken up.
#[derive(Debug)]
pub struct Start<'w> {
    spans: &'w Spans,
    sample: Percent,
    at: SystemTime,
    since: Instant,
}

impl Spans {
    /// The workers' end, for records that are sent through `queue` and flushes that are asked for through `flushes`.
    fn new(
        queue: Sender<Record>,
        flushes: UnboundedSender<oneshot::Sender<()>>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            queue,
            flushes,
            counts,
        }
    }

    /// Takes note of the time, unless the config in force says by now that nothing is to be recorded.
    pub fn start(&self, settings: &Telemetry) -> Option<Start<'_>> {
        settings.otlp.is_some().then(|| Start {
            spans: self,
            sample: settings.sample,
            at: SystemTime::now(),
            since: Instant::now(),
        })
    }

    /// Offers a finished request's record. A full queue drops it.
    fn offer(&self, record: Record) {
        let spans = record.spans();
        if self.queue.try_send(record).is_err() {
            self.counts.dropped.fetch_add(spans, Ordering::Relaxed);
        }
    }

    /// Waits until what has been offered so far has been sent, or given up, but not beyond `limit`.
    pub async fn flush(&self, limit: Duration) {
        let (tell, told) = oneshot::channel();
        if self.flushes.send(tell).is_err() || tokio::time::timeout(limit, told).await.is_err() {
            tracing::warn!("the last spans are not sent: the collector is too slow, or gone");
        }
    }

    /// What became of spans, by the word for it, for whoever watches.
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("sent", read(&self.counts.sent)),
            ("queue-full", read(&self.counts.dropped)),
            ("collector-failed", read(&self.counts.failed)),
        ]
    }
}
