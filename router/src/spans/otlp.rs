//! A record as spans: one for the request, one for each upstream that was asked.
//!
//! For [`super::export`]. Names follow OpenTelemetry's semantic conventions for HTTP spans; what they have no name for
//! begins with `banyan.`. Nothing is told that could be a secret: no query, no header but the ids, no address of a client.

use std::time::SystemTime;

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::record::{Asked, Attempt, Record};
use crate::evidence::Side;

/// Methods that are told by their name; others become `_OTHER`, so that clients cannot make names up.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Who says all this.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("banyan")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// Adds a record's spans.
pub fn spans(record: &Record, scope: &InstrumentationScope, to: &mut Vec<SpanData>) {
    let state: TraceState = record.state.parse().unwrap_or_default();
    to.push(server(record, &state, scope));
    for (resends, attempt) in record.attempts.iter().enumerate() {
        to.push(client(record, attempt, resends, &state, scope));
    }
}

/// The request as the client sees it.
fn server(record: &Record, state: &TraceState, scope: &InstrumentationScope) -> SpanData {
    let asked = &record.asked;
    let method = known(&asked.method);
    let name = match &record.route {
        Some(route) => format!("{} {}", spoken(method), route.template),
        None => spoken(method).to_owned(),
    };
    let mut attributes = about(asked);
    attributes.push(text("url.path", asked.path.clone()));
    attributes.push(text("url.scheme", asked.scheme));
    attributes.push(text("network.protocol.version", asked.version));
    if let Some(host) = &asked.host {
        attributes.extend(server_address(host));
    }
    attributes.push(text("banyan.request_id", record.request_id.clone()));
    if let Some(route) = &record.route {
        attributes.push(text("http.route", route.template.clone()));
        attributes.push(text("banyan.route", route.route.clone()));
        attributes.push(text("banyan.module", route.module.clone()));
        attributes.push(text("banyan.mode", route.mode));
    }
    if let Some(why) = record.why.as_ref().and_then(|why| why.to_str().ok()) {
        attributes.push(text("banyan.why", why.to_owned()));
    }
    attributes.extend(record.side.map(|side| text("banyan.side", word(side))));
    let status = match record.status {
        Some(code) => {
            attributes.push(KeyValue::new("http.response.status_code", i64::from(code)));
            answered(code, 500, &mut attributes)
        }
        // It is nobody's error that a client leaves.
        None => {
            attributes.push(KeyValue::new("banyan.client_left", true));
            Status::Unset
        }
    };
    let mut events = SpanEvents::default();
    events.events.push(Event::new(
        "decided",
        record.began + record.decided,
        Vec::new(),
        0,
    ));
    SpanData {
        span_context: context(record, record.span, state),
        parent_span_id: record.parent.map_or(SpanId::INVALID, span_id),
        parent_span_is_remote: record.parent.is_some(),
        span_kind: SpanKind::Server,
        events,
        ..plain(
            name,
            (record.began, record.began + record.took),
            attributes,
            status,
            scope,
        )
    }
}

/// The request as one upstream sees it, to the head of its answer.
fn client(
    record: &Record,
    attempt: &Attempt,
    resends: usize,
    state: &TraceState,
    scope: &InstrumentationScope,
) -> SpanData {
    let mut attributes = about(&record.asked);
    let host = match attempt.host.contains(':') {
        true => format!("[{}]", attempt.host),
        false => attempt.host.clone(),
    };
    let url = format!("http://{host}:{}{}", attempt.port, record.asked.path);
    attributes.push(text("url.full", url));
    attributes.push(text("server.address", attempt.host.clone()));
    attributes.push(KeyValue::new("server.port", i64::from(attempt.port)));
    attributes.push(text("network.protocol.version", "1.1"));
    if resends > 0 {
        attributes.push(KeyValue::new("http.request.resend_count", resends as i64));
    }
    attributes.push(text("banyan.upstream", attempt.upstream.clone()));
    attributes.push(text("banyan.side", word(attempt.side)));
    attributes.push(KeyValue::new("banyan.fallback", attempt.is_fallback));
    let status = match attempt.status {
        Some(code) => {
            attributes.push(KeyValue::new("http.response.status_code", i64::from(code)));
            answered(code, 400, &mut attributes)
        }
        None => {
            // Nobody waited for the answer: the client has left, or the time for the whole exchange was over.
            let error = attempt.error.unwrap_or("cancelled");
            attributes.push(text("error.type", error));
            Status::error(error)
        }
    };
    let began = record.began + attempt.began;
    let took = attempt
        .took
        .unwrap_or_else(|| record.took.saturating_sub(attempt.began));
    SpanData {
        span_context: context(record, attempt.span, state),
        parent_span_id: span_id(record.span),
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        ..plain(
            spoken(known(&record.asked.method)).to_owned(),
            (began, began + took),
            attributes,
            status,
            scope,
        )
    }
}

fn plain(
    name: String,
    (start_time, end_time): (SystemTime, SystemTime),
    attributes: Vec<KeyValue>,
    status: Status,
    scope: &InstrumentationScope,
) -> SpanData {
    SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time,
        end_time,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: scope.clone(),
    }
}

fn context(record: &Record, span: u64, state: &TraceState) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(record.trace.to_be_bytes()),
        span_id(span),
        TraceFlags::new(record.flags),
        false,
        state.clone(),
    )
}

fn span_id(span: u64) -> SpanId {
    SpanId::from_bytes(span.to_be_bytes())
}

/// What both kinds of span say of the request.
fn about(asked: &Asked) -> Vec<KeyValue> {
    let method = known(&asked.method);
    let mut attributes = Vec::with_capacity(16);
    attributes.push(text("http.request.method", method));
    if method == OTHER {
        attributes.push(text("http.request.method_original", asked.method.clone()));
    }
    attributes
}

/// A server is to blame for 5xx alone, a client's question was in vain from 400 on.
fn answered(code: u16, wrong_from: u16, attributes: &mut Vec<KeyValue>) -> Status {
    if code < wrong_from {
        return Status::Unset;
    }
    attributes.push(text("error.type", code.to_string()));
    Status::error("")
}

const OTHER: &str = "_OTHER";

fn known(method: &str) -> &'static str {
    let known = METHODS.into_iter().find(|known| *known == method);
    known.unwrap_or(OTHER)
}

/// A method in the name of a span, where what has no name is called so.
fn spoken(method: &'static str) -> &'static str {
    if method == OTHER { "HTTP" } else { method }
}

/// The host that the client named, and its port.
fn server_address(host: &str) -> Vec<KeyValue> {
    let split = host.rsplit_once(':');
    let split = split.and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
    let (name, port) = split.map_or((host, None), |(name, port)| (name, Some(port)));
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let mut attributes = vec![text("server.address", name.to_owned())];
    attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
    attributes
}

fn word(side: Side) -> &'static str {
    match side {
        Side::Monolith => "monolith",
        Side::Service => "service",
    }
}

fn text(name: &'static str, value: impl Into<Value>) -> KeyValue {
    KeyValue::new(name, value)
}
