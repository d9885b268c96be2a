//! Who is asking: the request id and W3C trace context of the request at hand, and how they travel on.
//!
//! Kept in a task-local, so that an outgoing call made while a request is served carries them without every
//! function in between passing them along.

use std::future::Future;

use actix_web::http::header::HeaderMap;

/// The header that names a request across processes.
pub const REQUEST_ID: &str = "x-request-id";
/// The W3C Trace Context header.
pub const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: Context;
}

/// The identity of the request at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Taken from the caller, or made here.
    pub request_id: String,
    /// 32 hex digits: the same in every process that takes part.
    pub trace_id: String,
    /// 16 hex digits: this process's part.
    pub span_id: String,
    /// The two hex digits of W3C trace flags.
    pub flags: String,
}

impl Context {
    /// Takes the caller's ids where they are valid, and makes new ones where not.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = text(REQUEST_ID)
            .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()))
            .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
        let (trace_id, flags) = text(TRACEPARENT)
            .and_then(parse_traceparent)
            .unwrap_or_else(|| (uuid::Uuid::new_v4().simple().to_string(), "01".to_owned()));
        let span_id = format!("{:016x}", rand::random_range(1..=u64::MAX));
        Self {
            request_id,
            trace_id,
            span_id,
            flags,
        }
    }

    /// The `traceparent` for calls made on behalf of this request.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{}", self.trace_id, self.span_id, self.flags)
    }

    /// Runs `work` as part of this request.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The context of the request at hand, if there is one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }
}

/// Trace id and flags of a valid `traceparent` (W3C Trace Context, section 3.2).
fn parse_traceparent(value: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = value.split('-').collect();
    let hex = |part: &str, len: usize| {
        part.len() == len
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    match parts.as_slice() {
        ["00", trace, span, flags]
            if hex(trace, 32) && hex(span, 16) && hex(flags, 2) && !zero(trace) && !zero(span) =>
        {
            Some(((*trace).to_owned(), (*flags).to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_traceparent_is_gone_on_with_and_a_broken_one_replaced() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(
            parse_traceparent(&good),
            Some((trace.to_owned(), "01".to_owned()))
        );
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-x",
        ] {
            assert_eq!(parse_traceparent(bad), None, "{bad}");
        }
    }
}
