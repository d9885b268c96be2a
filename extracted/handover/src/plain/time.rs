//! Times in their three forms: canonical, as diesel writes them on SQLite, as PostgreSQL counts them.
//!
//! By hand and not with chrono, whose parser costs more than all else that is done with a row.

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

/// The fixed part: `2026-11-25T06:17:51`.
const SECONDS: usize = 19;

/// The canonical form of a stored time, which has a space or a `T` in its middle, up to nine digits behind a point, and no zone or UTC.
/// More than six digits are cut: nothing finer than a microsecond travels.
pub(super) fn canonical(stored: &str) -> Option<String> {
    let local = ["Z", "+00:00", "+00"]
        .iter()
        .find_map(|zone| stored.strip_suffix(zone))
        .unwrap_or(stored);
    let (fixed, fraction) = local.split_at_checked(SECONDS)?;
    let digits = match fraction.strip_prefix('.') {
        Some(digits)
            if (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            digits
        }
        None if fraction.is_empty() => "",
        _ => return None,
    };
    if !is_time(fixed.as_bytes()) {
        return None;
    }
    let (day, clock) = (fixed.get(..10)?, fixed.get(11..)?);
    Some(format!("{day}T{clock}.{:0<6.6}Z", digits))
}

/// The canonical form of a time in microseconds since 1970, if it is one of the years that are written with four digits.
pub(super) fn from_micros(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    let year = u32::try_from(time.year())
        .ok()
        .filter(|year| (1..=9999).contains(year))?;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let mut put = |mut number: u32, to: Range<usize>| {
        for digit in text[to].iter_mut().rev() {
            // What remains of ten is a digit.
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(year, 0..4);
    put(time.month(), 5..7);
    put(time.day(), 8..10);
    put(time.hour(), 11..13);
    put(time.minute(), 14..16);
    put(time.second(), 17..19);
    put(time.timestamp_subsec_micros(), 20..26);
    std::str::from_utf8(&text).ok().map(str::to_owned)
}

/// Whether a text is a time in canonical form.
pub(super) fn is_canonical(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == SECONDS + 8
        && bytes[10] == b'T'
        && bytes[SECONDS] == b'.'
        && bytes[SECONDS + 1..SECONDS + 7].iter().all(u8::is_ascii_digit)
        && bytes[SECONDS + 7] == b'Z'
        && is_time(&bytes[..SECONDS])
}

/// A canonical time as diesel writes it: groups of three digits behind the point, no more of them than are needed.
/// Equality in SQL is that of the texts.
pub(super) fn as_diesel_writes(canonical: &str) -> String {
    let (seconds, rest) = canonical.split_at(SECONDS);
    let fraction = match rest.trim_end_matches('Z') {
        ".000000" => "",
        rest if rest.ends_with("000") => &rest[..4],
        rest => rest,
    };
    format!("{}{fraction}", seconds.replacen('T', " ", 1))
}

/// Whether the fixed part is a day that there is, and a time on it.
fn is_time(text: &[u8]) -> bool {
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0_u32, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'))
        })
    };
    let marks = text[4] == b'-'
        && text[7] == b'-'
        && matches!(text[10], b'T' | b' ')
        && text[13] == b':'
        && text[16] == b':';
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (number(11, 13), number(14, 16), number(17, 19)) else {
        return false;
    };
    marks
        && NaiveDate::from_ymd_opt(year.cast_signed(), month, day).is_some()
        && hour < 24
        && minute < 60
        && second < 60
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;

    use super::*;

    #[test]
    fn what_is_stored_becomes_canonical() {
        for (stored, expected) in [
            ("2026-11-25 06:17:51", "2026-11-25T06:17:51.000000Z"),
            ("2026-11-25 06:17:51.120", "2026-11-25T06:17:51.120000Z"),
            ("2026-11-25 06:17:51.000120", "2026-11-25T06:17:51.000120Z"),
            ("2026-11-25 06:17:51.000120999", "2026-11-25T06:17:51.000120Z"),
            ("2026-11-25T06:17:51.1", "2026-11-25T06:17:51.100000Z"),
            ("2026-11-25T06:17:51+00:00", "2026-11-25T06:17:51.000000Z"),
            ("2024-02-29 00:00:00", "2024-02-29T00:00:00.000000Z"),
        ] {
            assert_eq!(canonical(stored).as_deref(), Some(expected), "{stored}");
            assert!(is_canonical(expected));
        }
    }

    #[test]
    fn what_is_no_time_becomes_none() {
        for bad in [
            "",
            "infinity",
            "yesterday, about ten",
            "2026-11-25",
            "2026-11-25 06:17",
            "2026-02-29 06:17:51",
            "2026-11-25 24:00:00",
            "2026-11-25 06:17:51.",
            "2026-11-25 06:17:51.1234567890",
            "2026-11-25 06:17:51+01:00",
            "0044-03-15T06:17:51 BC",
            "12026-11-25T06:17:51",
            "2026-11-25_06:17:51",
            "2026-11-25 06:17:5é",
            "2026-11-25 06:17:51.é",
        ] {
            assert_eq!(canonical(bad), None, "{bad}");
            assert!(!is_canonical(bad), "{bad}");
        }
        assert!(!is_canonical("2026-11-25 06:17:51.000000Z") && !is_canonical("2026-11-25T06:17:51.00000Z"));
    }

    #[test]
    fn a_number_of_microseconds_is_the_time_that_chrono_writes() {
        let format = "%Y-%m-%dT%H:%M:%S%.6fZ";
        for micros in [
            0,
            -1,
            951_782_399_999_999,
            951_782_400_000_000,
            1_795_760_271_000_120,
            253_402_300_799_999_999,
            -62_135_596_800_000_000,
        ] {
            let time = DateTime::from_timestamp_micros(micros).unwrap();
            let text = from_micros(micros).unwrap();
            assert_eq!(text, time.format(format).to_string());
            assert!(is_canonical(&text));
        }
        // The years 0 and 10000, and what no calendar has.
        for none in [
            -62_135_596_800_000_001,
            253_402_300_800_000_000,
            i64::MAX,
            i64::MIN,
        ] {
            assert_eq!(from_micros(none), None, "{none}");
        }
    }

    /// Diesel's own format is `%F %T%.f`.
    #[test]
    fn a_time_is_written_as_diesel_would() {
        for micros in [0, 1, 120, 1_000, 120_000, 999_000, 999_999] {
            let text = format!("2026-11-25T06:17:51.{micros:06}");
            let time: NaiveDateTime = text.parse().unwrap();
            assert_eq!(
                as_diesel_writes(&format!("{text}Z")),
                time.format("%F %T%.f").to_string()
            );
        }
    }
}
