//! Orders: the checkout and what becomes of it.

use anyhow::ensure;
use banyan_tests::api::Api;
use futures_util::future::join_all;
use serde_json::json;

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        confirms_what_is_paid,
        keeps_the_price_of_the_day,
        cancels_what_is_declined,
        finds_a_charge_that_was_not_answered,
        waits_for_a_late_charge,
        answers_a_repetition_as_before,
        makes_one_order_of_concurrent_duplicates,
        refuses_a_key_for_another_body,
        refuses_without_key_stock_or_items,
        gives_back_money_and_goods_of_a_cancelled_order,
        ships_once,
        lists_newest_first_and_only_ones_own,
    ]
}

async fn confirms_what_is_paid(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let cart = customer.cart(&sku, 2).await?;
    let placed = customer
        .order(cart, &api.name("key"), Some("tok_ok"))
        .await?
        .expect(201)?;
    ensure!(
        placed.body["state"] == "confirmed" && placed.body["payment"] == "paid",
        "{}",
        placed.body
    );
    ensure!(
        placed.number("/total/amount")? == 500 && placed.number("/lines/0/quantity")? == 2,
        "{}",
        placed.body
    );
    ensure!(
        placed.header("location")? == format!("/api/orders/{}", placed.number("/id")?),
        "{:?}",
        placed.headers
    );
    let level = api.get(&format!("/api/stock/{sku}")).await?.expect(200)?;
    ensure!(
        level.number("/on_hand")? == 3 && level.number("/reserved")? == 0,
        "{}",
        level.body
    );
    let item = format!("/api/carts/{cart}/items/{sku}");
    customer
        .put(&item, &json!({ "quantity": 1 }))
        .await?
        .problem(409, "cart-ordered", "")
        .map(drop)
}

async fn keeps_the_price_of_the_day(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let order = customer.bought(&sku).await?;
    api.put(
        &format!("/api/products/{sku}/price"),
        &json!({ "price": { "amount": 1, "currency": "GBP" } }),
    )
    .await?
    .expect(200)?;
    let seen = customer.get(&format!("/api/orders/{order}")).await?.expect(200)?;
    ensure!(
        seen.number("/lines/0/unit_price/amount")? == 250 && seen.number("/total/amount")? == 250,
        "{}",
        seen.body
    );
    Ok(())
}

async fn cancels_what_is_declined(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let cart = customer.cart(&sku, 1).await?;
    customer
        .order(cart, &api.name("key"), Some("tok_declined"))
        .await?
        .problem(402, "payment-declined", "")?;
    let orders = customer.get("/api/orders").await?.expect(200)?;
    ensure!(orders.each("state")? == ["cancelled"], "{}", orders.body);
    let level = api.get(&format!("/api/stock/{sku}")).await?.expect(200)?;
    ensure!(level.number("/available")? == 5, "{}", level.body);
    // The cart is open again: the same customer pays otherwise.
    customer
        .order(cart, &api.name("key"), Some("tok_ok"))
        .await?
        .expect(201)
        .map(drop)
}

async fn finds_a_charge_that_was_not_answered(api: Api) -> anyhow::Result<()> {
    for method in ["tok_timeout_after", "tok_timeout_before"] {
        let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
        let cart = customer.cart(&sku, 1).await?;
        let placed = customer
            .order(cart, &api.name("key"), Some(method))
            .await?
            .expect(201)?;
        let payments = customer
            .get(&format!("/api/orders/{}/payments", placed.number("/id")?))
            .await?
            .expect(200)?;
        ensure!(
            payments.each("state")? == ["captured"],
            "{method}: {}",
            payments.body
        );
    }
    Ok(())
}

