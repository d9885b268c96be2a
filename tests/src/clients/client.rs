//! One client that never rests, as a well-behaved one works: it gives back the position of its last write (`x-data-position`), repeats a
//! create with its key when it is asked to, and counts everything that is not as it should be. For `clients`, which starts many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Counts, SHARED, Seen, shared};
use crate::history::{Operation, What};

/// Prices, each used once, so that a price tells which write it was.
static PRICES: AtomicI64 = AtomicI64::new(1000);

/// The header in which a client says which one it is, for a canary that keeps each on its side.
pub const NAMED: &str = "x-client";

pub(super) struct Client {
    http: reqwest::Client,
    router: String,
    token: String,
    number: usize,
    may_fail: bool,
    position: Option<String>,
    counts: Arc<Counts>,
    pub(super) seen: Seen,
}

/// An answer as far as it matters.
struct Answer {
    status: StatusCode,
    version: Option<i64>,
    price: Option<i64>,
    body: Value,
    began: Instant,
    ended: Instant,
}

impl Client {
    pub(super) fn new(
        http: &reqwest::Client,
        router: &str,
        token: &str,
        number: usize,
        may_fail: bool,
        counts: &Arc<Counts>,
    ) -> Self {
        Self {
            http: http.clone(),
            router: router.to_owned(),
            token: token.to_owned(),
            number,
            may_fail,
            position: None,
            counts: Arc::clone(counts),
            seen: Seen::default(),
        }
    }

    pub(super) async fn work(mut self, stop: Arc<AtomicBool>) -> Seen {
        let mut round = 0;
        while !stop.load(Ordering::SeqCst) {
            self.one_life(round).await;
            self.share(round).await;
            round += 1;
        }
        self.seen
    }

    /// A product of its own, from its creation to its deletion, or not: every third stays. Each answer is known beforehand.
    async fn one_life(&mut self, round: usize) {
        let sku = format!("OWN-{}-{}", self.number, round % 200);
        let Some((mut version, mut price)) = self.create(&sku).await else {
            return;
        };
        for _ in 0..2 {
            let Some(next) = self.set_price(&sku, Some(version)).await else {
                return;
            };
            if next.0 != version + 1 {
                self.wrong(format!(
                    "{sku}: a price on version {version} made version {}",
                    next.0
                ));
            }
            (version, price) = next;
            self.read_own(&sku, version, price).await;
        }
        let stays = round.is_multiple_of(3);
        if !stays {
            self.delete(&sku).await;
        }
        self.seen.own.retain(|(known, _)| *known != sku);
        self.seen.own.push((sku, stays.then_some((version, price))));
    }

    /// A price of a shared product, and two reads of another.
    async fn share(&mut self, round: usize) {
        let sku = shared((self.number + round) % SHARED);
        self.set_price(&sku, None).await;
        let other = shared((self.number + round + 1) % SHARED);
        for sku in [&sku, &other] {
            let Some(answer) = self
                .ask(Method::GET, &format!("/api/products/{sku}"), None, &[])
                .await
            else {
                continue;
            };
            match (answer.status, answer.version, answer.price) {
                (StatusCode::OK, Some(version), Some(price)) => {
                    self.note(sku, &answer, What::Read { version, price });
                }
                (status, ..) if self.may_fail && status.is_server_error() => {}
                _ => self.wrong(format!("read of {sku}: {} {}", answer.status, answer.body)),
            }
        }
    }

    /// Creates a product with a key; asked again with the same key when there was no answer.
    pub(super) async fn create(&mut self, sku: &str) -> Option<(i64, i64)> {
        let price = PRICES.fetch_add(1, Ordering::SeqCst);
        let body = json!({ "sku": sku, "name": format!("Thing {sku}"), "category": "things",
            "price": { "amount": price, "currency": "GBP" } });
        let key = format!("create-{sku}-{price}");
        for _ in 0..40 {
            let Some(answer) = self
                .ask(
                    Method::POST,
                    "/api/products",
                    Some(&body),
                    &[("idempotency-key", &key)],
                )
                .await
            else {
                tokio::time::sleep(Duration::from_millis(250)).await;
                continue;
            };
            match (answer.status, answer.version, answer.price) {
                (StatusCode::CREATED, Some(version), Some(seen)) if seen == price => {
                    self.note(sku, &answer, What::Wrote { version, price });
                    return Some((version, price));
                }
                (status, ..) if self.may_fail && status.is_server_error() => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                // It stayed of an earlier round; a life of its own begins with its deletion.
                (StatusCode::CONFLICT, ..) if answer.body["type"] == "urn:banyan:problem:sku-taken" => {
                    self.delete(sku).await;
                    self.seen.own.retain(|(known, _)| known != sku);
                    self.seen.own.push((sku.to_owned(), None));
                    return None;
                }
                _ => {
                    self.wrong(format!("create of {sku}: {} {}", answer.status, answer.body));
                    return None;
                }
            }
        }
        if !self.may_fail {
            self.wrong(format!("create of {sku}: no answer at all"));
        }
        None
    }

