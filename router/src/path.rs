//! How a request's path is read before it is matched, so that no other reading of it can reach the other side.
//!
//! For [`crate::choose`]. Upstreams differ in what they make of unusual paths: some resolve `..`, some merge `//`, some
//! decode `%2F`, some cut off `;parameters`, some decode twice. A router that matches one reading while an upstream acts on
//! another can be talked past. The policy:
//!
//! 1. The router never rewrites a path. Both sides are sent the bytes that the client sent (an absolute-form target is
//!    sent in origin form, and a fragment, which has no place in a request, is cut off before matching and sending alike).
//! 2. A usual path has one reading: split at `/`, each segment percent-decoded. `%70roducts` matches `products`
//!    (RFC 3986 6.2.2.2), `a%20b` is one segment. Case counts, and so does a trailing slash.
//! 3. An *unusual* path (dot segments, empty segments, `\`, `;`, encoded slashes or backslashes, doubly encoded octets;
//!    plain or encoded, in any mixture) has many readings: all combinations of what upstreams are known to do are tried.
//!    If every reading belongs to the same route, or every reading to none, the request goes there, untouched. Otherwise
//!    it is refused with 400. So legacy addresses that have nothing to do with any route go on working, and a switch of
//!    mode never changes whether a path is refused.
//! 4. A path that is no path is refused with 400: control characters (plain or encoded, NUL among them), broken
//!    percent-encoding, an unusual path of more than 2 KiB.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::table::Piece;

/// Unusual paths are read in up to 256 ways, so their length is bounded.
const LONGEST_UNUSUAL: usize = 2048;

/// What a path can mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading<'p> {
    /// One thing.
    Usual(Vec<Piece<'p>>),
    /// Several things.
    Unusual {
        /// Every distinct meaning.
        readings: Vec<Vec<Piece<'static>>>,
        /// What is unusual about it, in a word.
        because: &'static str,
    },
    /// Nothing, for this reason.
    Broken(&'static str),
}

/// Reads a path. It starts with a slash, or is the `*` of `OPTIONS *`, and has no query.
pub fn read(path: &str) -> Reading<'_> {
    let Some(inner) = path.strip_prefix('/') else {
        return if path == "*" {
            Reading::Usual(vec![Cow::Borrowed(b"*")])
        } else {
            Reading::Broken("the target is not a path")
        };
    };
    let bytes = inner.as_bytes();
    if bytes.iter().any(u8::is_ascii_control) {
        return Reading::Broken("it contains a control character");
    }
    let mut oddity = bytes.contains(&b'\\').then_some("backslash");
    let mut pieces = Vec::with_capacity(8);
    for segment in inner.split('/') {
        let piece = match decode(segment.as_bytes()) {
            Some(piece) => piece,
            None => return Reading::Broken("its percent-encoding is broken"),
        };
        if let Cow::Owned(decoded) = &piece {
            if decoded.iter().any(u8::is_ascii_control) {
                return Reading::Broken("it contains an encoded control character");
            }
            oddity = oddity.or_else(|| odd_once_decoded(decoded));
        }
        oddity = oddity.or_else(|| odd_segment(&piece));
        pieces.push(piece);
    }
    // An empty last segment is a trailing slash, which is usual.
    let empty = pieces.iter().rev().skip(1).any(|piece| piece.is_empty());
    match oddity.or(empty.then_some("empty-segment")) {
        None => Reading::Usual(pieces),
        Some(_) if path.len() > LONGEST_UNUSUAL => Reading::Broken("it is unusual and longer than 2 KiB"),
        Some(because) => Reading::Unusual {
            readings: readings(bytes),
            because,
        },
    }
}

/// Decodes a literal of a template, which must be usual.
pub(crate) fn literal(text: &str) -> Result<Vec<u8>, String> {
    match read(&format!("/{text}")) {
        Reading::Usual(pieces) if text.is_ascii() => Ok(pieces.concat()),
        Reading::Usual(_) => Err("has characters that must be percent-encoded".to_owned()),
        Reading::Unusual { because, .. } => Err(format!("is unusual ({because})")),
        Reading::Broken(why) => Err(format!("is broken: {why}")),
    }
}

