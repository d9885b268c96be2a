//! Logs for people and for machines: pretty on a terminal, JSON otherwise, on standard error.
//!
//! Every line written while a request is served carries its request id and trace id.

use std::fmt;
use std::io::IsTerminal;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError};
use tracing::Instrument;
use tracing_subscriber::EnvFilter;

use crate::context::{Context, REQUEST_ID};

/// Starts logging. `RUST_LOG` says what to log; without it, `info`.
pub fn init() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start, as in a test with two servers, keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        lines.with_target(false).try_init()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init()
    };
}

/// Middleware: gives each request its [`Context`] and its span, and the answer its request id.
pub async fn trace_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let context = Context::of(request.headers());
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        path = request.path(),
        request_id = context.request_id,
        trace_id = context.trace_id,
    );
    let id = HeaderValue::from_str(&context.request_id).ok();
    match context.scope(next.call(request).instrument(span.clone())).await {
        Ok(mut answer) => {
            span.in_scope(|| tracing::debug!(status = answer.status().as_u16(), "answered"));
            name(answer.headers_mut(), id);
            Ok(answer)
        }
        Err(error) => Err(Named { error, id }.into()),
    }
}

fn name(headers: &mut HeaderMap, id: Option<HeaderValue>) {
    if let Some(id) = id {
        headers.insert(HeaderName::from_static(REQUEST_ID), id);
    }
}

/// An error on its way out that will be answered with the id of its request.
#[derive(Debug)]
struct Named {
    error: actix_web::Error,
    id: Option<HeaderValue>,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Named {
    fn status_code(&self) -> StatusCode {
        self.error.as_response_error().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = self.error.error_response();
        name(answer.headers_mut(), self.id.clone());
        answer
    }
}
