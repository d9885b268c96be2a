//! Calls to other processes: a deadline on each, retries on safe methods alone, and the context of the request at
//! hand carried along.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::context::{Context, REQUEST_ID, TRACEPARENT};

/// A client for one host. Every call has `deadline` for all its attempts together; safe methods that fail to connect
/// or meet 502, 503 or 504 are tried up to `retries` times more, within a budget that keeps retries to a fraction of
/// the traffic.
pub fn build(host: &str, deadline: Duration, retries: u32) -> reqwest::Result<reqwest::Client> {
    let policy = reqwest::retry::for_host(host.to_owned())
        .max_retries_per_request(retries)
        .classify_fn(|attempt| {
            let safe = matches!(*attempt.method(), Method::GET | Method::HEAD);
            let failed = attempt.error().is_some()
                || matches!(
                    attempt.status(),
                    Some(
                        StatusCode::BAD_GATEWAY
                            | StatusCode::SERVICE_UNAVAILABLE
                            | StatusCode::GATEWAY_TIMEOUT
                    )
                );
            if safe && failed {
                attempt.retryable()
            } else {
                attempt.success()
            }
        });
    reqwest::Client::builder()
        .retry(policy)
        .timeout(deadline)
        .connect_timeout(deadline.min(Duration::from_secs(2)))
        .pool_idle_timeout(Duration::from_secs(20))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

/// The request id and trace context of the request at hand, as headers for a call made on its behalf.
pub fn context_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(context) = Context::current() {
        let pairs = [
            (REQUEST_ID, context.request_id.clone()),
            (TRACEPARENT, context.traceparent()),
        ];
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
    headers
}
