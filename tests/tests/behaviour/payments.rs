//! Payments: paying later, holding and taking, giving back, and the provider's webhook.

use anyhow::ensure;
use banyan_tests::api::{Answer, Api};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        pays_an_order_later,
        lets_a_declined_order_be_paid_again,
        holds_and_takes,
        gives_back_no_more_than_was_paid,
        gives_back_once_per_key,
        refuses_refund_keys_that_are_none,
        refuses_events_that_are_not_the_providers,
        refuses_events_that_cannot_be_kept,
        hides_payments_from_others,
    ]
}

/// An order that waits to be paid.
async fn waiting(api: &Api, customer: &Api) -> anyhow::Result<i64> {
    let sku = api.stocked(250, 5).await?;
    let cart = customer.cart(&sku, 1).await?;
    let placed = customer.order(cart, &api.name("key"), None).await?.expect(201)?;
    ensure!(
        placed.body["state"] == "pending" && placed.body["payment"] == "none",
        "{}",
        placed.body
    );
    placed.number("/id")
}

fn pay(order: i64, method: &str) -> Value {
    json!({ "order_id": order, "payment_method": method })
}

async fn pays_an_order_later(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    let order = waiting(&api, &customer).await?;
    let paid = customer
        .post("/api/payments", &pay(order, "tok_ok"))
        .await?
        .expect(201)?;
    ensure!(
        paid.body["state"] == "captured" && paid.number("/amount/amount")? == 250,
        "{}",
        paid.body
    );
    let seen = customer
        .get(&format!("/api/payments/{}", paid.number("/id")?))
        .await?
        .expect(200)?;
    ensure!(seen.body["psp_reference"].is_string(), "{}", seen.body);
    let confirmed = customer.get(&format!("/api/orders/{order}")).await?.expect(200)?;
    ensure!(confirmed.body["state"] == "confirmed", "{}", confirmed.body);
    customer
        .post("/api/payments", &pay(order, "tok_ok"))
        .await?
        .problem(409, "has-payment", "")
        .map(drop)
}

async fn lets_a_declined_order_be_paid_again(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    let order = waiting(&api, &customer).await?;
    customer
        .post("/api/payments", &pay(order, "tok_declined"))
        .await?
        .problem(402, "payment-declined", "")?;
    customer
        .post("/api/payments", &pay(order, "tok_ok"))
        .await?
        .expect(201)?;
    let all = customer
        .get(&format!("/api/orders/{order}/payments"))
        .await?
        .expect(200)?;
    ensure!(all.each("state")? == ["failed", "captured"], "{}", all.body);
    Ok(())
}

async fn holds_and_takes(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    let order = waiting(&api, &customer).await?;
    let mut hold = pay(order, "tok_ok");
    hold["capture"] = false.into();
    let held = customer.post("/api/payments", &hold).await?.expect(201)?;
    ensure!(held.body["state"] == "authorized", "{}", held.body);
    let path = format!("/api/payments/{}/capture", held.number("/id")?);
    customer
        .post(&path, &json!({}))
        .await?
        .problem(403, "forbidden", "")?;
    for _ in 0..2 {
        let taken = api.post(&path, &json!({})).await?.expect(200)?;
        ensure!(taken.body["state"] == "captured", "{}", taken.body);
    }
    let confirmed = customer.get(&format!("/api/orders/{order}")).await?.expect(200)?;
    ensure!(confirmed.body["state"] == "confirmed", "{}", confirmed.body);
    Ok(())
}

async fn captured(api: &Api) -> anyhow::Result<i64> {
    let customer = api.customer().await?;
    let order = waiting(api, &customer).await?;
    customer
        .post("/api/payments", &pay(order, "tok_ok"))
        .await?
        .expect(201)?
        .number("/id")
}

fn amount(pence: i64, currency: &str) -> Value {
    json!({ "amount": { "amount": pence, "currency": currency } })
}

async fn gives_back_no_more_than_was_paid(api: Api) -> anyhow::Result<()> {
    let payment = captured(&api).await?;
    let path = format!("/api/payments/{payment}/refunds");
    api.post(&path, &amount(251, "GBP"))
        .await?
        .problem(409, "refund-exceeds-payment", "amount.amount")?;
    api.post(&path, &amount(0, "GBP"))
        .await?
        .problem(422, "validation", "amount")?;
    api.post(&path, &amount(1, "EUR"))
        .await?
        .problem(422, "validation", "amount.currency")?;
    let part = api.post(&path, &amount(100, "GBP")).await?.expect(201)?;
    ensure!(part.body["state"] == "succeeded", "{}", part.body);
    let seen = api.get(&format!("/api/payments/{payment}")).await?.expect(200)?;
    ensure!(
        seen.body["state"] == "partially_refunded" && seen.number("/refunded/amount")? == 100,
        "{}",
        seen.body
    );
    api.post(&path, &amount(151, "GBP"))
        .await?
        .problem(409, "refund-exceeds-payment", "")?;
    api.post(&path, &amount(150, "GBP")).await?.expect(201)?;
    let seen = api.get(&format!("/api/payments/{payment}")).await?.expect(200)?;
    ensure!(seen.body["state"] == "refunded", "{}", seen.body);
    Ok(())
}

