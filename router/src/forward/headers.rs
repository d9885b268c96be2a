//! The head of a request as the upstream gets it.
//!
//! For the exchange. End-to-end fields go on as they came. What a proxy says about the client (`X-Forwarded-*`,
//! `Forwarded`, `X-Real-IP`) is ours to say: from a peer that is not a trusted proxy it is dropped and said anew, from a
//! trusted one it is continued.

use actix_http::RequestHead;
use actix_http::header::HeaderMap as ActixHeaders;
use bytes::BytesMut;
use http::header::HeaderValue;
use http02::header::{HeaderName, TE, VIA};

use super::convert;
use crate::client;
use crate::config::{Address, HostPolicy, Settings};
use crate::identity::Identity;
use crate::origin::{Origin, node};

/// Where the fields of an upstream's head go.
pub trait Fields {
    /// One of them.
    fn put(&mut self, name: &str, value: &[u8]);

    /// What is said of a client that is no trusted proxy.
    fn put_origin(&mut self, origin: &Origin) {
        origin.fields().for_each(|(name, value)| self.put(name, value));
    }
}

/// Fields as HTTP/1.1 writes them.
pub struct Lines<'t>(pub &'t mut BytesMut);

impl Fields for Lines<'_> {
    fn put(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    fn put_origin(&mut self, origin: &Origin) {
        self.0.extend_from_slice(&origin.lines);
    }
}

/// Writes the fields of an upstream's head.
pub fn outbound(
    head: &RequestHead,
    address: &Address,
    origin: &Origin,
    identity: &Identity,
    settings: &Settings,
    to: &mut impl Fields,
) {
    let from = &head.headers;
    let trusted = client::is_trusted(origin.peer, &settings.trusted_proxies);
    let keeps_parent = identity.traceparent().is_none();
    let host = kept_host(origin, settings);
    to.put(
        "host",
        host.map_or(address.authority.as_bytes(), HeaderValue::as_bytes),
    );
    convert::request_fields(from, &mut |name, value| to.put(name, value), |name| match name {
        "host" | "via" | "x-request-id" | "forwarded" | "x-forwarded-for" | "x-forwarded-host"
        | "x-forwarded-proto" => false,
        "x-real-ip" => trusted,
        "traceparent" => keeps_parent,
        "tracestate" => identity.is_continued(),
        _ => (trusted || !name.starts_with("x-forwarded-")) && !imitates(name),
    });
    if trusted {
        continue_forwarded(from, origin, &mut |name, value| to.put(name, value));
    } else {
        to.put_origin(origin);
    }
    to.put("x-request-id", identity.request_id_bytes());
    if let Some(traceparent) = identity.traceparent() {
        to.put("traceparent", traceparent);
    }
    // The last hop stands last.
    from.get_all(VIA)
        .for_each(|value| to.put("via", value.as_bytes()));
    to.put(
        "via",
        match head.version {
            http02::Version::HTTP_10 => b"1.0 banyan",
            http02::Version::HTTP_2 => b"2.0 banyan",
            _ => b"1.1 banyan",
        },
    );
    if says(from, TE, "trailers") {
        to.put("te", b"trailers");
    }
}

/// The host that the client has named, if upstreams are to see it; else each is called by its own name.
pub fn kept_host<'o>(origin: &'o Origin, settings: &Settings) -> Option<&'o HeaderValue> {
    match settings.host {
        HostPolicy::Preserve => origin.host_value.as_ref(),
        HostPolicy::Upstream => None,
    }
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
pub fn says(headers: &ActixHeaders, name: HeaderName, member: &str) -> bool {
    let values = headers.get_all(name).filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(member))
}

/// Adds this hop to what a trusted proxy has said.
fn continue_forwarded(from: &ActixHeaders, origin: &Origin, put: &mut impl FnMut(&str, &[u8])) {
    let said_for = joined(from, "x-forwarded-for");
    put("x-forwarded-for", &with_last(&said_for, &origin.forwarded_for));
    let mut said = |name, ours: Option<&HeaderValue>| {
        let said = joined(from, name);
        match (said.is_empty(), ours) {
            (false, _) => put(name, said.as_bytes()),
            (true, Some(ours)) => put(name, ours.as_bytes()),
            (true, None) => {}
        }
    };
    said("x-forwarded-proto", Some(&origin.forwarded_proto));
    said("x-forwarded-host", origin.host_value.as_ref());
    let mut before = joined(from, "forwarded");
    if before.is_empty() {
        // A proxy that speaks the older dialect only: say the same in the newer one.
        let hops = said_for.split(',').map(str::trim).filter(|hop| !hop.is_empty());
        before = hops
            .map(|hop| format!("for={}", node(hop)))
            .collect::<Vec<_>>()
            .join(", ");
    }
    put("forwarded", &with_last(&before, &origin.forwarded));
}

fn joined(headers: &ActixHeaders, name: &str) -> String {
    let values: Vec<&str> = headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .collect();
    values.join(", ")
}

fn with_last(said: &str, last: &HeaderValue) -> Vec<u8> {
    let mut all = said.as_bytes().to_vec();
    if !all.is_empty() {
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(last.as_bytes());
    all
}
