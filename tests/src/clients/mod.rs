//! Clients of the shop's catalog who never rest: each changes products of its own, whose answers it knows beforehand, and prices of
//! products that all of them change, whose history is judged afterwards.
//!
//! For the trials of the hand-over and for the demo of one. What they saw is given at the end; what can be counted is shown while
//! they work.

mod client;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::history::{Operation, What};
use client::Client;
pub use client::NAMED;

/// Products that everybody changes.
pub const SHARED: usize = 4;

/// What all clients saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Requests that were sent.
    pub requests: u64,
    /// Creates, changes of prices and deletions that were acknowledged.
    pub acknowledged: u64,
    /// How often something was not as it should be.
    pub failures: u64,
    /// Reads by who answered them, as the router says it.
    pub read_at: HashMap<String, u64>,
    /// What it was, in words: the first twenty times of each client.
    pub wrong: Vec<String>,
    /// What was done with the shared products.
    pub history: Vec<Operation>,
    /// When a write ended and how long it took.
    pub writes: Vec<(Instant, Duration)>,
    /// What each client knows of its own products in the end: SKU, version and price, or that it is deleted.
    pub own: Vec<(String, Option<(i64, i64)>)>,
    /// What was acknowledged for each SKU. Each write raises the version by one, so there must be as many versions.
    pub by_sku: HashMap<String, Acknowledged>,
}

/// The acknowledged writes of one product.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// How many.
    pub writes: u64,
    /// The price that each of them wrote; a deletion writes none.
    pub prices: Vec<i64>,
}

/// What can be counted while the clients work.
#[derive(Debug, Default)]
pub struct Counts {
    requests: AtomicU64,
    wrong: AtomicU64,
    acknowledged: AtomicU64,
}

impl Counts {
    /// Requests that were sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Things that were not as they should be.
    pub fn wrong(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// Writes that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// Clients at work. They end with `end`, or when this is dropped.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<Seen>>,
}

impl Traffic {
    /// Makes the shared products and sets so many clients to work, by turns at each of the routers. What may fail is what a killed
    /// process leaves unanswered.
    pub async fn start(
        routers: &[&str],
        token: &str,
        clients: usize,
        may_fail: bool,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()?;
        let places = routers.iter().cycle().take(clients).enumerate();
        let mut all =
            places.map(|(number, router)| Client::new(&http, router, token, number, may_fail, &counts));
        let mut first = all.next().context("no client, or no router")?;
        for n in 0..SHARED {
            first.create(&shared(n)).await;
        }
        anyhow::ensure!(first.seen.wrong.is_empty(), "{:?}", first.seen.wrong);
        let clients = std::iter::once(first)
            .chain(all)
            .map(|client| tokio::spawn(client.work(Arc::clone(&stop))))
            .collect();
        Ok(Self {
            stop,
            counts,
            clients,
        })
    }

    /// What they have done so far.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Lets them finish, and gives what they saw.
    pub async fn end(mut self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Seen::default();
        for client in std::mem::take(&mut self.clients) {
            let seen = client.await?;
            all.requests += seen.requests;
            all.acknowledged += seen.acknowledged;
            all.failures += seen.failures;
            all.wrong.extend(seen.wrong);
            for (side, reads) in seen.read_at {
                *all.read_at.entry(side).or_default() += reads;
            }
            all.history.extend(seen.history);
            all.writes.extend(seen.writes);
            all.own.extend(seen.own);
            for (sku, acknowledged) in seen.by_sku {
                let of = all.by_sku.entry(sku).or_default();
                of.writes += acknowledged.writes;
                of.prices.extend(acknowledged.prices);
            }
        }
        Ok(all)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        for client in &self.clients {
            client.abort();
        }
    }
}

impl Seen {
    /// The longest that a write took in each stretch of time, of those that were under way in it.
    pub fn pauses(&self, stretches: &[(Instant, Instant)]) -> Vec<Duration> {
        let longest = |(from, to): &(Instant, Instant)| {
            let within = self
                .writes
                .iter()
                .filter(|(ended, took)| ended >= from && *ended - *took <= *to);
            within.map(|(_, took)| *took).max().unwrap_or_default()
        };
        stretches.iter().map(longest).collect()
    }
}

/// The SKU of a shared product.
pub fn shared(n: usize) -> String {
    format!("SHARED-{n}")
}

/// The shared products as they are when all clients have ended: the last reads of the history, which miss no acknowledged write.
pub async fn last_reads(http: &reqwest::Client, router: &str) -> anyhow::Result<Vec<Operation>> {
    let mut reads = Vec::new();
    for sku in (0..SHARED).map(shared) {
        let began = Instant::now();
        let answer = http
            .get(format!("{router}/api/products/{sku}"))
            .send()
            .await?
            .error_for_status()?;
        let product: Value = answer.json().await?;
        let number = |of: &Value| {
            of.as_i64()
                .with_context(|| format!("{sku} is answered as {product}"))
        };
        let (version, price) = (number(&product["version"])?, number(&product["price"]["amount"])?);
        let (ended, what) = (Instant::now(), What::Read { version, price });
        reads.push(Operation {
            sku,
            began,
            ended,
            what,
        });
    }
    Ok(reads)
}
