//! Notifications: mails that arrive once, what customers want to be told, webhooks.

use std::time::{Duration, Instant};

use anyhow::ensure;
use banyan_tests::api::Api;
use serde_json::{Value, json};

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        sends_each_mail_once,
        honours_what_customers_want,
        sends_once_more_when_asked,
        keeps_webhooks,
    ]
}

/// The mails to a customer that have arrived, once there are as many as expected.
async fn mails(api: &Api, customer: i64, expected: usize) -> anyhow::Result<Vec<Value>> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(api.stage.till.folder().join("outbox.jsonl")).unwrap_or_default();
        let mails = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mails: Vec<Value> = mails.filter(|mail| mail["customer_id"] == customer).collect();
        if mails.len() >= expected {
            return Ok(mails);
        }
        ensure!(
            Instant::now() < until,
            "{} mails instead of {expected}: {mails:?}",
            mails.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn sends_each_mail_once(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    customer.bought(&sku).await?;
    let mails = mails(&api, customer.id, 2).await?;
    let kinds: Vec<&str> = mails.iter().filter_map(|mail| mail["kind"].as_str()).collect();
    ensure!(kinds == ["customer_welcome", "order_confirmed"], "{kinds:?}");
    let listed = customer
        .get(&format!("/api/customers/{}/notifications", customer.id))
        .await?
        .expect(200)?;
    ensure!(
        listed.each("kind")? == ["order_confirmed", "customer_welcome"],
        "{}",
        listed.body
    );
    let id = listed.number("/items/0/id")?;
    let one = customer
        .get(&format!("/api/notifications/{id}"))
        .await?
        .expect(200)?;
    ensure!(
        one.body["kind"] == "order_confirmed" && one.body["channel"] == "email",
        "{}",
        one.body
    );
    let bob = api.customer().await?;
    bob.get(&format!("/api/notifications/{id}"))
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn honours_what_customers_want(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(250, 5).await?, api.customer().await?);
    let path = format!("/api/customers/{}/notification-preferences", customer.id);
    let before = customer.get(&path).await?.expect(200)?;
    ensure!(
        before.body == json!({ "order_updates": true, "marketing": false }),
        "{}",
        before.body
    );
    let wanted = json!({ "order_updates": false, "marketing": true });
    ensure!(
        customer.put(&path, &wanted).await?.expect(200)?.body == wanted,
        "it says what was asked for"
    );
    ensure!(
        customer.get(&path).await?.expect(200)?.body == wanted,
        "it stays so"
    );
    customer.bought(&sku).await?;
    let listed = customer
        .get(&format!("/api/customers/{}/notifications", customer.id))
        .await?
        .expect(200)?;
    ensure!(listed.each("kind")? == ["customer_welcome"], "{}", listed.body);
    customer
        .put(&path, &json!({ "marketing": true }))
        .await?
        .problem(400, "bad-request", "order_updates")
        .map(drop)
}

async fn sends_once_more_when_asked(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    let first = mails(&api, customer.id, 1).await?;
    let listed = customer
        .get(&format!("/api/customers/{}/notifications", customer.id))
        .await?
        .expect(200)?;
    let id = listed.number("/items/0/id")?;
    let again = customer
        .post(&format!("/api/notifications/{id}/resend"), &json!({}))
        .await?
        .expect(202)?;
    ensure!(again.number("/resend_of")? == id, "{}", again.body);
    let both = mails(&api, customer.id, 2).await?;
    ensure!(
        both[1]["subject"] == first[0]["subject"] && both[1]["message_id"] != first[0]["message_id"],
        "{both:?}"
    );
    customer
        .post("/api/notifications/999999999/resend", &json!({}))
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn keeps_webhooks(api: Api) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:9/{}", api.name("hook"));
    let new = json!({ "url": url, "events": ["order.shipped"], "secret": "sixteen letters!" });
    let made = api.post("/api/webhooks", &new).await?.expect(201)?;
    ensure!(
        made.body.get("secret").is_none(),
        "the secret is shown: {}",
        made.body
    );
    let path = format!("/api/webhooks/{}", made.number("/id")?);
    ensure!(
        api.get(&path).await?.expect(200)?.body == made.body,
        "it reads back as it was made"
    );
    ensure!(
        !api.get("/api/webhooks?limit=100")
            .await?
            .expect(200)?
            .items()?
            .is_empty(),
        "it is listed"
    );
    api.delete(&path).await?.expect(204)?;
    api.get(&path).await?.problem(404, "not-found", "")?;
    let wrong = json!({ "url": "ftp://example.org", "events": ["order.shipped"] });
    api.post("/api/webhooks", &wrong)
        .await?
        .problem(422, "validation", "url")?;
    let wrong = json!({ "url": url, "events": ["order.eaten"] });
    api.post("/api/webhooks", &wrong)
        .await?
        .problem(422, "validation", "events[0]")?;
    api.customer()
        .await?
        .get("/api/webhooks")
        .await?
        .problem(403, "forbidden", "")
        .map(drop)
}
