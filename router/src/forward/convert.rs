//! From actix's `http` 0.2 to hyper's `http` 1 and back: the only file that knows both.
//!
//! For the exchange. Everything crosses as bytes, and headers are appended, since some repeat (`Set-Cookie`). Hop-by-hop
//! fields stay behind on either way: those of RFC 9110 7.6.1 and those that `Connection` names.

mod http2;

use actix_http::header::HeaderMap as ActixHeaders;
use http::Method;
use http02::header as old;

pub use self::http2::{from_http2, to_http2};

/// A method.
pub fn method(method: &http02::Method) -> Option<Method> {
    match *method {
        http02::Method::GET => Some(Method::GET),
        http02::Method::POST => Some(Method::POST),
        http02::Method::PUT => Some(Method::PUT),
        _ => Method::from_bytes(method.as_str().as_bytes()).ok(),
    }
}

/// Hands on a request's end-to-end fields, apart from those that `wanted` declines.
pub fn request_fields(from: &ActixHeaders, put: &mut impl FnMut(&str, &[u8]), wanted: impl Fn(&str) -> bool) {
    let named = Named::by(from.get_all(old::CONNECTION).map(old::HeaderValue::as_bytes));
    for (name, value) in from {
        let name = name.as_str();
        if !is_hop_by_hop(name) && name != "trailer" && !named.contains(name) && wanted(name) {
            put(name, value.as_bytes());
        }
    }
}

/// Appends an answer's end-to-end fields to actix's, as they stand in its head.
pub fn answer_fields(from: &[httparse::Header<'_>], to: &mut ActixHeaders) {
    let values = from
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("connection"));
    let named = Named::by(values.map(|field| field.value));
    for field in from {
        let (Ok(name), Ok(value)) = (
            old::HeaderName::from_bytes(field.name.as_bytes()),
            old::HeaderValue::from_bytes(field.value),
        ) else {
            continue;
        };
        if !is_hop_by_hop(name.as_str()) && !named.contains(name.as_str()) {
            to.append(name, value);
        }
    }
}

/// The fields that `Connection` declares to be for this hop only.
struct Named<'v>(Vec<&'v [u8]>);

impl<'v> Named<'v> {
    fn by(values: impl Iterator<Item = &'v [u8]>) -> Self {
        let tokens = values.flat_map(|value| value.split(|byte| *byte == b','));
        // A sender may not declare these, and dropping them would break the message.
        let may_go = |name: &&[u8]| {
            let kept: [&[u8]; 4] = [b"keep-alive", b"close", b"host", b"content-length"];
            !kept.iter().any(|kept| name.eq_ignore_ascii_case(kept))
        };
        Self(tokens.map(<[u8]>::trim_ascii).filter(may_go).collect())
    }

    fn contains(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name.as_bytes()))
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
        let fields: Vec<httparse::Header<'_>> = [
            ("Connection", "close, X-Hop"),
            ("connection", "x-other , content-length"),
            ("x-hop", "1"),
            ("X-Other", "1"),
            ("keep-alive", "timeout=5"),
            ("Content-Length", "3"),
            ("set-cookie", "a=1"),
            ("Set-Cookie", "b=2"),
        ]
        .iter()
        .map(|(name, value)| httparse::Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
        let mut to = ActixHeaders::new();
        answer_fields(&fields, &mut to);
        let mut names: Vec<String> = to.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        assert_eq!(names, ["content-length", "set-cookie", "set-cookie"]);
        let cookies: Vec<_> = to.get_all("set-cookie").collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }
}
