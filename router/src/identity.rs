//! Names for a request that travel with it: `x-request-id` and the W3C `traceparent`.
//!
//! For the exchange. What the client sends is passed on if it is well formed and replaced if not, so that upstreams may put
//! both into their logs unread. New ones are made together, and the request id is the trace id.

use actix_http::header::HeaderMap;
use http02::header::HeaderName;

// Kept ready: to look a field up by its text means to read that, and to allocate it, for each request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The names of one request. Most are made here and are of one length, so they take no room elsewhere.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The client's request id, if it has a good one.
    given: Option<Box<str>>,
    /// Ours.
    made: [u8; 32],
    trace: Trace,
}

/// Whose trace it is, and the `traceparent` that upstreams are sent instead of the client's.
#[derive(Debug, Clone)]
enum Trace {
    /// The client's, passed on as it came.
    Theirs,
    /// The client's, with a span of ours between.
    Continued([u8; 55]),
    /// One that begins here.
    Ours([u8; 55]),
}

/// What a `traceparent` says (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The whole trace.
    pub trace: u128,
    /// The span below which the next one stands.
    pub span: u64,
    /// The flags; see [`SAMPLED`].
    pub flags: u8,
}

/// The flag of a trace that is being recorded.
pub const SAMPLED: u8 = 1;
/// The flags that mean something: sampled, and that the trace id is random.
const KNOWN_FLAGS: u8 = 3;

impl Parent {
    /// Reads a `traceparent` that is known to be well-formed.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self {
            trace: u128::from_str_radix(text.get(3..35)?, 16).ok()?,
            span: u64::from_str_radix(text.get(36..52)?, 16).ok()?,
            flags: u8::from_str_radix(text.get(53..55)?, 16).ok()? & KNOWN_FLAGS,
        })
    }
}

impl Identity {
    /// Takes the client's names, or makes new ones.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let given = text(REQUEST_ID).filter(|id| is_request_id(id));
        let is_traced = text(TRACEPARENT).is_some_and(is_traceparent);
        // Not sampled: whoever records it says so ([`Identity::below`]).
        let new = Parent {
            trace: rand::random::<u128>() | 1,
            span: rand::random::<u64>() | 1,
            flags: 0,
        };
        let made = hex(&new.trace.to_be_bytes());
        Self {
            given: given.map(Box::from),
            made,
            trace: match is_traced {
                true => Trace::Theirs,
                false => Trace::Ours(traceparent(&made, new)),
            },
        }
    }

    /// The same names, but the upstream's spans stand below this one.
    pub fn below(&self, parent: Parent) -> Self {
        let made = traceparent(&hex(&parent.trace.to_be_bytes()), parent);
        Self {
            trace: match self.is_continued() {
                true => Trace::Continued(made),
                false => Trace::Ours(made),
            },
            ..self.clone()
        }
    }

    /// The `traceparent` that is passed on, the client's or a new one.
    pub fn parent(&self, headers: &HeaderMap) -> Option<Parent> {
        match self.traceparent() {
            Some(made) => Parent::parse(std::str::from_utf8(made).ok()?),
            None => Parent::parse(headers.get("traceparent")?.to_str().ok()?),
        }
    }

    /// The request id as text.
    pub fn request_id(&self) -> &str {
        std::str::from_utf8(self.request_id_bytes()).unwrap_or_default()
    }

    /// The request id as upstreams are sent it, which is asked for with every request.
    pub fn request_id_bytes(&self) -> &[u8] {
        self.given.as_ref().map_or(&self.made, |given| given.as_bytes())
    }

    /// The new `traceparent`; absent if the client's is passed on.
    pub fn traceparent(&self) -> Option<&[u8]> {
        match &self.trace {
            Trace::Theirs => None,
            Trace::Continued(made) | Trace::Ours(made) => Some(made),
        }
    }

    /// The trace is one that the client has begun, so its `tracestate` belongs to it.
    pub fn is_continued(&self) -> bool {
        !matches!(self.trace, Trace::Ours(_))
    }
}

/// `trace` is that of the parent, as text.
fn traceparent(trace: &[u8; 32], parent: Parent) -> [u8; 55] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    text[3..35].copy_from_slice(trace);
    text[36..52].copy_from_slice(&hex::<8, 16>(&parent.span.to_be_bytes()));
    text[53..55].copy_from_slice(&hex::<1, 2>(&[parent.flags]));
    text
}

fn hex<const BYTES: usize, const DIGITS: usize>(bytes: &[u8; BYTES]) -> [u8; DIGITS] {
    const { assert!(DIGITS == 2 * BYTES) };
    let mut text = [0; DIGITS];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    text
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
    fn a_parent_is_written_as_it_is_read_and_unknown_flags_are_not_passed_on() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff";
        let parent = Parent::parse(text).unwrap();
        assert_eq!(
            (parent.span, parent.flags & SAMPLED),
            (0x00f0_67aa_0ba9_02b7, SAMPLED)
        );
        let names = Identity::of(&HeaderMap::new()).below(parent);
        assert_eq!(
            names.traceparent().unwrap(),
            text.replace("-ff", "-03").as_bytes()
        );
        assert_eq!(Parent::parse("00-4bf9"), None);
    }

    #[test]
    fn new_names_are_well_formed_and_belong_together() {
        let identity = Identity::of(&HeaderMap::new());
        let traceparent = std::str::from_utf8(identity.traceparent().unwrap()).unwrap();
        assert!(is_request_id(identity.request_id()));
        assert!(is_traceparent(traceparent));
        assert_eq!(traceparent.split('-').nth(1), Some(identity.request_id()));
        let below = identity.below(Parent {
            trace: 1,
            span: 1,
            flags: 1,
        });
        assert_eq!(below.request_id(), identity.request_id());
    }
}