fn odd_once_decoded(decoded: &[u8]) -> Option<&'static str> {
    if decoded.contains(&b'/') {
        Some("encoded-slash")
    } else if decoded.contains(&b'\\') {
        Some("encoded-backslash")
    } else if !matches!(decode(decoded), None | Some(Cow::Borrowed(_))) {
        Some("doubly-encoded")
    } else {
        None
    }
}

fn odd_segment(piece: &[u8]) -> Option<&'static str> {
    if is_dots(piece) {
        Some("dot-segment")
    } else if piece.contains(&b';') {
        Some("parameters")
    } else {
        None
    }
}

fn is_dots(piece: &[u8]) -> bool {
    matches!(piece, b"." | b"..")
}

/// Percent-decodes; `None` if it is broken, borrowed if there was nothing to decode.
fn decode(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !bytes.contains(&b'%') {
        return Some(Cow::Borrowed(bytes));
    }
    let hex = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'%' {
            let octet = hex(bytes.get(at + 1))? * 16 + hex(bytes.get(at + 2))?;
            decoded.push(u8::try_from(octet).ok()?);
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    Some(Cow::Owned(decoded))
}

/// Every distinct reading of an unusual path: what is left when each habit is either followed or not.
fn readings(inner: &[u8]) -> Vec<Vec<Piece<'static>>> {
    let applicable = applicable(inner);
    let subsets = (0..=u8::MAX).filter(|habits| habits & !applicable == 0);
    let all: HashSet<Vec<Vec<u8>>> = subsets.map(|habits| read_with(inner, habits)).collect();
    all.into_iter()
        .map(|pieces| pieces.into_iter().map(Cow::Owned).collect())
        .collect()
}

// What upstreams are known to do to a path, in the order in which they do it.
const RESOLVE_PLAIN_DOTS: u8 = 1;
const DECODE_AGAIN: u8 = 2;
const SPLIT_ENCODED_SLASH: u8 = 4;
const SPLIT_BACKSLASH: u8 = 8;
const CUT_PARAMETERS: u8 = 16;
const MERGE_SLASHES_FIRST: u8 = 32;
const RESOLVE_DOTS: u8 = 64;
const MERGE_SLASHES: u8 = 128;

/// The habits that can make a difference to this path.
fn applicable(inner: &[u8]) -> u8 {
    let fully = decode_fully(inner, true);
    let mut habits = MERGE_SLASHES_FIRST | MERGE_SLASHES;
    for (byte, habit) in [
        (b'/', SPLIT_ENCODED_SLASH),
        (b'\\', SPLIT_BACKSLASH),
        (b';', CUT_PARAMETERS),
        (b'.', RESOLVE_PLAIN_DOTS | RESOLVE_DOTS),
    ] {
        habits |= if fully.contains(&byte) { habit } else { 0 };
    }
    habits
        | if fully == decode_fully(inner, false) {
            0
        } else {
            DECODE_AGAIN
        }
}

fn read_with(inner: &[u8], habits: u8) -> Vec<Vec<u8>> {
    let has = |habit| habits & habit != 0;
    let mut segments: Vec<Vec<u8>> = inner.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
    if has(RESOLVE_PLAIN_DOTS) {
        segments = resolve_dots(&segments);
    }
    for segment in &mut segments {
        *segment = decode_fully(segment, has(DECODE_AGAIN));
    }
    if has(SPLIT_ENCODED_SLASH) {
        segments = split_all(&segments, b'/');
    }
    if has(SPLIT_BACKSLASH) {
        segments = split_all(&segments, b'\\');
    }
    if has(CUT_PARAMETERS) {
        for segment in &mut segments {
            let end = segment
                .iter()
                .position(|byte| *byte == b';')
                .unwrap_or(segment.len());
            segment.truncate(end);
        }
    }
    if has(MERGE_SLASHES_FIRST) {
        merge_slashes(&mut segments);
    }
    if has(RESOLVE_DOTS) {
        segments = resolve_dots(&segments);
    }
    if has(MERGE_SLASHES) {
        merge_slashes(&mut segments);
    }
    segments
}

fn merge_slashes(segments: &mut Vec<Vec<u8>>) {
    let last = segments.len().saturating_sub(1);
    let mut number = 0..;
    segments.retain(|segment| number.next() == Some(last) || !segment.is_empty());
}

