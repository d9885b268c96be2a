//! The workers that send what is queued: mails to the sink, events to webhooks. Neither waits for the other.

use std::sync::Arc;
use std::time::Duration;

use chassis::db::Db;
use chassis::time::now;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::sink::Sink;
use super::store::webhooks::{self, Delivery};
use super::{Error, store};

/// How often the queue is looked at when nobody in this process wakes the worker.
const EVERY: Duration = Duration::from_millis(500);
/// How long it rests after a failure of the database.
const REST: Duration = Duration::from_secs(5);
/// How long a webhook may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a delivery belongs to the process that took it.
const CLAIM: chrono::Duration = chrono::Duration::seconds(15);
/// Deliveries at once, so that one receiver that hangs does not keep the others waiting.
const AT_ONCE: usize = 8;

/// Sends mails until the process ends.
pub(super) async fn mails(db: Db, sink: Sink, wake: Arc<Notify>) {
    loop {
        let sent = send_next(&db, &sink).await;
        pause_unless_busy(sent, &wake).await;
    }
}

/// Sends events until the process ends.
pub(super) async fn events(db: Db, wake: Arc<Notify>) {
    let client = match chassis::client::build("", DEADLINE, 0) {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "no webhooks will be sent"),
    };
    let mut running = JoinSet::new();
    loop {
        while running.len() >= AT_ONCE {
            running.join_next().await;
        }
        while running.try_join_next().is_some() {}
        let taken = db
            .write(|conn| Ok::<_, Error>(webhooks::take(conn, CLAIM)?))
            .await;
        let taken = taken.map(|delivery| {
            let delivery = delivery?;
            Some(running.spawn(deliver(db.clone(), client.clone(), delivery)))
        });
        pause_unless_busy(taken.map(|task| task.is_some()), &wake).await;
    }
}

/// Goes on at once while there is work; otherwise waits to be woken, or for the next look.
async fn pause_unless_busy(worked: Result<bool, Error>, wake: &Notify) {
    match worked {
        Ok(true) => {}
        // The commit that woke us may be a moment away; the look after it finds what this one misses.
        Ok(false) => drop(tokio::time::timeout(EVERY, wake.notified()).await),
        Err(error) => {
            tracing::warn!(error = ?error, "notifications wait");
            tokio::time::sleep(REST).await;
        }
    }
}

/// Sends one mail, if there is any; says whether there was.
async fn send_next(db: &Db, sink: &Sink) -> Result<bool, Error> {
    let claim = sink.claim();
    let taken = db
        .write(move |conn| Ok::<_, Error>(store::take(conn, claim)?))
        .await?;
    let Some(notification) = taken else {
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
            let for_good = error.is_final();
            db.write(move |conn| Ok::<_, Error>(store::failed(conn, id, attempts, for_good)?))
                .await?;
        }
        // The process is on its way out; the claim ends by itself.
        Err(_) => return Ok(false),
    }
    Ok(true)
}

async fn deliver(db: Db, client: reqwest::Client, delivery: Delivery) {
    let id = delivery.id;
    let made = post(&client, &delivery).await;
    let noted = db
        .write(move |conn| Ok::<_, Error>(webhooks::concluded(conn, &delivery, made)?))
        .await;
    if let Err(error) = noted {
        // The claim ends by itself, and the receiver hears the same event again.
        tracing::warn!(delivery = id, made, error = ?error, "not noted");
    }
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
