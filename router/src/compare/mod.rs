//! Compares two answers to the same request: the monolith's (left) and the service's (right).
//!
//! For the shadow executor, which counts what comes out, for the evidence behind a certificate, and for the fuzz target
//! `tests/fuzz/fuzz_targets/compare.rs`. It is pure: no I/O, no clock, no shared state. The same answers and rules give the
//! same verdict, differences in the same order.
//!
//! What is compared, in this order:
//!
//! 1. **The status.** If the two are of different classes (200 and 404), nothing else is compared: a resource and a problem
//!    differ everywhere, and a hundred differences would hide the one that matters.
//! 2. **The headers** that the rules name (`headers`).
//! 3. **The body** (`body`): first its content codings are undone (`coding`), within bounds. JSON is compared by
//!    structure (`walk`), anything else by length and SHA-256.
//!
//! What cannot be compared is [`Verdict::Incomparable`] with a reason that can be counted, never silently equal. Bytes that
//! are identical under identical codings are equal without being looked into, whatever they are.
//!
//! Secrets do not leave this module: a [`Difference`] shows `[redacted]` for what stands under a place of
//! [`Rules::redact`] or under a name such as `password` ([`secret`]). They are compared like everything else.
//!
//! Beside it: [`noise`] decides which differences the monolith also has from itself; [`samples`] keeps examples.

mod body;
mod coding;
mod difference;
mod fingerprint;
mod headers;
mod json;
mod marks;
pub mod noise;
mod number;
mod pairing;
mod place;
mod print;
#[cfg(test)]
mod properties;
mod rules;
pub mod samples;
pub mod secret;
mod syntax;
mod trace;
mod walk;

use bytes::Bytes;
use http::HeaderMap;

pub use body::{Cause, Reason};
pub use difference::{Difference, Differences};
pub use number::Tolerance;
pub use place::{Complaint, Place};
pub use rules::{Limits, Rules, Side};

use difference::Found;

/// One answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// All its fields, repeated ones in the order in which they came.
    pub headers: HeaderMap,
    /// The body as it was sent, content codings still on; transfer codings already off.
    pub body: Bytes,
}

/// What a comparison comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// By these rules the two say the same.
    Equal,
    /// They do not.
    Differs(Differences),
    /// Nothing was found to differ, but not everything could be compared, for this reason.
    Incomparable(Reason),
}

/// Compares the monolith's answer (left) with the service's (right).
pub fn compare(rules: &Rules, limits: &Limits, left: &Answer, right: &Answer) -> Verdict {
    let mut found = Found::new(limits);
    if left.status != right.status {
        found.add("status", "status", || {
            (left.status.to_string(), right.status.to_string())
        });
        if left.status / 100 != right.status / 100 {
            return Verdict::Differs(found.finish(None));
        }
    }
    headers::compare(rules, limits, left, right, &mut found);
    match body::compare(rules, limits, left, right, &mut found) {
        Ok(()) if found.is_empty() => Verdict::Equal,
        Err(reason) if found.is_empty() => Verdict::Incomparable(reason),
        body => Verdict::Differs(found.finish(body.err())),
    }
}

#[cfg(test)]
mod tests;
