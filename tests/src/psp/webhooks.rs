//! Tells the shop what happened, signed, again and again until it says 2xx; and carries out late charges.
//!
//! The signature is `psp-signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">`.

use std::time::Duration;

use chassis::db::Db;
use diesel::prelude::*;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::books::{self, now_ms};
use super::model::Error;
use super::schema::events;

/// How often the queue is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Where webhooks go, and how they are signed.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) secret: String,
}

/// Sends until the process ends.
pub(super) async fn deliver(db: Db, target: Option<Target>, client: reqwest::Client) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        if let Err(error) = db.write(books::settle_late).await {
            tracing::warn!(%error, "late charges wait");
        }
        let Some(target) = &target else { continue };
        if let Err(error) = send_due(&db, target, &client).await {
            tracing::warn!(%error, "webhooks wait");
        }
    }
}

async fn send_due(db: &Db, target: &Target, client: &reqwest::Client) -> Result<(), Error> {
    let due: Vec<(i64, String, i64)> = db
        .read(|conn| {
            Ok::<_, Error>(
                events::table
                    .filter(events::sent.eq(false))
                    .filter(events::due_ms.le(now_ms()))
                    .order(events::seq.asc())
                    .limit(100)
                    .select((events::seq, events::body, events::attempts))
                    .load(conn)?,
            )
        })
        .await?;
    for (seq, body, attempts) in due {
        let sent = send(target, client, body).await;
        // 100 ms, 200 ms, … up to 10 s.
        let pause = 100_i64.saturating_mul(1 << attempts.min(7)).min(10_000);
        db.write(move |conn| {
            diesel::update(events::table.filter(events::seq.eq(seq)))
                .set((
                    events::sent.eq(sent),
                    events::attempts.eq(attempts + 1),
                    events::due_ms.eq(now_ms() + pause),
                ))
                .execute(conn)?;
            Ok::<_, Error>(())
        })
        .await?;
    }
    Ok(())
}

async fn send(target: &Target, client: &reqwest::Client, body: String) -> bool {
    let Some(signature) = sign(&target.secret, now_ms() / 1000, &body) else {
        return false;
    };
    let request = client
        .post(&target.url)
        .header("psp-signature", signature)
        .header("content-type", "application/json")
        .body(body);
    match request.send().await {
        Ok(answer) => answer.status().is_success(),
        Err(error) => {
            tracing::debug!(%error, "webhook not delivered");
            false
        }
    }
}

fn sign(secret: &str, at: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{at}.{body}").as_bytes());
    Some(format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes())))
}
