//! Reading one's own writes across two sides: how far the data of a side has come, and how far a client's reads must be.
//!
//! For the choice and the exchange. An upstream says its position in `x-data-position`, as `EPOCH-NUMBER`: the epoch counts
//! who holds the data, the number what has been written in it. On the answer to a write it means *this write stands at*, on
//! any other answer *my data has come so far*. The router gives the client of a write a cookie with its position (and leaves
//! the header on the answer, for clients that would rather send it back themselves). A read that carries a position goes to
//! the side that owns the data unless the follower is known to have come that far.
//!
//! What a side has reached is known from its own answers, the shadow's included, so a follower that nobody reads from seems
//! to stand still and the owner serves: slower to trust, never wrong.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_http::header::HeaderMap;
use handover::wire;

/// The header that carries a position, on requests and on answers.
pub const HEADER: &str = wire::DATA_POSITION;

/// The same, ready for lookup.
pub const NAME: http::HeaderName = http::HeaderName::from_static(HEADER);

/// How long a client's cookie is kept. By then every follower has caught up or is out of use.
const COOKIE_SECONDS: u32 = 300;

/// A place in the history of a module's data. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

/// The furthest position that a side is known to have reached.
#[derive(Debug, Default)]
pub struct Reached(AtomicU64);

impl Position {
    /// Epochs take the upper 16 bits, numbers the lower 48: one word, so that it can be compared and raised atomically.
    const NUMBER_BITS: u32 = 48;

    /// Reads `EPOCH-NUMBER`.
    pub fn parse(text: &str) -> Option<Self> {
        let wire::Position { epoch, number } = text.parse().ok()?;
        (epoch < 1 << 16 && number < 1 << Self::NUMBER_BITS)
            .then_some(Self(epoch << Self::NUMBER_BITS | number))
    }

    /// Which of the pen's moves it belongs to.
    pub fn epoch(self) -> u64 {
        self.0 >> Self::NUMBER_BITS
    }

    /// Whether the monolith wrote it. Odd epochs are the monolith's and even ones the service's, for ever.
    pub fn is_monoliths(self) -> bool {
        !self.epoch().is_multiple_of(2)
    }

    /// What a request says its reader has written, in the header or the module's cookie, whichever is later.
    pub fn wanted(headers: &HeaderMap, module: &str) -> Option<Self> {
        let said = headers
            .get(HEADER)
            .and_then(|value| Self::parse(value.to_str().ok()?));
        let cookies = headers
            .get_all("cookie")
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        let kept = cookies
            .filter_map(|pair| pair.split_once('='))
            .filter(|(name, _)| name.trim().strip_prefix(COOKIE_PREFIX) == Some(module))
            .filter_map(|(_, value)| Self::parse(value.trim()));
        said.into_iter().chain(kept).max()
    }

    /// The `Set-Cookie` that makes a browser bring it back.
    pub fn cookie(self, module: &str) -> String {
        format!("{COOKIE_PREFIX}{module}={self}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax")
    }
}

const COOKIE_PREFIX: &str = "banyan-position-";

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch(), self.0 & ((1 << Self::NUMBER_BITS) - 1))
    }
}

impl Reached {
    /// Whether a side has come so far.
    pub fn covers(&self, position: Position) -> bool {
        self.0.load(Ordering::Relaxed) >= position.0
    }

    /// Notes what a side says of itself. Answers overtake each other, so it never goes back.
    pub fn raise(&self, position: Position) {
        if !self.covers(position) {
            self.0.fetch_max(position.0, Ordering::Relaxed);
        }
    }

    /// The furthest position known, if any is.
    pub fn get(&self) -> Option<Position> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            reached => Some(Position(reached)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http02::header::{COOKIE, HeaderName, HeaderValue};

    fn position(text: &str) -> Position {
        Position::parse(text).unwrap()
    }

    #[test]
    fn positions_are_ordered_by_epoch_and_then_by_number() {
        assert!(position("2-1") > position("1-999999999"));
        assert!(position("1-10") > position("1-9"));
        assert_eq!(position("7-42").to_string(), "7-42");
        for bad in [
            "",
            "1",
            "-1",
            "1-",
            "+1-1",
            "1-1-1",
            "65536-1",
            "1-281474976710656",
            "a-b",
            "1- 1",
        ] {
            assert_eq!(Position::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_later_of_header_and_cookie_counts_and_other_modules_do_not() {
        let mut headers = HeaderMap::new();
        let cookies = "a=b; banyan-position-catalog=1-7; banyan-position-orders=9-9";
        headers.append(COOKIE, HeaderValue::from_static(cookies));
        assert_eq!(Position::wanted(&headers, "catalog"), Some(position("1-7")));
        assert_eq!(Position::wanted(&headers, "cat"), None);
        headers.append(HeaderName::from_static(HEADER), HeaderValue::from_static("1-8"));
        assert_eq!(Position::wanted(&headers, "catalog"), Some(position("1-8")));
    }

    #[test]
    fn what_was_reached_never_goes_back() {
        let reached = Reached::default();
        assert!(!reached.covers(position("0-1")));
        reached.raise(position("1-5"));
        reached.raise(position("1-4"));
        assert!(reached.covers(position("1-5")) && !reached.covers(position("1-6")));
        assert_eq!(reached.get(), Some(position("1-5")));
    }
}
