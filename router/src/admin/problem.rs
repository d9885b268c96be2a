//! What the admin port answers when it does not do what was asked: RFC 9457 problems that say what to do next.
//!
//! For every handler and the guard in front of them. Types are `urn:banyan:router:…`, stable, for machines; the command line
//! chooses its exit code by them. What was wrong comes with them: the fields of the request, the mistakes of the file with
//! their lines, or the certificate that says hold.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::certificate::Certificate;
use crate::config::{Fault, Refused};
use crate::problem::MEDIA_TYPE;
use crate::promotion::wish::Refusal;
use crate::switch::audit;
use crate::switch::file::FileError;
use crate::switch::plan::SwitchError;

/// What every type begins with.
pub const URN: &str = "urn:banyan:router:";
/// The type of a step that the evidence does not allow.
pub const HELD: &str = "held";

/// An error answer (RFC 9457, section 3.1).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A URN that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time, and what to do about it.
    pub detail: String,
    /// The field of the request that is at fault, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The mistakes of the config file, if it has any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// The certificate that says hold, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<Certificate>>,
    #[serde(skip)]
    #[schema(ignore)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of the kind `urn:banyan:router:SLUG`.
    pub fn new(status: StatusCode, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{URN}{slug}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            faults: Vec::new(),
            certificate: None,
            headers: Vec::new(),
        }
    }

    /// 400 or 422: a field is not what it must be.
    pub fn field(status: StatusCode, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(
                status,
                "bad-request",
                "The request could not be understood",
                detail,
            )
        }
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such thing",
            detail,
        )
    }

    /// 503: something that is needed is not there now.
    pub fn unavailable(slug: &str, detail: impl Into<String>) -> Self {
        let title = "It cannot be done now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, slug, title, detail).header(header::RETRY_AFTER, "2")
    }

    /// 503: the audit log cannot be read.
    pub fn audit_unavailable() -> Self {
        let detail =
            "the audit log cannot be read; mend the state database, the router's log says what ails it";
        Self::unavailable("audit-unavailable", detail)
    }

    fn refused(status: StatusCode, slug: &str, detail: String, refused: &Refused) -> Self {
        Self {
            faults: refused.faults.clone(),
            ..Self::new(status, slug, "The config file does not allow it", detail)
        }
    }

    /// Adds a header to the answer; a value that is none is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Unknown { what, .. } => {
                let title = format!("There is no such {what}");
                Self::new(StatusCode::NOT_FOUND, &format!("unknown-{what}"), &title, detail)
            }
            Refusal::Obstacle { .. } => Self::new(
                StatusCode::CONFLICT,
                "no-step",
                "There is no further step",
                detail,
            ),
            Refusal::Hold(certificate) => Self {
                certificate: Some(certificate),
                ..Self::new(
                    StatusCode::CONFLICT,
                    HELD,
                    "The evidence does not allow it",
                    detail,
                )
            },
            Refusal::ReasonMissing => Self::field(StatusCode::UNPROCESSABLE_ENTITY, "reason", detail),
            Refusal::Evidence(_) => Self::unavailable("evidence-unavailable", detail),
            Refusal::Switch(error) => error.into(),
        }
    }
}

impl From<SwitchError> for Problem {
    fn from(error: SwitchError) -> Self {
        let detail = error.to_string();
        match error {
            SwitchError::Refused(refused) => {
                Self::refused(StatusCode::UNPROCESSABLE_ENTITY, "refused", detail, &refused)
            }
            SwitchError::Broken(refused) => {
                Self::refused(StatusCode::CONFLICT, "file-broken", detail, &refused)
            }
            SwitchError::Edit(_) => {
                let title = "The config file cannot be edited so";
                Self::new(StatusCode::CONFLICT, "edit", title, detail)
            }
            SwitchError::File(FileError::Changed { .. }) => {
                let title = "The config file was changed meanwhile";
                Self::new(StatusCode::CONFLICT, "file-changed", title, detail)
            }
            SwitchError::File(FileError::Busy { .. }) => Self::unavailable("file-busy", detail),
            SwitchError::File(_) => {
                let title = "The config file cannot be written";
                Self::new(StatusCode::CONFLICT, "file-unwritable", title, detail)
            }
            SwitchError::Unrecorded(_) => Self::unavailable("audit-unavailable", detail),
            SwitchError::Interrupted => Self::unavailable("interrupted", detail),
        }
    }
}

impl From<audit::Error> for Problem {
    fn from(error: audit::Error) -> Self {
        match error {
            audit::Error::NotFound(_) => Self::not_found(error.to_string()),
            audit::Error::Broken(_) => {
                let title = "The audit log is not as it was written";
                Self::new(StatusCode::CONFLICT, "audit-broken", title, error.to_string())
            }
            audit::Error::Database(cause) => {
                tracing::warn!(error = %cause, "the audit log cannot be read");
                Self::audit_unavailable()
            }
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.title, self.status, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        for header in &self.headers {
            answer.append_header(header.clone());
        }
        // Texts and numbers always serialise; an empty body would still carry the status.
        let body = serde_json::to_vec(self).unwrap_or_default();
        answer
            .insert_header((header::CONTENT_TYPE, MEDIA_TYPE))
            .body(body)
    }
}
