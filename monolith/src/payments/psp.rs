//! The payment provider's API. Every call has a deadline, and every call that moves money an idempotency key.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::model::{Charge, Payment, Refund, Verdict};
use crate::config;

/// A client of the provider.
#[derive(Clone, Debug)]
pub(super) struct Psp {
    client: reqwest::Client,
    url: String,
}

#[derive(Deserialize)]
struct Listing {
    items: Vec<Charge>,
}

/// What the provider says of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefundVerdict {
    Done,
    Refused,
    Unknown,
}

impl Psp {
    pub(super) fn new(settings: &config::Psp) -> reqwest::Result<Self> {
        // Retries are the caller's affair: it knows which calls may be repeated, and asks in between.
        let client = chassis::client::build("", Duration::from_millis(settings.timeout_ms), 0)?;
        Ok(Self {
            client,
            url: settings.url.trim_end_matches('/').to_owned(),
        })
    }

    /// Charges under the payment's key; again changes nothing.
    pub(super) async fn charge(&self, payment: &Payment) -> Verdict {
        let request = self
            .client
            .post(format!("{}/charges", self.url))
            .header("idempotency-key", &payment.psp_key)
            .json(&json!({
                "amount": payment.amount.amount,
                "currency": payment.amount.currency,
                "payment_method": payment.payment_method,
                "reference": format!("order-{}", payment.order_id),
                "capture": payment.capture,
            }));
        let Some(answer) = send(request).await else {
            return Verdict::Unknown;
        };
        match answer.status() {
            status if status.is_success() || status == StatusCode::PAYMENT_REQUIRED => {
                charge_in(answer).await
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Verdict::Unknown,
            status if status.is_client_error() => {
                Verdict::Refused(format!("the payment provider refused ({status})"))
            }
            _ => Verdict::Unknown,
        }
    }

    /// What became of the payment's key.
    pub(super) async fn find(&self, payment: &Payment) -> Verdict {
        let request = self
            .client
            .get(format!("{}/charges", self.url))
            .query(&[("key", &payment.psp_key)]);
        let Some(answer) = send(request).await.filter(|answer| answer.status().is_success()) else {
            return Verdict::Unknown;
        };
        match answer.json::<Listing>().await {
            Ok(listing) => listing
                .items
                .into_iter()
                .next()
                .map_or(Verdict::Nothing, Verdict::Charge),
            Err(_) => Verdict::Unknown,
        }
    }

    /// Takes the money of an authorized charge.
    pub(super) async fn capture(&self, reference: &str) -> Verdict {
        let request = self
            .client
            .post(format!("{}/charges/{reference}/capture", self.url));
        match send(request).await {
            Some(answer) if answer.status().is_success() => charge_in(answer).await,
            _ => Verdict::Unknown,
        }
    }

    /// Makes the payment's key useless for ever, and undoes its charge if there is one. Whether that is done now.
    pub(super) async fn void(&self, payment: &Payment) -> bool {
        let request = self
            .client
            .post(format!("{}/keys/{}/void", self.url, payment.psp_key));
        send(request)
            .await
            .is_some_and(|answer| answer.status().is_success())
    }

    /// Gives money back under the refund's key; again changes nothing.
    pub(super) async fn refund(&self, reference: &str, refund: &Refund) -> RefundVerdict {
        let request = self
            .client
            .post(format!("{}/charges/{reference}/refunds", self.url))
            .header("idempotency-key", &refund.psp_key)
            .json(&json!({ "amount": refund.amount }));
        match send(request).await.map(|answer| answer.status()) {
            Some(status) if status.is_success() => RefundVerdict::Done,
            Some(StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => RefundVerdict::Unknown,
            Some(status) if status.is_client_error() => RefundVerdict::Refused,
            _ => RefundVerdict::Unknown,
        }
    }
}

async fn send(request: RequestBuilder) -> Option<Response> {
    let sent = request.headers(chassis::client::context_headers()).send().await;
    sent.inspect_err(|error| tracing::warn!(%error, "the payment provider does not answer"))
        .ok()
}

async fn charge_in(answer: Response) -> Verdict {
    answer.json().await.map_or(Verdict::Unknown, Verdict::Charge)
}
