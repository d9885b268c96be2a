//! A load of fixed rate, and how long its answers take.
//!
//! For the benchmarks of latency. Requests are due at fixed times, whatever happens to those before them, and an answer's
//! time runs from when its request was due: a server that stands still for a second shows in all the requests of that second
//! (Tene's *coordinated omission*, which wrk does not avoid).

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;

use super::wire::Wire;

/// What is asked, how often, for how long.
#[derive(Debug, clap::Args)]
pub(super) struct Pace {
    /// Requests per second, over all connections
    #[arg(long)]
    rate: f64,
    /// Connections, each of which carries one request at a time
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Seconds
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The path
    #[arg(long, default_value = "/api/products/ABC")]
    path: String,
    /// The server
    address: SocketAddr,
}

/// What came of it. Times are microseconds since a request was due.
#[derive(Debug)]
pub(super) struct Pacing {
    times: Histogram<u64>,
    failed: u64,
    reason: Option<String>,
}

impl Pace {
    /// Runs it to its end.
    pub(super) fn run(&self) -> anyhow::Result<Pacing> {
        let mut whole = Pacing::new()?;
        let parts = Mutex::new(Vec::new());
        // A moment for all threads to be there.
        let begin = Instant::now() + Duration::from_millis(50);
        std::thread::scope(|scope| {
            for number in 0..self.connections {
                let parts = &parts;
                scope.spawn(move || {
                    let part = self.drive(number, begin);
                    parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
                });
            }
        });
        for part in parts.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let part = part?;
            whole.times.add(part.times)?;
            whole.failed += part.failed;
            whole.reason = whole.reason.or(part.reason);
        }
        Ok(whole)
    }

    /// One connection's share: every `connections`-th request.
    fn drive(&self, number: u32, begin: Instant) -> anyhow::Result<Pacing> {
        let mut seen = Pacing::new()?;
        let mut wire = Wire::new(self.address);
        let total = (self.rate * self.seconds) as u64;
        for request in (u64::from(number)..total).step_by(self.connections as usize) {
            let due = begin + Duration::from_secs_f64(request as f64 / self.rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            match wire.get(&self.path) {
                Ok(answer) if answer.status == 200 => {
                    let time = due.elapsed().as_micros();
                    seen.times
                        .saturating_record(u64::try_from(time).unwrap_or(u64::MAX));
                }
                Ok(answer) => seen.fail(format!("status {}", answer.status)),
                Err(error) => seen.fail(error.to_string()),
            }
        }
        Ok(seen)
    }
}

impl Pacing {
    fn new() -> anyhow::Result<Self> {
        // A minute in microseconds, to three digits.
        let times = Histogram::new_with_bounds(1, 60_000_000, 3).context("no such histogram")?;
        Ok(Self {
            times,
            failed: 0,
            reason: None,
        })
    }

    fn fail(&mut self, reason: String) {
        self.failed += 1;
        self.reason.get_or_insert(reason);
    }

    /// `answered 40000 failed 0 p50 120 p99 480 p999 900 longest 1800`, times in microseconds.
    pub(super) fn line(&self) -> String {
        let at = |quantile| self.times.value_at_quantile(quantile);
        let (answered, failed, longest) = (self.times.len(), self.failed, self.times.max());
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})"));
        format!(
            "answered {answered} failed {failed} p50 {} p99 {} p999 {} longest {longest}{}",
            at(0.5),
            at(0.99),
            at(0.999),
            reason.unwrap_or_default(),
        )
    }

    /// Whether every request was answered by 200.
    pub(super) fn is_clean(&self) -> bool {
        self.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::stub::{self, Manner};

    fn pace(address: SocketAddr, rate: f64, seconds: f64) -> Pace {
        Pace {
            rate,
            connections: 4,
            seconds,
            path: "/a".to_owned(),
            address,
        }
    }

    #[test]
    fn as_many_requests_are_made_as_are_due() {
        let address = stub::start("a", 100, Manner::Fine).unwrap();
        let pacing = pace(address, 500.0, 0.4).run().unwrap();
        assert_eq!((pacing.times.len(), pacing.failed), (200, 0));
        assert!(pacing.is_clean());
    }

    #[test]
    fn a_reset_is_a_failure_with_its_reason() {
        let address = stub::start("a", 100, Manner::Reset).unwrap();
        let pacing = pace(address, 100.0, 0.1).run().unwrap();
        assert_eq!((pacing.times.len(), pacing.failed), (0, 10));
        assert!(pacing.reason.is_some() && !pacing.is_clean());
    }
}
