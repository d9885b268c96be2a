//! The one shape of an error answer: `application/problem+json` as RFC 9457 has it, for every process.
//!
//! Modules have error enums of their own and turn them into a [`Problem`] in their `http.rs`. The cause of a 5xx
//! is logged here, once, and never told to the client.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::chain;

/// The media type of a problem (RFC 9457, section 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field in the body, or name of the parameter or header: `price.amount`, `limit`, `Idempotency-Key`.
    pub field: String,
    /// What the field must be, in words for the person who wrote the request.
    pub message: String,
}

/// An error answer (RFC 9457, section 3.1).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A URN that names the kind of problem; stable, for machines.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for every problem of that kind.
    pub title: String,
    /// The HTTP status, repeated for those who see only the body.
    pub status: u16,
    /// What went wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The fields at fault, if any is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    #[serde(skip)]
    #[schema(ignore)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of the kind `urn:banyan:problem:<slug>`.
    pub fn new(status: StatusCode, slug: &str, title: &str) -> Self {
        Self {
            kind: format!("urn:banyan:problem:{slug}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: None,
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// 400: the request could not be read as what the operation takes.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request could not be understood",
        )
        .detail(detail)
    }

    /// 401: no valid session token came with the request.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "A valid session is required",
        )
        .detail(detail)
        .header(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// 403: the session is valid, but its role may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The session may not do this").detail(detail)
    }

    /// 404: there is no such thing, or none that this session may know of.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such resource").detail(detail)
    }

    /// 409: the request is fine, the state of the resource is not.
    pub fn conflict(slug: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            slug,
            "The state of the resource does not allow this",
        )
        .detail(detail)
    }

    /// 412: the resource is not at the version that `If-Match` names.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "The resource has changed",
        )
        .detail(detail)
    }

    /// 422: well-formed, but with values that are not allowed.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation",
            "Some values are not allowed",
        );
        problem.errors = errors;
        problem
    }

    /// 503: try again in `retry_after` seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after: u32) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The service cannot answer just now",
        )
        .detail(detail)
        .header(header::RETRY_AFTER, &retry_after.to_string())
    }

    /// 500. Logs `cause` with all its sources; the client learns only that it happened.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = chain(cause), "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on our side",
        )
    }

    /// A problem for a bare status, where nothing more is known.
    pub fn of_status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let slug = title.to_ascii_lowercase().replace(' ', "-");
        Self::new(status, &slug, title)
    }

    /// Adds what went wrong this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a field that is at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
        self
    }

    /// Adds a header to the answer; a value that is no header value is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.status)?;
        self.detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        for header in &self.headers {
            answer.append_header(header.clone());
        }
        answer.insert_header((header::CONTENT_TYPE, MEDIA_TYPE)).body(
            // Strings and integers always serialise; an empty body would still carry the status.
            serde_json::to_vec(self).unwrap_or_default(),
        )
    }
}
