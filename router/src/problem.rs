//! What the router answers on its own behalf: RFC 9457 problems whose `type` says that the router speaks.
//!
//! For the exchange, when there is no upstream answer to pass on. A client, and whoever reads its logs, can tell by
//! `urn:banyan:router:…` that the request was not answered by an application. Details name upstreams by their name in the
//! config, never by address.

use std::time::Duration;

use actix_http::StatusCode;
use bytes::Bytes;
use serde::Serialize;

/// Which problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The path has several readings, or none.
    AmbiguousPath,
    /// The path is one that the router does not pass on.
    ReservedPath,
    /// The request is not HTTP as we speak it.
    BadRequest,
    /// The head did not arrive in time.
    RequestTimeout,
    /// The head is too long.
    HeaderTooLarge,
    /// The body is too long.
    ContentTooLarge,
    /// The client asks too often.
    TooManyRequests,
    /// A version of HTTP that we do not speak.
    VersionNotSupported,
    /// CONNECT, or an upgrade that cannot be.
    NotImplemented,
    /// The upstream refused, or broke off before it had answered.
    BadGateway,
    /// The upstream did not answer in time.
    GatewayTimeout,
    /// The data is on its way to another owner.
    HandedOver,
}

/// One problem.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Which.
    pub kind: Kind,
    /// What happened, for a person.
    pub detail: String,
    /// When it may be tried again, if that can be said.
    pub retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Wire<'p> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'p str>,
}

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

impl Problem {
    /// A problem.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The client has asked too often.
    pub fn too_many_requests(wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::new(
                Kind::TooManyRequests,
                "the client has sent more requests than it may, and can go on a little later",
            )
        }
    }

    /// The body is longer than so many bytes.
    pub fn content_too_large(most: u64) -> Self {
        Self::new(
            Kind::ContentTooLarge,
            format!("the body is longer than {most} bytes"),
        )
    }

    /// Its body.
    pub fn body(&self, request_id: Option<&str>) -> Bytes {
        let (r#type, title, status) = self.kind.parts();
        let wire = Wire {
            r#type,
            title,
            status: status.as_u16(),
            detail: &self.detail,
            request_id,
        };
        // A struct of texts and a number always serialises.
        serde_json::to_vec(&wire).unwrap_or_default().into()
    }
}

impl Kind {
    /// The status it is answered with.
    pub fn status(self) -> StatusCode {
        self.parts().2
    }

    /// In a word, what an upstream did wrong, if it is to blame.
    pub fn upstreams_fault(self) -> Option<&'static str> {
        match self {
            Self::BadGateway => Some("unreachable"),
            Self::GatewayTimeout => Some("timeout"),
            _ => None,
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table reads best whole")]
    fn parts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::AmbiguousPath => (
                "urn:banyan:router:ambiguous-path",
                "The path is ambiguous",
                StatusCode::BAD_REQUEST,
            ),
            Self::ReservedPath => (
                "urn:banyan:router:reserved-path",
                "The path is not passed on",
                StatusCode::NOT_FOUND,
            ),
            Self::BadRequest => (
                "urn:banyan:router:bad-request",
                "The request is malformed",
                StatusCode::BAD_REQUEST,
            ),
            Self::RequestTimeout => (
                "urn:banyan:router:request-timeout",
                "The request did not arrive in time",
                StatusCode::REQUEST_TIMEOUT,
            ),
            Self::HeaderTooLarge => (
                "urn:banyan:router:header-too-large",
                "The head of the request is too long",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ),
            Self::ContentTooLarge => (
                "urn:banyan:router:content-too-large",
                "The body of the request is too long",
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            Self::TooManyRequests => (
                "urn:banyan:router:too-many-requests",
                "The client asks too often",
                StatusCode::TOO_MANY_REQUESTS,
            ),
            Self::VersionNotSupported => (
                "urn:banyan:router:version-not-supported",
                "The router does not speak this version of HTTP",
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            ),
            Self::NotImplemented => (
                "urn:banyan:router:not-implemented",
                "The router cannot do this",
                StatusCode::NOT_IMPLEMENTED,
            ),
            Self::BadGateway => (
                "urn:banyan:router:bad-gateway",
                "The upstream could not be reached or broke off",
                StatusCode::BAD_GATEWAY,
            ),
            Self::GatewayTimeout => (
                "urn:banyan:router:gateway-timeout",
                "The upstream did not answer in time",
                StatusCode::GATEWAY_TIMEOUT,
            ),
            Self::HandedOver => (
                "urn:banyan:router:handed-over",
                "The data is being handed over",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
        }
    }
}