fn decode_fully(segment: &[u8], again: bool) -> Vec<u8> {
    let mut current = decode(segment).map_or_else(|| segment.to_vec(), Cow::into_owned);
    if again {
        while let Some(Cow::Owned(next)) = decode(&current) {
            current = next;
        }
    }
    current
}

fn split_all(segments: &[Vec<u8>], at: u8) -> Vec<Vec<u8>> {
    segments
        .iter()
        .flat_map(|segment| segment.split(|byte| *byte == at))
        .map(<[u8]>::to_vec)
        .collect()
}

fn resolve_dots(segments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut resolved: Vec<Vec<u8>> = Vec::with_capacity(segments.len());
    for segment in segments {
        match segment.as_slice() {
            b"." => {}
            b".." => drop(resolved.pop()),
            _ => resolved.push(segment.clone()),
        }
    }
    // `/a/.` and `/a/b/..` name the folder, as `/a/` does.
    if resolved.is_empty() || segments.last().is_some_and(|last| is_dots(last)) {
        resolved.push(Vec::new());
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(path: &str) -> Vec<String> {
        let reading = read(path);
        let Reading::Usual(pieces) = reading else {
            unreachable!("{path} reads as {reading:?}");
        };
        pieces
            .iter()
            .map(|piece| String::from_utf8_lossy(piece).into_owned())
            .collect()
    }

    fn oddity(path: &str) -> Option<&'static str> {
        match read(path) {
            Reading::Unusual { because, .. } => Some(because),
            _ => None,
        }
    }

    fn reads_as(path: &str, meaning: &str) -> bool {
        let want: Vec<Piece<'_>> = meaning[1..].split('/').map(|s| s.as_bytes().into()).collect();
        matches!(read(path), Reading::Unusual { readings, .. } if readings.contains(&want))
    }

    #[test]
    fn usual_paths_have_one_reading() {
        assert_eq!(usual("/"), [""]);
        assert_eq!(usual("/api/products/"), ["api", "products", ""]);
        assert_eq!(usual("/api/%70roducts/A%20b"), ["api", "products", "A b"]);
        assert_eq!(
            usual("/a.b/..c/...;".trim_end_matches(';')),
            ["a.b", "..c", "..."]
        );
        assert_eq!(usual("/100%25"), ["100%"]);
        assert_eq!(usual("*"), ["*"]);
    }

    #[test]
    fn tricks_are_noticed() {
        for (path, because) in [
            ("/a/../b", "dot-segment"),
            ("/a/%2e%2e/b", "dot-segment"),
            ("/a/.%2E/b", "dot-segment"),
            ("/a/./b", "dot-segment"),
            ("/a%2Fb", "encoded-slash"),
            ("/a%5cb", "encoded-backslash"),
            ("/a\\b", "backslash"),
            ("//a", "empty-segment"),
            ("/a//", "empty-segment"),
            ("/a;x=1/b", "parameters"),
            ("/a%3Bx", "parameters"),
            ("/a/%252e%252e/b", "doubly-encoded"),
        ] {
            assert_eq!(oddity(path), Some(because), "{path}");
        }
    }

    #[test]
    fn every_known_habit_is_among_the_readings() {
        assert!(reads_as("/x/%2e%2e/a/b", "/a/b"));
        assert!(reads_as("/x/..;y/a/b", "/a/b"));
        assert!(reads_as("/x%2f..%5Ca//b", "/a/b"));
        assert!(reads_as("/x/%252e%252e/a", "/a"));
        assert!(reads_as("/a;p/b", "/a/b"));
        assert!(reads_as("/a;p/b", "/a;p/b"));
        assert!(reads_as("/../../a", "/a"));
        assert!(reads_as("/a/b/..", "/a/"));
        assert!(reads_as("/a/.//", "/a/"));
        assert!(reads_as("/a//../b", "/b"));
        assert!(reads_as("/a//../b", "/a/b"));
        assert!(reads_as("/a/%2e%2e/../b", "/a/b"));
    }

    #[test]
    fn broken_paths_are_refused() {
        for path in [
            "/a%", "/a%2", "/a%zz", "/a%00b", "/a%0d%0a", "/a%7F", "a", "http:x",
        ] {
            assert!(matches!(read(path), Reading::Broken(_)), "{path}");
        }
        assert!(matches!(
            read(&format!("/;{}", "x".repeat(5000))),
            Reading::Broken(_)
        ));
    }
}
