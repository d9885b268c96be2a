//! The head of a request as the upstream gets it.
//!
//! For the exchange. End-to-end fields go on as they came. What a proxy says about the client (`X-Forwarded-*`,
//! `Forwarded`, `X-Real-IP`) is ours to say: from a peer that is not a trusted proxy it is dropped and said anew, from a
//! trusted one it is continued.

use std::fmt::Write;
use std::net::IpAddr;

use actix_http::RequestHead;
use actix_http::header::HeaderMap as ActixHeaders;
use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, VIA};

use super::convert;
use crate::client;
use crate::config::{HostPolicy, Settings, Upstream};
use crate::identity::Identity;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What the head depends on besides what the client sent.
pub struct Sender<'r> {
    /// The other end of the client's connection.
    pub peer: IpAddr,
    /// The host that the client asked for, if it named one.
    pub host: Option<&'r str>,
    /// The request's names.
    pub identity: &'r Identity,
    /// The `[router]` section.
    pub settings: &'r Settings,
}

/// The head for an upstream.
pub fn outbound(head: &RequestHead, upstream: &Upstream, sender: &Sender<'_>) -> HeaderMap {
    let from = &head.headers;
    let trusted = client::is_trusted(sender.peer, &sender.settings.trusted_proxies);
    let traced = sender.identity.traceparent.is_none();
    let mut to = convert::request_headers(from, 9, |name| match name {
        "host" | "x-request-id" | "forwarded" | "x-forwarded-for" | "x-forwarded-host"
        | "x-forwarded-proto" => false,
        "x-real-ip" => trusted,
        "traceparent" | "tracestate" => traced,
        _ => trusted || !name.starts_with("x-forwarded-"),
    });
    set(&mut to, HOST, host(upstream, sender));
    forwarded(&mut to, from, sender, trusted);
    set(&mut to, X_REQUEST_ID, &sender.identity.request_id);
    if let Some(traceparent) = &sender.identity.traceparent {
        set(&mut to, TRACEPARENT, traceparent);
    }
    let version = if head.version == http02::Version::HTTP_10 {
        "1.0 banyan"
    } else {
        "1.1 banyan"
    };
    to.append(VIA, HeaderValue::from_static(version));
    if says(from, "te", "trailers") {
        to.insert(TE, HeaderValue::from_static("trailers"));
    }
    to
}

/// Whether a list-valued field has a member.
pub fn says(headers: &ActixHeaders, name: &str, member: &str) -> bool {
    let values = headers.get_all(name).filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(member))
}

fn host<'r>(upstream: &'r Upstream, sender: &Sender<'r>) -> &'r str {
    match sender.settings.host {
        HostPolicy::Preserve => sender.host.unwrap_or(&upstream.authority),
        HostPolicy::Upstream => &upstream.authority,
    }
}

fn forwarded(to: &mut HeaderMap, from: &ActixHeaders, sender: &Sender<'_>, trusted: bool) {
    let peer = sender.peer.to_string();
    let said = |name: &str| {
        if trusted {
            joined(from, name)
        } else {
            String::new()
        }
    };
    let said_for = said("x-forwarded-for");
    set(to, X_FORWARDED_FOR, &with_last(&said_for, &peer));
    let proto = said("x-forwarded-proto");
    let proto = if proto.is_empty() { "http" } else { proto.as_str() };
    set(to, X_FORWARDED_PROTO, proto);
    let said_host = said("x-forwarded-host");
    let host = if said_host.is_empty() {
        sender.host.unwrap_or_default()
    } else {
        &said_host
    };
    if !host.is_empty() {
        set(to, X_FORWARDED_HOST, host);
    }
    let mut said_before = said("forwarded");
    if said_before.is_empty() {
        // A proxy that speaks the older dialect only: say the same in the newer one.
        let hops: Vec<String> = said_for
            .split(',')
            .map(str::trim)
            .filter(|hop| !hop.is_empty())
            .map(node)
            .collect();
        said_before = hops
            .iter()
            .map(|hop| format!("for={hop}"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    let mut own = format!("for={};proto=http", node(&peer));
    if let Some(host) = sender.host.filter(|host| !host.contains(['"', '\\'])) {
        let _infallible = write!(own, ";host=\"{host}\"");
    }
    set(to, FORWARDED, &with_last(&said_before, &own));
}

/// RFC 7239 wants IPv6 addresses in brackets and quotes.
fn node(address: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("\"[{address}]\""),
        _ if address.bytes().all(plain) => address.to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn joined(headers: &ActixHeaders, name: &str) -> String {
    let values: Vec<&str> = headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .collect();
    values.join(", ")
}

fn with_last(said: &str, last: &str) -> String {
    if said.is_empty() {
        last.to_owned()
    } else {
        format!("{said}, {last}")
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
