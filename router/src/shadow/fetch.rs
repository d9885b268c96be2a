//! Sends one request of the shadow's and reads the whole answer, within limits.
//!
//! For [`super::run`]. hyper-util's pooling client carries it rather than reqwest, which would tidy the path: both sides must
//! be asked for the very bytes that the client asked for.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::compare::Answer;
use crate::config::{Address, Shadow};
use crate::evidence::Side;

/// The shadow's own connections.
pub type Client = hyper_util::client::legacy::Client<HttpConnector, Empty<Bytes>>;

/// Why there is no answer to compare.
#[derive(Debug)]
pub enum Failure {
    /// Not connected, broken off, or not HTTP.
    Broken,
    /// Too late.
    Timeout,
    /// Longer than what is compared.
    TooLarge {
        /// What it began with.
        status: u16,
    },
}

/// A client without connections yet.
pub fn client() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Duration::from_secs(2)));
    hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Below the five seconds after which many servers close; see the pool of the data path.
        .pool_idle_timeout(Duration::from_secs(4))
        .pool_max_idle_per_host(16)
        // It would grow to 400 KiB for a target that sends fast.
        .http1_max_buf_size(64 * 1024)
        .build(connector)
}

/// Sends a request to an address of an upstream and reads the answer.
pub async fn fetch(
    client: &Client,
    address: &Address,
    head: http::Request<()>,
    settings: &Shadow,
) -> Result<Answer, Failure> {
    let (mut head, ()) = head.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let uri = format!("http://{}{target}", address.authority).parse::<http::Uri>();
    head.uri = uri.map_err(|_| Failure::Broken)?;
    let request = http::Request::from_parts(head, Empty::new());
    let exchange = async {
        let answer = client.request(request).await.map_err(|_| Failure::Broken)?;
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            body: read(body, parts.status.as_u16(), settings.max_body).await?,
            headers: parts.headers,
        })
    };
    let exchange = tokio::time::timeout(settings.timeout, exchange);
    exchange.await.unwrap_or(Err(Failure::Timeout))
}

async fn read(mut body: Incoming, status: u16, most: usize) -> Result<Bytes, Failure> {
    let announced = body.size_hint().exact().map_or(0, |length| length as usize);
    if announced > most {
        return Err(Failure::TooLarge { status });
    }
    // Grown by doubling, a buffer would be up to twice what it holds.
    let mut read = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > most {
            return Err(Failure::TooLarge { status });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

impl Failure {
    /// The word for it, in metrics and reports.
    pub fn word(&self, side: Side) -> &'static str {
        match (side, self) {
            (Side::Service, Self::Broken) => "service-unreachable",
            (Side::Service, Self::Timeout) => "service-timeout",
            (Side::Service, Self::TooLarge { .. }) => "service-too-large",
            (Side::Monolith, Self::Broken) => "monolith-unreachable",
            (Side::Monolith, Self::Timeout) => "monolith-timeout",
            (Side::Monolith, Self::TooLarge { .. }) => "monolith-too-large",
        }
    }
}
