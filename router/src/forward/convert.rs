//! From actix's `http` 0.2 to hyper's `http` 1 and back: the only file that knows both.
//!
//! For the exchange. Everything crosses as bytes, and headers are appended, since some repeat (`Set-Cookie`). Hop-by-hop
//! fields stay behind on either way: those of RFC 9110 7.6.1 and those that `Connection` names.

mod http2;

use actix_http::header::HeaderMap as ActixHeaders;
use http::Method;
use http02::header as old;

pub use self::http2::{from_http2, to_http2};
use super::fields::AnswerFields;

/// Fields that are for one hop, whether `Connection` names them or not.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Room for the fields that are added to an answer, in bytes.
const OURS: usize = 160;

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

/// An answer's end-to-end fields, as they stand in its head of so many bytes, but for the length.
pub fn answer_fields(from: &[httparse::Header<'_>], bytes: usize) -> AnswerFields {
    let values = from
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("connection"));
    let named = Named::by(values.map(|field| field.value));
    let mut fields = AnswerFields::with_capacity(bytes + OURS);
    for field in from {
        let is_length = field.name.eq_ignore_ascii_case("content-length");
        if !is_length && !is_hop_by_hop(field.name) && !named.contains(field.name) {
            fields.append_parsed(field);
        }
    }
    fields
}

/// The fields that `Connection` declares to be for this hop only.
struct Named<'v>(Vec<&'v [u8]>);

impl<'v> Named<'v> {
    fn by(values: impl Iterator<Item = &'v [u8]>) -> Self {
        // A sender may not declare these, and dropping them would break the message.
        let may_go = |name: &&[u8]| {
            let kept: [&[u8]; 4] = [b"keep-alive", b"close", b"host", b"content-length"];
            !kept.iter().any(|kept| name.eq_ignore_ascii_case(kept))
        };
        let mut named = Vec::new();
        // Nearly always one of those is all that there is.
        for value in values.filter(may_go) {
            let tokens = value.split(|byte| *byte == b',');
            named.extend(tokens.map(<[u8]>::trim_ascii).filter(may_go));
        }
        Self(named)
    }

    fn contains(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name.as_bytes()))
    }
}

fn is_hop_by_hop(name: &str) -> bool {
    // Most names have a length that none of them has.
    matches!(name.len(), 2 | 7 | 10 | 14 | 16..=19)
        && HOP_BY_HOP.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_one_hop_is_known_in_either_case() {
        for name in HOP_BY_HOP {
            assert!(
                is_hop_by_hop(name) && is_hop_by_hop(&name.to_ascii_uppercase()),
                "{name}"
            );
        }
        assert!(
            ["ta", "server", "x-upgrade", "content-type"]
                .iter()
                .all(|name| !is_hop_by_hop(name))
        );
    }

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
        .chain([httparse::Header {
            name: "X-Kept",
            value: b"\xfc",
        }])
        .collect();
        let fields = answer_fields(&fields, 0);
        assert_eq!(
            fields.as_lines(),
            b"set-cookie: a=1\r\nSet-Cookie: b=2\r\nX-Kept: \xfc\r\n"
        );
    }
}