async fn gives_back_once_per_key(api: Api) -> anyhow::Result<()> {
    let payment = captured(&api).await?;
    let path = format!("/api/payments/{payment}/refunds");
    let give = |pence: i64| {
        let (api, path) = (api.clone(), path.clone());
        async move {
            api.send(
                Method::POST,
                &path,
                Some(&amount(pence, "GBP")),
                &[("idempotency-key", "once")],
            )
            .await
        }
    };
    let first = give(100).await?.expect(201)?.number("/id")?;
    ensure!(
        give(100).await?.expect(201)?.number("/id")? == first,
        "a second refund was made"
    );
    give(50)
        .await?
        .problem(422, "idempotency-key-reused", "Idempotency-Key")?;
    let seen = api.get(&format!("/api/payments/{payment}")).await?.expect(200)?;
    ensure!(seen.number("/refunded/amount")? == 100, "{}", seen.body);
    Ok(())
}

async fn refuses_refund_keys_that_are_none(api: Api) -> anyhow::Result<()> {
    let payment = captured(&api).await?;
    let path = format!("/api/payments/{payment}/refunds");
    // Random letters, which no index compresses.
    let mut long = [0_u8; 3000];
    rand::fill(&mut long);
    for key in ["", "two words", &hex::encode(long)] {
        api.send(
            Method::POST,
            &path,
            Some(&amount(1, "GBP")),
            &[("idempotency-key", key)],
        )
        .await?
        .problem(400, "bad-request", "Idempotency-Key")?;
    }
    let seen = api.get(&format!("/api/payments/{payment}")).await?.expect(200)?;
    ensure!(seen.number("/refunded/amount")? == 0, "{}", seen.body);
    Ok(())
}

async fn refuses_events_that_are_not_the_providers(api: Api) -> anyhow::Result<()> {
    let event = json!({ "id": "evt_1", "type": "charge.succeeded", "data": {} });
    let signature = format!(
        "t={},v1={}",
        chassis::time::now().and_utc().timestamp(),
        "00".repeat(32)
    );
    for header in ["", "t=1,v1=00", signature.as_str()] {
        let answer = api
            .nobody()
            .send(
                Method::POST,
                "/webhooks/psp",
                Some(&event),
                &[("psp-signature", header)],
            )
            .await?;
        answer.problem(401, "unauthorized", "")?;
    }
    Ok(())
}

/// Sends an event as the provider does, under the secret that a shop has until it is told another.
async fn told(api: &Api, event: &Value) -> anyhow::Result<Answer> {
    let at = chassis::time::now().and_utc().timestamp();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"change-me-before-production")?;
    mac.update(format!("{at}.{event}").as_bytes());
    let signature = format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()));
    let headers = [("psp-signature", signature.as_str())];
    api.nobody()
        .send(Method::POST, "/webhooks/psp", Some(event), &headers)
        .await
}

async fn refuses_events_that_cannot_be_kept(api: Api) -> anyhow::Result<()> {
    let charge =
        json!({ "id": "ch_1", "key": "nobody's", "state": "captured", "amount": 1, "currency": "GBP" });
    let event = json!({ "id": api.name("evt"), "type": "charge.captured", "data": { "charge": charge } });
    for _ in 0..2 {
        told(&api, &event).await?.expect(204)?;
    }
    let mut long = [0_u8; 3000];
    rand::fill(&mut long);
    for (field, text) in [
        ("id", ""),
        ("id", "evt\0"),
        ("id", &hex::encode(long)),
        ("type", "\0"),
    ] {
        let mut other = event.clone();
        other[field] = text.into();
        told(&api, &other).await?.problem(422, "validation", field)?;
    }
    Ok(())
}

async fn hides_payments_from_others(api: Api) -> anyhow::Result<()> {
    let (customer, bob) = (api.customer().await?, api.customer().await?);
    let order = waiting(&api, &customer).await?;
    bob.post("/api/payments", &pay(order, "tok_ok"))
        .await?
        .problem(404, "not-found", "")?;
    bob.get(&format!("/api/orders/{order}/payments"))
        .await?
        .problem(404, "not-found", "")?;
    let paid = customer
        .post("/api/payments", &pay(order, "tok_ok"))
        .await?
        .expect(201)?
        .number("/id")?;
    bob.get(&format!("/api/payments/{paid}"))
        .await?
        .problem(404, "not-found", "")?;
    customer
        .post(&format!("/api/payments/{paid}/refunds"), &amount(1, "GBP"))
        .await?
        .problem(403, "forbidden", "")
        .map(drop)
}
