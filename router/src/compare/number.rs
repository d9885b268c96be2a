//! Numbers of JSON, compared as the decimal numbers that they are written as.
//!
//! For [`super::walk`] and [`super::fingerprint`]. `1`, `1.0`, `10e-1` are one number; 9007199254740993 and
//! 9007199254740992 are two, although a double holds them as one. So a number stays the text that it was sent as, and is
//! taken apart here without computing with it. Only a tolerance turns it into a double, because it asks how far apart.
//!
//! One limit: a number other than zero whose exponent does not fit into 64 bits is equal to its own spelling alone.

use std::hash::{Hash, Hasher};

/// How far apart two numbers may be: within one of the two bounds is enough, as with Python's `math.isclose`.
///
/// The bounds are forgiven the rounding of the doubles that they are computed with: 1.10 and 1.09 are within 0.01.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tolerance {
    /// In the number's own unit; 0 allows nothing.
    pub absolute: f64,
    /// As a share of the larger of the two, such as 0.001; 0 allows nothing.
    pub relative: f64,
}

impl Tolerance {
    /// Whether two numbers, each in its JSON spelling, are near enough.
    pub(super) fn allows(&self, left: &str, right: &str) -> bool {
        let (left, right) = (double(left), double(right));
        let size = left.abs().max(right.abs());
        let rounding = 4.0 * f64::EPSILON * size;
        let apart = (left - right).abs() - rounding;
        // What is too large for a double is infinite here, and infinity is near to nothing.
        size.is_finite() && (apart <= self.absolute || apart <= self.relative * size)
    }
}

/// The nearest double; zero for what is no number, which a parsed body does not contain.
pub(super) fn double(text: &str) -> f64 {
    text.parse().unwrap_or_default()
}

/// Whether two spellings mean the same number.
pub(super) fn equal(left: &str, right: &str) -> bool {
    left == right || matches!((Decimal::read(left), Decimal::read(right)), (Some(l), Some(r)) if l == r)
}

/// Hashes what [`equal`] compares.
pub(super) fn hash(text: &str, state: &mut impl Hasher) {
    match Decimal::read(text) {
        Some(decimal) => decimal.hash(state),
        None => text.hash(state),
    }
}

/// The digits, which begin and end with one that is not 0, times ten to the exponent. Zero has no digits.
struct Decimal<'t> {
    negative: bool,
    /// The digits before the point, then those after it.
    digits: [&'t [u8]; 2],
    exponent: i64,
}

impl<'t> Decimal<'t> {
    /// Absent if the exponent is beyond all reason.
    fn read(text: &'t str) -> Option<Self> {
        let negative = text.starts_with('-');
        let text = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, places) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches('0');
        let places = places.trim_end_matches('0');
        if whole.is_empty() && places.is_empty() {
            return Some(Self {
                negative: false,
                digits: [b"", b""],
                exponent: 0,
            });
        }
        let exponent: i64 = exponent.parse().ok()?;
        let (digits, scale) = if places.is_empty() {
            let short = whole.trim_end_matches('0');
            (
                [short.as_bytes(), b""],
                i64::try_from(whole.len() - short.len()).ok()?,
            )
        } else {
            let leading = if whole.is_empty() {
                places.trim_start_matches('0')
            } else {
                places
            };
            (
                [whole.as_bytes(), leading.as_bytes()],
                -i64::try_from(places.len()).ok()?,
            )
        };
        Some(Self {
            negative,
            digits,
            exponent: exponent.checked_add(scale)?,
        })
    }

    fn digits(&self) -> impl Iterator<Item = &'t u8> {
        let [whole, places] = self.digits;
        whole.iter().chain(places)
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.negative, self.exponent) == (other.negative, other.exponent) && self.digits().eq(other.digits())
    }
}

impl Hash for Decimal<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.negative, self.exponent).hash(state);
        // Where the point stood must not matter, so the pieces are not hashed as pieces; the end is marked instead.
        self.digits.iter().for_each(|piece| state.write(piece));
        state.write_u8(b'.');
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;

    fn hashed(text: &str) -> u64 {
        let mut state = DefaultHasher::new();
        hash(text, &mut state);
        state.finish()
    }

    #[test]
    fn spellings_of_one_number_are_equal_and_hash_alike() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "1e0"),
            ("1", "10E-1"),
            ("1", "0.1e+1"),
            ("0", "-0.00"),
            ("0", "0e99999999999999999999"),
            ("100", "1e2"),
            ("10.50", "105e-1"),
            ("0.0070", "7e-3"),
            ("-12.5", "-1.25e1"),
            ("12345678901234567890123.0", "12345678901234567890123"),
            ("1e-00007", "0.0000001"),
        ] {
            assert!(equal(one, other), "{one} {other}");
            assert_eq!(hashed(one), hashed(other), "{one} {other}");
        }
    }

    #[test]
    fn numbers_that_a_double_conflates_are_told_apart() {
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("12345678901234567890123", "12345678901234567890124"),
            ("0.1", "0.1000000000000000055511151231257827"),
            ("1e-400", "2e-400"),
            ("1", "-1"),
            ("1", "10"),
            ("105", "10.5"),
            ("1.05", "1.5"),
        ] {
            assert!(!equal(one, other), "{one} {other}");
            assert_ne!(hashed(one), hashed(other), "{one} {other}");
        }
    }

    #[test]
    fn a_tolerance_allows_its_bound_and_no_more() {
        let cent = Tolerance {
            absolute: 0.01,
            relative: 0.0,
        };
        assert!(cent.allows("1.10", "1.09"));
        assert!(!cent.allows("1.10", "1.0899"));
        let thousandth = Tolerance {
            absolute: 0.0,
            relative: 0.001,
        };
        assert!(thousandth.allows("1000", "1001"));
        assert!(!thousandth.allows("1000", "1002"));
        let either = Tolerance {
            absolute: 0.5,
            relative: 0.001,
        };
        assert!(either.allows("0", "0.5") && either.allows("10000", "10010"));
    }

    #[test]
    fn a_tolerance_that_is_no_number_and_numbers_that_are_too_large_allow_nothing() {
        let broken = Tolerance {
            absolute: f64::NAN,
            relative: f64::NAN,
        };
        assert!(!broken.allows("1", "2"));
        let wide = Tolerance {
            absolute: f64::MAX,
            relative: 1.0,
        };
        assert!(!wide.allows(&"9".repeat(400), "1"));
    }
}
