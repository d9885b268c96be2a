//! Customers who browse: a gentle, steady stream through the router, and a count of who answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::routing::STICKY;
use super::shop::Shop;

/// How many customers there are; each stays on one side while a percentage stands.
pub(super) const CUSTOMERS: u32 = 5000;
/// Connections that browse at once.
const BROWSERS: u32 = 8;
/// The pause between two requests of a browser.
const PACE: Duration = Duration::from_millis(16);

/// What happened since the last count.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    /// Requests answered or failed.
    pub(super) requests: u64,
    /// Those without an answer of 200, with the first reason.
    pub(super) failed: u64,
    /// Why the first of them failed.
    pub(super) reason: Option<String>,
    /// How many each side answered, of the requests that began and ended within this count.
    pub(super) sides: BTreeMap<String, u64>,
}

impl Count {
    /// The share that a side answered.
    pub(super) fn share(&self, side: &str) -> f64 {
        let answered: u64 = self.sides.values().sum();
        let of_side = self.sides.get(side).copied().unwrap_or_default();
        if answered == 0 {
            0.0
        } else {
            of_side as f64 / answered as f64
        }
    }
}

/// The stream. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Traffic {
    shared: Arc<Shared>,
    _browsers: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    client: reqwest::Client,
    router: String,
    skus: Vec<String>,
    /// Counts the counts: a request that began in an earlier one says nothing about the present.
    round: AtomicU64,
    count: Mutex<Count>,
}

impl Traffic {
    /// Starts browsing.
    pub(super) async fn start(shop: &Shop) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            client: shop.client.clone(),
            router: format!("http://{}", shop.addresses.router),
            skus: skus(shop).await?,
            round: AtomicU64::new(0),
            count: Mutex::default(),
        });
        let mut browsers = JoinSet::new();
        for _ in 0..BROWSERS {
            browsers.spawn(browse(Arc::clone(&shared)));
        }
        Ok(Self {
            shared,
            _browsers: browsers,
        })
    }

    /// Gives what was counted so far and begins anew.
    pub(super) fn count(&self) -> Count {
        self.shared.round.fetch_add(1, Ordering::AcqRel);
        std::mem::take(&mut *self.shared.count())
    }

    /// Waits until so many requests have been counted.
    pub(super) async fn until(&self, requests: u64) {
        while self.shared.count().requests < requests {
            tokio::time::sleep(PACE).await;
        }
    }
}

impl Shared {
    fn count(&self) -> std::sync::MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self) -> Result<String, String> {
        let path = if rand::random_ratio(1, 4) {
            "/api/products?limit=20".to_owned()
        } else {
            let sku = &self.skus[rand::random_range(0..self.skus.len())];
            format!("/api/products/{}", sku.replace(' ', "%20"))
        };
        let customer = rand::random_range(1..=CUSTOMERS).to_string();
        let request = self
            .client
            .get(format!("{}{path}", self.router))
            .header(STICKY, customer);
        let answer = request
            .send()
            .await
            .map_err(|error| format!("GET {path}: {error:#}"))?;
        let (status, side) = (answer.status(), answer.headers().get("x-served-by").cloned());
        answer
            .bytes()
            .await
            .map_err(|error| format!("GET {path}: {error:#}"))?;
        let side = side.and_then(|side| side.to_str().map(str::to_owned).ok());
        match side {
            Some(side) if status.is_success() => Ok(side),
            side => Err(format!("GET {path}: {status} from {}", side.unwrap_or_default())),
        }
    }
}

async fn browse(shared: Arc<Shared>) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let round = shared.round.load(Ordering::Acquire);
        let answer = shared.ask().await;
        let mut count = shared.count();
        count.requests += 1;
        match answer {
            Ok(side) if round == shared.round.load(Ordering::Acquire) => {
                *count.sides.entry(side).or_default() += 1;
            }
            Ok(_) => {}
            Err(reason) => {
                count.failed += 1;
                count.reason.get_or_insert(reason);
            }
        }
    }
}

/// The SKUs of the first few hundred products.
pub(super) async fn skus(shop: &Shop) -> anyhow::Result<Vec<String>> {
    let mut skus = Vec::new();
    let mut cursor = String::new();
    while skus.len() < 500 {
        let url = format!("http://{}/api/products?limit=100{cursor}", shop.addresses.router);
        let page: Value = shop
            .client
            .get(url)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let items = page["items"].as_array().context("a list of products has items")?;
        skus.extend(
            items
                .iter()
                .filter_map(|item| item["sku"].as_str().map(str::to_owned)),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    anyhow::ensure!(!skus.is_empty(), "the shop has no products");
    Ok(skus)
}
