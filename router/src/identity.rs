//! Names for a request that travel with it: `x-request-id` and the W3C `traceparent`.
//!
//! For the exchange. What the client sends is passed on if it is well formed and replaced if not, so that upstreams may put
//! both into their logs unread.

use actix_http::header::HeaderMap;

/// The names of one request.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The request id.
    pub request_id: String,
    /// The new `traceparent`; absent if the client's is passed on.
    pub traceparent: Option<String>,
}

impl Identity {
    /// Takes the client's names, or makes new ones.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = text("x-request-id")
            .filter(|id| is_request_id(id))
            .map(str::to_owned);
        let traced = text("traceparent").is_some_and(is_traceparent);
        Self {
            request_id: request_id.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>())),
            // Not sampled: the router records no spans, so it must not claim that there is something to find.
            traceparent: (!traced).then(|| {
                format!(
                    "00-{:032x}-{:016x}-00",
                    rand::random::<u128>() | 1,
                    rand::random::<u64>() | 1
                )
            }),
        }
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
    fn new_names_are_well_formed() {
        let identity = Identity::of(&HeaderMap::new());
        assert!(is_request_id(&identity.request_id));
        assert!(is_traceparent(&identity.traceparent.unwrap()));
    }
}
