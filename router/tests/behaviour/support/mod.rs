//! What the tests share: a running router, stub upstreams, a raw client.

pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod pair;
pub(crate) mod router;
pub(crate) mod secure;
pub(crate) mod sides;
pub(crate) mod upstream;

pub(crate) use client::Client;
pub(crate) use router::Router;
pub(crate) use upstream::{Received, Upstream};

use std::future::Future;
use std::time::Duration;

/// Longer than anything takes that works.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Waits for something that should happen soon.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {LONG:?} in vain for {what}"),
    }
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    soon(what, async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
