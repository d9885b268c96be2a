//! What the provider tells by itself. Signed, no older than five minutes, each event once.
//!
//! `psp-signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>" under the shared secret>`.

use actix_web::http::header::HeaderMap;
use chassis::config::Secret;
use chassis::db::Conn;
use garde::Validate;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::model::{Charge, Verdict};
use super::{Error, Payables, settle, store};

/// Seconds that the provider's clock and ours may be apart, message under way included.
const TOLERANCE: i64 = 300;

/// The secret that events are signed with.
#[derive(Clone, Debug)]
pub(super) struct WebhookSecret(Secret);

/// An event of the provider. What it has besides is not read.
#[derive(Debug, Deserialize, Validate)]
pub(super) struct Event {
    #[garde(length(min = 1, max = 255))]
    pub(super) id: String,
    #[garde(length(min = 1, max = 255))]
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[garde(skip)]
    pub(super) data: Data,
}

/// What an event is about.
#[derive(Debug, Deserialize)]
pub(super) struct Data {
    pub(super) charge: Charge,
}

impl WebhookSecret {
    pub(super) fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// Whether the body was signed with the secret, at a time near `at` (seconds since 1970).
    pub(super) fn signed(&self, headers: &HeaderMap, body: &[u8], at: i64) -> bool {
        let header = headers
            .get("psp-signature")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let part = |name: &str| header.split(',').find_map(|part| part.trim().strip_prefix(name));
        let (Some(time), Some(signature)) = (part("t="), part("v1=")) else {
            return false;
        };
        let (Ok(seconds), Ok(signature)) = (time.parse::<i64>(), hex::decode(signature)) else {
            return false;
        };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.reveal().as_bytes()) else {
            return false;
        };
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        let good = mac.finalize().into_bytes().as_slice().ct_eq(&signature);
        bool::from(good) && at.abs_diff(seconds) <= TOLERANCE.unsigned_abs()
    }
}

/// Takes note of an event, unless it was noted before.
pub(super) fn receive(conn: &mut Conn, payables: &dyn Payables, event: &Event) -> Result<(), Error> {
    if !store::remember_event(conn, &event.id, &event.kind)? {
        return Ok(());
    }
    let Some(payment) = store::find_by_key(conn, &event.data.charge.key)? else {
        tracing::warn!(event = event.id, "an event for a payment that nobody here made");
        return Ok(());
    };
    // An event tells what the charge was when it was written. Refunds are noted when we ask for them.
    if event.kind.starts_with("charge.") {
        settle::settle(
            conn,
            payables,
            payment.id,
            &Verdict::Charge(event.data.charge.clone()),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn header(t: i64, signed: &str, secret: &str) -> HeaderMap {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        let value = format!("t={t},v1={}", hex::encode(mac.finalize().into_bytes()));
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::from_static("psp-signature"),
            HeaderValue::from_str(&value).unwrap(),
        );
        headers
    }

    #[test]
    fn only_the_right_secret_body_and_time_are_good() {
        let secret = WebhookSecret::new(Secret::new("s3cret"));
        let good = header(1000, "1000.{}", "s3cret");
        assert!(secret.signed(&good, b"{}", 1000));
        assert!(secret.signed(&good, b"{}", 1300) && secret.signed(&good, b"{}", 700));
        assert!(!secret.signed(&good, b"{}", 1301) && !secret.signed(&good, b"{}", 699));
        assert!(!secret.signed(&good, b"{ }", 1000));
        assert!(!secret.signed(&header(1000, "1000.{}", "other"), b"{}", 1000));
        assert!(!secret.signed(&header(1001, "1000.{}", "s3cret"), b"{}", 1000));
        assert!(!secret.signed(&HeaderMap::new(), b"{}", 1000));
    }
}
