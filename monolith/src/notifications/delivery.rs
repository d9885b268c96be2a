//! The worker that sends what is queued: mails to the sink, events to webhooks.

use std::sync::Arc;
use std::time::Duration;

use chassis::db::Db;
use chassis::time::now;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Notify;

use super::sink::Sink;
use super::store::webhooks::Delivery;
use super::{Error, store};

/// How often the queue is looked at when nobody in this process wakes the worker.
const EVERY: Duration = Duration::from_millis(500);
/// How long it rests after a failure of the database.
const REST: Duration = Duration::from_secs(5);
/// How long a webhook may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Runs until the process ends.
pub(super) async fn run(db: Db, sink: Sink, wake: Arc<Notify>) {
    let client = match chassis::client::build("", DEADLINE, 0) {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "no webhooks will be sent"),
    };
    loop {
        match send_next(&db, &sink, &client).await {
            Ok(true) => {}
            // The commit that woke us may be a moment away; the look after it finds what this one misses.
            Ok(false) => drop(tokio::time::timeout(EVERY, wake.notified()).await),
            Err(error) => {
                tracing::warn!(error = ?error, "notifications wait");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Sends one mail and one event, if there are any; says whether there were.
async fn send_next(db: &Db, sink: &Sink, client: &reqwest::Client) -> Result<bool, Error> {
    let mail = send_mail(db, sink).await?;
    let event = deliver(db, client).await?;
    Ok(mail || event)
}

async fn send_mail(db: &Db, sink: &Sink) -> Result<bool, Error> {
    let Some(notification) = db.write(|conn| Ok::<_, Error>(store::take(conn)?)).await? else {
        return Ok(false);
    };
    let (id, attempts, sink) = (notification.id, notification.attempts, sink.clone());
    let sent = tokio::task::spawn_blocking(move || sink.send(&notification)).await;
    match sent {
        Ok(Ok(())) => {
            db.write(move |conn| Ok::<_, Error>(store::sent(conn, id)?))
                .await?;
        }
        Ok(Err(error)) => {
            tracing::warn!(notification = id, attempts, error = ?error, "not sent");
            db.write(move |conn| Ok::<_, Error>(store::failed(conn, id, attempts)?))
                .await?;
        }
        // The process is on its way out; the claim ends by itself.
        Err(_) => return Ok(false),
    }
    Ok(true)
}

async fn deliver(db: &Db, client: &reqwest::Client) -> Result<bool, Error> {
    let Some(delivery) = db
        .write(|conn| Ok::<_, Error>(store::webhooks::take(conn)?))
        .await?
    else {
        return Ok(false);
    };
    let made = post(client, &delivery).await;
    db.write(move |conn| Ok::<_, Error>(store::webhooks::concluded(conn, &delivery, made)?))
        .await?;
    Ok(true)
}

async fn post(client: &reqwest::Client, delivery: &Delivery) -> bool {
    let Some(signature) = sign(&delivery.secret, &delivery.body) else {
        return false;
    };
    let request = client
        .post(&delivery.url)
        .header("content-type", "application/json")
        .header("banyan-event", &delivery.event)
        .header("banyan-delivery", delivery.id)
        .header("banyan-signature", signature)
        .body(delivery.body.clone());
    match request.send().await {
        Ok(answer) => answer.status().is_success(),
        Err(error) => {
            tracing::debug!(delivery = delivery.id, error = %error.without_url(), "not delivered");
            false
        }
    }
}

/// `t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">`.
fn sign(secret: &str, body: &str) -> Option<String> {
    let at = now().and_utc().timestamp();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{at}.{body}").as_bytes());
    Some(format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes())))
}
