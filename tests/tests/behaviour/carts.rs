//! Carts: what a customer means to buy, at today's prices.

use anyhow::ensure;
use banyan_tests::api::{Api, product};
use serde_json::json;

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        adds_up_at_the_prices_of_now,
        changes_and_removes_items,
        refuses_what_cannot_be_bought,
        holds_one_currency,
        hides_carts_from_others,
    ]
}

async fn adds_up_at_the_prices_of_now(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.product(250).await?, api.customer().await?);
    let cart = customer.cart(&sku, 3).await?;
    let path = format!("/api/carts/{cart}");
    let seen = customer.get(&path).await?.expect(200)?;
    ensure!(
        seen.body["total"] == json!({ "amount": 750, "currency": "GBP" }),
        "{}",
        seen.body
    );
    ensure!(
        seen.number("/items/0/line_total/amount")? == 750 && seen.body["items"][0]["available"] == true,
        "{}",
        seen.body
    );
    let price = json!({ "price": { "amount": 100, "currency": "GBP" } });
    api.put(&format!("/api/products/{sku}/price"), &price)
        .await?
        .expect(200)?;
    api.stage.settle().await?;
    let seen = customer.get(&path).await?.expect(200)?;
    ensure!(seen.number("/total/amount")? == 300, "{}", seen.body);
    api.delete(&format!("/api/products/{sku}")).await?.expect(204)?;
    api.stage.settle().await?;
    let seen = customer.get(&path).await?.expect(200)?;
    ensure!(
        seen.body["items"][0]["available"] == false && seen.body["items"][0]["unit_price"].is_null(),
        "{}",
        seen.body
    );
    Ok(())
}

async fn changes_and_removes_items(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.product(250).await?, api.customer().await?);
    let cart = customer.cart(&sku, 3).await?;
    let item = format!("/api/carts/{cart}/items/{sku}");
    let changed = customer
        .put(&item, &json!({ "quantity": 1 }))
        .await?
        .expect(200)?;
    ensure!(
        changed.number("/items/0/quantity")? == 1 && changed.items()?.len() == 1,
        "{}",
        changed.body
    );
    customer.delete(&item).await?.expect(204)?;
    customer.delete(&item).await?.problem(404, "not-found", "")?;
    let empty = customer.get(&format!("/api/carts/{cart}")).await?.expect(200)?;
    ensure!(empty.items()?.is_empty(), "{}", empty.body);
    Ok(())
}

async fn refuses_what_cannot_be_bought(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.product(250).await?, api.customer().await?);
    let cart = customer.cart(&sku, 1).await?;
    let item = |sku: &str| format!("/api/carts/{cart}/items/{sku}");
    customer
        .put(&item("no-such-sku"), &json!({ "quantity": 1 }))
        .await?
        .expect(422)?;
    customer
        .put(&item(&sku), &json!({ "quantity": 0 }))
        .await?
        .problem(422, "validation", "quantity")?;
    customer
        .put(&item(&sku), &json!({ "quantity": 10001 }))
        .await?
        .problem(422, "validation", "quantity")?;
    let old = json!({ "name": "Old", "category": "c", "price": { "amount": 1, "currency": "GBP" }, "status": "discontinued" });
    let gone = api.product(100).await?;
    api.put(&format!("/api/products/{gone}"), &old)
        .await?
        .expect(200)?;
    api.stage.settle().await?;
    customer
        .put(&item(&gone), &json!({ "quantity": 1 }))
        .await?
        .problem(409, "discontinued", "")
        .map(drop)
}

async fn holds_one_currency(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.product(250).await?, api.customer().await?);
    let euro = api.name("SKU");
    let mut new = product(&euro, 100);
    new["price"]["currency"] = "EUR".into();
    api.post("/api/products", &new).await?.expect(201)?;
    api.stage.settle().await?;
    let cart = customer.cart(&sku, 1).await?;
    let refused = customer
        .put(
            &format!("/api/carts/{cart}/items/{euro}"),
            &json!({ "quantity": 1 }),
        )
        .await?;
    refused.problem(409, "currency-mismatch", "").map(drop)
}

async fn hides_carts_from_others(api: Api) -> anyhow::Result<()> {
    let (sku, ann, bob) = (
        api.product(250).await?,
        api.customer().await?,
        api.customer().await?,
    );
    let path = format!("/api/carts/{}", ann.cart(&sku, 1).await?);
    bob.get(&path).await?.problem(404, "not-found", "")?;
    bob.put(&format!("{path}/items/{sku}"), &json!({ "quantity": 2 }))
        .await?
        .problem(404, "not-found", "")?;
    api.nobody()
        .post("/api/carts", &json!({}))
        .await?
        .problem(401, "unauthorized", "")?;
    api.get(&path).await?.expect(200).map(drop)
}
