//! Conditional requests (RFC 9110, section 13): entity tags, `If-Match`, `If-None-Match`.

use actix_web::http::header::{self, HeaderMap};

use crate::catalog::model::Expected;

/// The entity tag of a version (RFC 9110, section 8.8.3).
pub(super) fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// Whether the header lists this entity tag, weakly compared, or `*`.
pub(super) fn lists(headers: &HeaderMap, name: &header::HeaderName, etag: &str) -> bool {
    tags(headers, name).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn tags<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

/// What `If-Match` asks for. Weak tags never match strongly, so they are left out.
pub(super) fn expected(headers: &HeaderMap) -> Expected {
    if !headers.contains_key(header::IF_MATCH) || tags(headers, &header::IF_MATCH).any(|tag| tag == "*") {
        return Expected::Any;
    }
    let version = |tag: &str| {
        let version: i64 = tag.strip_prefix("\"v")?.strip_suffix('"')?.parse().ok()?;
        // A number can be written in several ways, a tag in one.
        (etag(version) == tag).then_some(version)
    };
    Expected::OneOf(tags(headers, &header::IF_MATCH).filter_map(version).collect())
}