    async fn set_price(&mut self, sku: &str, expected: Option<i64>) -> Option<(i64, i64)> {
        let price = PRICES.fetch_add(1, Ordering::SeqCst);
        let body = json!({ "price": { "amount": price, "currency": "GBP" } });
        let tag = expected.map(|version| format!("\"v{version}\""));
        let headers: Vec<(&str, &str)> = tag.iter().map(|tag| ("if-match", tag.as_str())).collect();
        let began = Instant::now();
        let asked = self
            .ask(
                Method::PUT,
                &format!("/api/products/{sku}/price"),
                Some(&body),
                &headers,
            )
            .await;
        let Some(answer) = asked else {
            self.unknown(sku, price, began, Instant::now());
            return None;
        };
        match (answer.status, answer.version) {
            (StatusCode::OK, Some(version)) => {
                self.note(sku, &answer, What::Wrote { version, price });
                Some((version, price))
            }
            (status, _)
                if self.may_fail
                    && (status.is_server_error()
                        || status == StatusCode::NOT_FOUND
                        || status == StatusCode::PRECONDITION_FAILED) =>
            {
                if status.is_server_error() {
                    self.unknown(sku, price, began, answer.ended);
                }
                None
            }
            _ => {
                self.wrong(format!("price of {sku}: {} {}", answer.status, answer.body));
                None
            }
        }
    }

    async fn read_own(&mut self, sku: &str, version: i64, price: i64) {
        let Some(answer) = self
            .ask(Method::GET, &format!("/api/products/{sku}"), None, &[])
            .await
        else {
            return;
        };
        if self.may_fail && answer.status.is_server_error() {
            return;
        }
        if (answer.status, answer.version, answer.price) != (StatusCode::OK, Some(version), Some(price)) {
            self.wrong(format!(
                "{sku} was written as version {version} with {price} and read as {} {:?}: {}",
                answer.status, answer.version, answer.body
            ));
        }
    }

    async fn delete(&mut self, sku: &str) {
        let Some(answer) = self
            .ask(Method::DELETE, &format!("/api/products/{sku}"), None, &[])
            .await
        else {
            return;
        };
        let is_fine = answer.status == StatusCode::NO_CONTENT
            || (self.may_fail && (answer.status.is_server_error() || answer.status == StatusCode::NOT_FOUND));
        if !is_fine {
            self.wrong(format!("delete of {sku}: {} {}", answer.status, answer.body));
        } else if answer.status == StatusCode::NO_CONTENT {
            self.acknowledged(sku, &answer, None);
            let gone = self
                .ask(Method::GET, &format!("/api/products/{sku}"), None, &[])
                .await;
            if let Some(gone) = gone.filter(|gone| gone.status != StatusCode::NOT_FOUND)
                && !(self.may_fail && gone.status.is_server_error())
            {
                self.wrong(format!(
                    "{sku} was deleted and read as {}: {}",
                    gone.status, gone.body
                ));
            }
        }
    }

    fn note(&mut self, sku: &str, answer: &Answer, what: What) {
        let (began, ended) = (answer.began, answer.ended);
        if let What::Wrote { price, .. } = what {
            self.acknowledged(sku, answer, Some(price));
        }
        // Own products are judged at once; their versions go on over deletions that say no version.
        if sku.starts_with("SHARED") {
            self.seen.history.push(Operation {
                sku: sku.to_owned(),
                began,
                ended,
                what,
            });
        }
    }

    fn unknown(&mut self, sku: &str, price: i64, began: Instant, ended: Instant) {
        let what = What::Unknown { price };
        self.seen.history.push(Operation {
            sku: sku.to_owned(),
            began,
            ended,
            what,
        });
    }

    fn acknowledged(&mut self, sku: &str, answer: &Answer, price: Option<i64>) {
        self.counts.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.seen.acknowledged += 1;
        self.seen.writes.push((answer.ended, answer.ended - answer.began));
        let of = self.seen.by_sku.entry(sku.to_owned()).or_default();
        of.writes += 1;
        of.prices.extend(price);
    }

    fn wrong(&mut self, what: String) {
        self.counts.wrong.fetch_add(1, Ordering::Relaxed);
        self.seen.failures += 1;
        if self.seen.wrong.len() < 20 {
            self.seen.wrong.push(what);
        }
    }

    /// One request; none if there was no answer, which is wrong unless processes are killed.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        self.seen.requests += 1;
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        let is_read = method == Method::GET;
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.router))
            .bearer_auth(&self.token)
            .header(NAMED, self.number.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(position) = self.position.as_ref().filter(|_| is_read) {
            request = request.header("x-data-position", position);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let began = Instant::now();
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                if !self.may_fail {
                    self.wrong(format!("{method} {path}: {error:?}"));
                }
                return None;
            }
        };
        let status = answer.status();
        let text = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        if is_read && let Some(side) = text("x-served-by") {
            *self.seen.read_at.entry(side).or_default() += 1;
        }
        let version = text("etag").and_then(|tag| tag.trim_matches('"').strip_prefix('v')?.parse().ok());
        if !is_read && status.is_success() {
            self.position = text("x-data-position").or(self.position.take());
        }
        let body: Value = answer.json().await.unwrap_or(Value::Null);
        let price = body["price"]["amount"].as_i64();
        Some(Answer {
            status,
            version,
            price,
            body,
            began,
            ended: Instant::now(),
        })
    }
}
