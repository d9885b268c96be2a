//! Names for a request that travel with it: `x-request-id` and the W3C `traceparent`.
//!
//! For the exchange. What the client sends is passed on if it is well formed and replaced if not, so that upstreams may put
//! both into their logs unread. New ones are made together, and the request id is the trace id.

use actix_http::header::HeaderMap;
use bytes::Bytes;
use http::header::HeaderValue;

/// The names of one request.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The request id.
    pub request_id: HeaderValue,
    /// The new `traceparent`; absent if the client's is passed on.
    pub traceparent: Option<HeaderValue>,
}

impl Identity {
    /// Takes the client's names, or makes new ones.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let given = text("x-request-id").filter(|id| is_request_id(id));
        let given = given.and_then(|id| HeaderValue::from_str(id).ok());
        let is_traced = text("traceparent").is_some_and(is_traceparent);
        let made = Bytes::from(traceparent(rand::random::<u128>() | 1, rand::random::<u64>() | 1));
        let value = |bytes| HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static("-"));
        Self {
            request_id: given.unwrap_or_else(|| value(made.slice(3..35))),
            traceparent: (!is_traced).then(|| value(made)),
        }
    }

    /// The request id as text.
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}

/// Not sampled: the router records no spans, so it must not claim that there is something to find.
fn traceparent(trace: u128, parent: u64) -> Vec<u8> {
    let mut text = b"00-00000000000000000000000000000000-0000000000000000-00".to_vec();
    write_hex(&mut text[3..35], &trace.to_be_bytes());
    write_hex(&mut text[36..52], &parent.to_be_bytes());
    text
}

fn write_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn is_request_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(&byte);
    !id.is_empty() && id.len() <= 128 && id.bytes().all(plain)
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; a later version may add fields at the end.
fn is_traceparent(value: &str) -> bool {
    let hex = |part: &str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let parts: Vec<&str> = value.split('-').collect();
    let [version, trace, parent, flags, more @ ..] = parts.as_slice() else {
        return false;
    };
    hex(version, 2)
        && *version != "ff"
        && (*version != "00" || more.is_empty())
        && hex(trace, 32)
        && !zero(trace)
        && hex(parent, 16)
        && !zero(parent)
        && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents_are_judged() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        assert!(is_traceparent(&format!("01{}-more", &good[2..])));
        for bad in [
            "",
            "00",
            &format!("{good}-x"),
            &good.replace("00-4b", "ff-4b"),
            &good.to_uppercase(),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }

    #[test]
    fn new_names_are_well_formed_and_belong_together() {
        let identity = Identity::of(&HeaderMap::new());
        let traceparent = identity.traceparent.clone().unwrap();
        assert!(is_request_id(identity.request_id()));
        assert!(is_traceparent(traceparent.to_str().unwrap()));
        assert_eq!(
            traceparent.to_str().unwrap().split('-').nth(1),
            Some(identity.request_id())
        );
    }
}
