//! What clients write through the router, and what they know from then on because they were told.
//!
//! For the trials, which hold both databases to it.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use handover::wire::Position;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::World;

/// What clients have been told: each product's version and price, or that it is gone.
pub(super) type Known = BTreeMap<String, Option<(i64, i64)>>;

impl World {
    /// A write through the router, which must succeed; what it was answered is from then on known.
    pub(super) fn write(
        &self,
        method: Method,
        sku: &str,
        rest: &str,
        body: Option<&Value>,
        known: &mut Known,
    ) -> anyhow::Result<()> {
        let path = format!("/api/products/{sku}{rest}");
        let is_delete = method == Method::DELETE;
        let answer = self.send_to(&self.front(), method, &path, body, None)?;
        let wanted = if is_delete {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::OK
        };
        ensure!(answer.status() == wanted, "{path}: {answer:?}");
        position(&answer)?;
        let told = if is_delete {
            None
        } else {
            Some(told(&self.runtime.block_on(answer.json())?)?)
        };
        known.insert(sku.to_owned(), told);
        Ok(())
    }

    /// A create through the router; its position.
    pub(super) fn create(&self, sku: &str, known: &mut Known) -> anyhow::Result<Position> {
        let key = Uuid::new_v4().to_string();
        let key = if sku.ends_with("-keyed") { sku } else { &key };
        let answer = self.send_to(
            &self.front(),
            Method::POST,
            "/api/products",
            Some(&product(sku)),
            Some(key),
        )?;
        ensure!(answer.status() == StatusCode::CREATED, "{sku}: {answer:?}");
        let position = position(&answer)?;
        known.insert(
            sku.to_owned(),
            Some(told(&self.runtime.block_on(answer.json())?)?),
        );
        Ok(position)
    }

    /// The same create once more, under the same key.
    pub(super) fn create_again(&self, sku: &str) -> anyhow::Result<reqwest::Response> {
        self.send_to(
            &self.front(),
            Method::POST,
            "/api/products",
            Some(&product(sku)),
            Some(sku),
        )
    }
}

fn product(sku: &str) -> Value {
    json!({ "sku": sku, "name": format!("Thing {sku}"), "category": "things", "price": { "amount": 100, "currency": "GBP" } })
}

/// Where a write stands in the history. Every write that was done says it.
fn position(answer: &reqwest::Response) -> anyhow::Result<Position> {
    let header = answer.headers().get("x-data-position");
    let text = header
        .with_context(|| format!("no position: {answer:?}"))?
        .to_str()?;
    Ok(text.parse()?)
}

fn told(product: &Value) -> anyhow::Result<(i64, i64)> {
    let numbers = product["version"]
        .as_i64()
        .zip(product["price"]["amount"].as_i64());
    numbers.with_context(|| format!("this is no product: {product}"))
}
