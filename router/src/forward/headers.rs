//! The head of a request as the upstream gets it.
//!
//! For the exchange. End-to-end fields go on as they came. What a proxy says about the client (`X-Forwarded-*`,
//! `Forwarded`, `X-Real-IP`) is ours to say: from a peer that is not a trusted proxy it is dropped and said anew, from a
//! trusted one it is continued.

use actix_http::RequestHead;
use actix_http::header::HeaderMap as ActixHeaders;
use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, VIA};

use super::convert;
use crate::client;
use crate::config::{HostPolicy, Settings, Upstream};
use crate::identity::Identity;
use crate::origin::{Origin, node};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The head for an upstream.
pub fn outbound(
    head: &RequestHead,
    upstream: &Upstream,
    origin: &Origin,
    identity: &Identity,
    settings: &Settings,
) -> HeaderMap {
    let from = &head.headers;
    let trusted = client::is_trusted(origin.peer, &settings.trusted_proxies);
    let traced = identity.traceparent.is_none();
    let mut to = convert::request_headers(from, 9, |name| match name {
        "host" | "x-request-id" | "forwarded" | "x-forwarded-for" | "x-forwarded-host"
        | "x-forwarded-proto" => false,
        "x-real-ip" => trusted,
        "traceparent" | "tracestate" => traced,
        _ => (trusted || !name.starts_with("x-forwarded-")) && !imitates(name),
    });
    let own_host = || HeaderValue::from_str(&upstream.authority).ok();
    let host = match settings.host {
        HostPolicy::Preserve => origin.host_value.clone().or_else(own_host),
        HostPolicy::Upstream => own_host(),
    };
    insert(&mut to, HOST, host);
    if trusted {
        continue_forwarded(&mut to, from, origin);
    } else {
        to.insert(X_FORWARDED_FOR, origin.forwarded_for.clone());
        to.insert(X_FORWARDED_PROTO, origin.forwarded_proto.clone());
        insert(&mut to, X_FORWARDED_HOST, origin.host_value.clone());
        to.insert(FORWARDED, origin.forwarded.clone());
    }
    to.insert(X_REQUEST_ID, identity.request_id.clone());
    insert(&mut to, TRACEPARENT, identity.traceparent.clone());
    let version = match head.version {
        http02::Version::HTTP_10 => "1.0 banyan",
        http02::Version::HTTP_2 => "2.0 banyan",
        _ => "1.1 banyan",
    };
    to.append(VIA, HeaderValue::from_static(version));
    if says(from, "te", "trailers") {
        to.insert(TE, HeaderValue::from_static("trailers"));
    }
    to
}

/// Whether a name becomes one of those that are ours to say, or that frame a message, where `_` and `-` are the same: CGI
/// and its heirs (WSGI, Rack, PHP) cannot tell them apart.
fn imitates(name: &str) -> bool {
    let has_underscore = memchr::memchr(b'_', name.as_bytes()).is_some();
    has_underscore && {
        let name = name.replace('_', "-");
        name.starts_with("x-forwarded")
            || matches!(
                name.as_str(),
                "forwarded" | "x-real-ip" | "x-request-id" | "content-length" | "transfer-encoding"
            )
    }
}

/// Whether a list-valued field has a member.
pub fn says(headers: &ActixHeaders, name: &str, member: &str) -> bool {
    let values = headers.get_all(name).filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(member))
}

/// Adds this hop to what a trusted proxy has said.
fn continue_forwarded(to: &mut HeaderMap, from: &ActixHeaders, origin: &Origin) {
    let said_for = joined(from, "x-forwarded-for");
    insert(to, X_FORWARDED_FOR, with_last(&said_for, &origin.forwarded_for));
    let said = |name| {
        HeaderValue::from_str(&joined(from, name))
            .ok()
            .filter(|value| !value.is_empty())
    };
    insert(
        to,
        X_FORWARDED_PROTO,
        said("x-forwarded-proto").or_else(|| Some(origin.forwarded_proto.clone())),
    );
    insert(
        to,
        X_FORWARDED_HOST,
        said("x-forwarded-host").or_else(|| origin.host_value.clone()),
    );
    let mut before = joined(from, "forwarded");
    if before.is_empty() {
        // A proxy that speaks the older dialect only: say the same in the newer one.
        let hops = said_for.split(',').map(str::trim).filter(|hop| !hop.is_empty());
        before = hops
            .map(|hop| format!("for={}", node(hop)))
            .collect::<Vec<_>>()
            .join(", ");
    }
    insert(to, FORWARDED, with_last(&before, &origin.forwarded));
}

fn joined(headers: &ActixHeaders, name: &str) -> String {
    let values: Vec<&str> = headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .collect();
    values.join(", ")
}

fn with_last(said: &str, last: &HeaderValue) -> Option<HeaderValue> {
    if said.is_empty() {
        return Some(last.clone());
    }
    HeaderValue::from_str(&format!("{said}, {}", last.to_str().unwrap_or_default())).ok()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}