async fn waits_for_a_late_charge(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let cart = customer.cart(&sku, 1).await?;
    let placed = customer
        .order(cart, &api.name("key"), Some("tok_late"))
        .await?
        .expect(202)?;
    ensure!(placed.body["state"] == "pending", "{}", placed.body);
    let path = format!("/api/orders/{}", placed.number("/id")?);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while customer.get(&path).await?.expect(200)?.body["state"] != "confirmed" {
        ensure!(std::time::Instant::now() < until, "it is never confirmed");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn answers_a_repetition_as_before(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let (cart, key) = (customer.cart(&sku, 1).await?, api.name("key"));
    let first = customer.order(cart, &key, Some("tok_ok")).await?.expect(201)?;
    let id = first.number("/id")?;
    api.post(&format!("/api/orders/{id}/ship"), &json!({}))
        .await?
        .expect(200)?;
    let again = customer.order(cart, &key, Some("tok_ok")).await?.expect(201)?;
    ensure!(again.body == first.body, "{} is not {}", again.body, first.body);
    ensure!(
        again.header("idempotency-replayed")? == "true",
        "{:?}",
        again.headers
    );
    Ok(())
}

async fn makes_one_order_of_concurrent_duplicates(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let (cart, key) = (customer.cart(&sku, 1).await?, api.name("key"));
    let answers = join_all((0..8).map(|_| customer.order(cart, &key, Some("tok_ok")))).await;
    let mut ids = Vec::new();
    for answer in answers {
        ids.push(answer?.expect(201)?.number("/id")?);
    }
    ids.dedup();
    ensure!(ids.len() == 1, "{ids:?}");
    let orders = customer.get("/api/orders").await?.expect(200)?;
    ensure!(orders.items()?.len() == 1, "{}", orders.body);
    Ok(())
}

async fn refuses_a_key_for_another_body(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let key = api.name("key");
    customer
        .order(customer.cart(&sku, 1).await?, &key, Some("tok_ok"))
        .await?
        .expect(201)?;
    let other = customer
        .order(customer.cart(&sku, 1).await?, &key, Some("tok_ok"))
        .await?;
    other.problem(422, "idempotency-key-reused", "Idempotency-Key")?;
    // Another customer's key is another key.
    let bob = api.customer().await?;
    bob.order(bob.cart(&sku, 1).await?, &key, Some("tok_ok"))
        .await?
        .expect(201)
        .map(drop)
}

async fn refuses_without_key_stock_or_items(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 1).await?, api.customer().await?);
    let cart = customer.cart(&sku, 2).await?;
    let keyless = customer.post("/api/orders", &json!({ "cart_id": cart })).await?;
    keyless.problem(400, "bad-request", "Idempotency-Key")?;
    customer
        .order(cart, &api.name("key"), Some("tok_ok"))
        .await?
        .problem(409, "insufficient-stock", "lines[0].quantity")?;
    let empty = customer
        .post("/api/carts", &json!({}))
        .await?
        .expect(201)?
        .number("/id")?;
    customer
        .order(empty, &api.name("key"), None)
        .await?
        .problem(409, "cart-empty", "")?;
    customer
        .order(999_999_999, &api.name("key"), None)
        .await?
        .problem(404, "not-found", "")?;
    let bob = api.customer().await?;
    bob.order(cart, &api.name("key"), None)
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn gives_back_money_and_goods_of_a_cancelled_order(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let order = customer.bought(&sku).await?;
    let path = format!("/api/orders/{order}");
    for _ in 0..2 {
        let cancelled = customer
            .post(&format!("{path}/cancel"), &json!({ "reason": "changed my mind" }))
            .await?
            .expect(200)?;
        ensure!(cancelled.body["state"] == "cancelled", "{}", cancelled.body);
    }
    let level = api.get(&format!("/api/stock/{sku}")).await?.expect(200)?;
    ensure!(level.number("/on_hand")? == 5, "{}", level.body);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while customer.get(&path).await?.expect(200)?.body["payment"] != "refunded" {
        ensure!(std::time::Instant::now() < until, "the money never goes back");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    api.post(&format!("{path}/ship"), &json!({}))
        .await?
        .problem(409, "conflict", "")
        .map(drop)
}

async fn ships_once(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let path = format!("/api/orders/{}", customer.bought(&sku).await?);
    customer
        .post(&format!("{path}/ship"), &json!({}))
        .await?
        .problem(403, "forbidden", "")?;
    for _ in 0..2 {
        let shipped = api.post(&format!("{path}/ship"), &json!({})).await?.expect(200)?;
        ensure!(shipped.body["state"] == "shipped", "{}", shipped.body);
    }
    customer
        .post(&format!("{path}/cancel"), &json!({}))
        .await?
        .problem(409, "conflict", "")
        .map(drop)
}

async fn lists_newest_first_and_only_ones_own(api: Api) -> anyhow::Result<()> {
    let (sku, ann, bob) = (
        api.stocked(250, 5).await?,
        api.customer().await?,
        api.customer().await?,
    );
    let (first, second) = (ann.bought(&sku).await?, ann.bought(&sku).await?);
    bob.bought(&sku).await?;
    let page = ann.get("/api/orders?limit=1").await?.expect(200)?;
    ensure!(page.each("id")? == [second.to_string()], "{}", page.body);
    let rest = ann
        .get(&format!("/api/orders?cursor={}", page.text("/next")?))
        .await?
        .expect(200)?;
    ensure!(rest.each("id")? == [first.to_string()], "{}", rest.body);
    let all = api
        .get(&format!("/api/orders?customer_id={}&state=confirmed", ann.id))
        .await?
        .expect(200)?;
    ensure!(
        all.each("id")? == [second.to_string(), first.to_string()],
        "{}",
        all.body
    );
    bob.get(&format!("/api/orders/{first}"))
        .await?
        .problem(404, "not-found", "")?;
    ann.get("/api/orders?state=odd")
        .await?
        .problem(400, "bad-request", "state")
        .map(drop)
}
