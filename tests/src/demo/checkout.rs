//! A checkout through the router, from a new customer to a confirmed order, looked at from all sides.

use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::screen::say;
use super::shop::Shop;
use super::traffic::skus;

/// How many the customer buys.
const QUANTITY: i64 = 2;

/// A customer buys: the order is confirmed, the stock leaves, the provider has one charge, a repetition changes nothing.
pub(super) async fn run(shop: &Shop) -> anyhow::Result<()> {
    let skus = skus(shop).await?;
    let sku = skus
        .iter()
        .find(|sku| !sku.contains(' '))
        .context("a SKU without a space")?;
    let staff = Caller::new(shop, Some(shop.token("staff")?));
    let receipt = json!({ "kind": "receipt", "quantity": 5, "reference": "demo" });
    staff
        .create(&format!("/api/stock/{sku}/movements"), receipt)
        .await?;
    let before = staff.on_hand(sku).await?;

    let customer = log_in(shop).await?;
    let cart = customer.create("/api/carts", json!({})).await?;
    let item = format!("/api/carts/{}/items/{sku}", cart["id"]);
    let (status, filled) = customer
        .call(Method::PUT, &item, json!({ "quantity": QUANTITY }), None)
        .await?;
    ensure!(status == StatusCode::OK, "filling the cart: {status} {filled}");

    let order = json!({ "cart_id": cart["id"], "payment_method": "tok_ok" });
    let place = async || {
        customer
            .call(Method::POST, "/api/orders", order.clone(), Some("demo-1"))
            .await
    };
    let (status, placed) = place().await?;
    ensure!(
        status == StatusCode::CREATED && placed["state"] == "confirmed",
        "placing the order: {status} {placed}"
    );
    ensure!(
        place().await? == (status, placed.clone()),
        "the same key must get the same answer"
    );
    let after = staff.on_hand(sku).await?;
    ensure!(
        after == before - QUANTITY,
        "the stock went from {before} to {after}"
    );
    charged_once(shop, &format!("order-{}", placed["id"])).await?;
    say("  ok  a checkout: order confirmed, stock gone, one charge at the provider, repetition harmless\n");
    Ok(())
}

/// A new customer with a session.
async fn log_in(shop: &Shop) -> anyhow::Result<Caller<'_>> {
    let (email, password) = ("ada@example.com", "correct horse battery");
    let stranger = Caller::new(shop, None);
    let customer = json!({ "email": email, "name": "Ada", "password": password });
    stranger.create("/api/customers", customer).await?;
    let login = json!({ "email": email, "password": password });
    let session = stranger.create("/api/sessions", login).await?;
    let token = session["token"].as_str().context("a session has a token")?;
    Ok(Caller::new(shop, Some(token.to_owned())))
}

/// The provider keeps its own books: they must show one charge for the order.
async fn charged_once(shop: &Shop, reference: &str) -> anyhow::Result<()> {
    let url = format!("http://{}/ledger", shop.addresses.psp);
    let ledger: Value = shop
        .client
        .get(url)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let entries = ledger["items"].as_array().context("a ledger has items")?;
    let booked = |entry: &&Value| entry["kind"] == "charge" && entry["reference"] == reference;
    let charges = entries.iter().filter(booked).count();
    ensure!(
        charges == 1,
        "the provider's ledger has {charges} charges for {reference}: {ledger}"
    );
    Ok(())
}

/// Somebody who sends requests through the router.
struct Caller<'s> {
    shop: &'s Shop,
    token: Option<String>,
}

impl<'s> Caller<'s> {
    fn new(shop: &'s Shop, token: Option<String>) -> Self {
        Self { shop, token }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
        key: Option<&str>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let url = format!("http://{}{path}", self.shop.addresses.router);
        let mut request = self.shop.client.request(method, url);
        if !body.is_null() {
            request = request.json(&body);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.json().await.unwrap_or_default()))
    }

    async fn create(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let (status, created) = self.call(Method::POST, path, body, None).await?;
        ensure!(status == StatusCode::CREATED, "POST {path}: {status} {created}");
        Ok(created)
    }

    async fn on_hand(&self, sku: &str) -> anyhow::Result<i64> {
        let path = format!("/api/stock/{sku}");
        let (_, stock) = self.call(Method::GET, &path, Value::Null, None).await?;
        stock["on_hand"]
            .as_i64()
            .with_context(|| format!("GET {path}: no stock level in {stock}"))
    }
}
