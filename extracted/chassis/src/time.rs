//! One clock: UTC, in whole microseconds, which is what both databases keep.

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};

/// Now, in UTC, cut to microseconds, so that a stored time reads back equal.
pub fn now() -> NaiveDateTime {
    Utc::now().naive_utc().trunc_subsecs(6)
}

/// A stored time as it is shown: RFC 3339 with `Z`.
pub fn utc(stored: NaiveDateTime) -> DateTime<Utc> {
    stored.and_utc()
}
