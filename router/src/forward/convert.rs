//! From actix's `http` 0.2 to hyper's `http` 1 and back: the only file that knows both.
//!
//! For the exchange. Everything crosses as bytes, and headers are appended, since some repeat (`Set-Cookie`). Hop-by-hop
//! fields stay behind on either way: those of RFC 9110 7.6.1 and those that `Connection` names.

mod http2;

use actix_http::header::HeaderMap as ActixHeaders;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use http02::header as old;

pub use self::http2::{from_http2, to_http2};

/// A request's target in origin form, byte for byte.
pub fn target(uri: &http02::Uri) -> Option<Uri> {
    let path = uri
        .path_and_query()
        .map_or("/", http02::uri::PathAndQuery::as_str);
    PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(path.as_bytes()))
        .ok()
        .map(Uri::from)
}

/// A method.
pub fn method(method: &http02::Method) -> Option<Method> {
    match *method {
        http02::Method::GET => Some(Method::GET),
        http02::Method::POST => Some(Method::POST),
        http02::Method::PUT => Some(Method::PUT),
        _ => Method::from_bytes(method.as_str().as_bytes()).ok(),
    }
}

/// A status, if actix can write it.
pub fn status(status: StatusCode) -> Option<http02::StatusCode> {
    http02::StatusCode::from_u16(status.as_u16()).ok()
}

/// Which of a request's fields go on, apart from those that `wanted` declines.
pub fn request_headers(from: &ActixHeaders, room: usize, wanted: impl Fn(&str) -> bool) -> HeaderMap {
    let mut to = HeaderMap::with_capacity(from.len() + room);
    let named = Named::by(from.get_all(old::CONNECTION).map(old::HeaderValue::as_bytes));
    for (name, value) in from {
        let name = name.as_str();
        if is_hop_by_hop(name) || name == "trailer" || named.contains(name) || !wanted(name) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            to.append(name, value);
        }
    }
    to
}

/// Appends an answer's end-to-end fields to actix's.
pub fn answer_headers(from: &HeaderMap, to: &mut ActixHeaders, wanted: impl Fn(&str) -> bool) {
    let named = Named::by(
        from.get_all(http::header::CONNECTION)
            .iter()
            .map(HeaderValue::as_bytes),
    );
    for (name, value) in from {
        let name = name.as_str();
        if is_hop_by_hop(name) || named.contains(name) || !wanted(name) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (
            old::HeaderName::from_bytes(name.as_bytes()),
            old::HeaderValue::from_bytes(value.as_bytes()),
        ) {
            to.append(name, value);
        }
    }
}

/// The fields that `Connection` declares to be for this hop only.
struct Named(Vec<String>);

impl Named {
    fn by<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        let tokens = values.flat_map(|value| value.split(|byte| *byte == b','));
        let names = tokens.map(|token| String::from_utf8_lossy(token.trim_ascii()).to_ascii_lowercase());
        // A sender may not declare these, and dropping them would break the message.
        let may_go =
            |name: &String| !matches!(name.as_str(), "host" | "content-length" | "close" | "keep-alive");
        Self(names.filter(may_go).collect())
    }

    fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_fields_stay_behind_and_repeated_ones_go_on() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("connection", "x-other , content-length"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("content-length", "3"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-latin", "caf\u{e9}"),
        ] {
            from.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let mut to = ActixHeaders::new();
        answer_headers(&from, &mut to, |name| name != "x-latin");
        let mut names: Vec<String> = to.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        assert_eq!(names, ["content-length", "set-cookie", "set-cookie"]);
        let cookies: Vec<_> = to.get_all("set-cookie").collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }
}
