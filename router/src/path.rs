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
//!    plain or encoded, in any mixture) has many readings: what upstreams are known to do is tried in every order.
//!    If every reading belongs to the same route, or every reading to none, the request goes there, untouched. Otherwise
//!    it is refused with 400. So legacy addresses that have nothing to do with any route go on working, and a switch of
//!    mode never changes whether a path is refused.
//! 4. A path that is no path is refused with 400: control characters (plain or encoded, NUL among them), broken
//!    percent-encoding, an unusual path of more than 1 KiB or of more readings than make sense.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::table::Piece;

/// Unusual paths are read in many ways, so their length is bounded.
const LONGEST_UNUSUAL: usize = 1024;
/// Honest addresses have a handful; what has more is an attempt at something.
const MOST_STATES: usize = 128;

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
    // One look at every byte, which most paths pass; only then is it asked what there is.
    let is_plain = !bytes
        .iter()
        .fold(false, |is_odd, byte| is_odd | may_be_odd(*byte));
    if !is_plain && bytes.iter().any(u8::is_ascii_control) {
        return Reading::Broken("it contains a control character");
    }
    let mut oddity = (!is_plain && bytes.contains(&b'\\')).then_some("backslash");
    let mut pieces = Vec::with_capacity(8);
    // Bytes rather than characters: segments are short, and the search for a character costs more than looking at them.
    for segment in bytes.split(|byte| *byte == b'/') {
        let piece = match is_plain {
            true => Some(Cow::Borrowed(segment)),
            false => decode(segment),
        };
        let piece = match piece {
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
        Some(_) if path.len() > LONGEST_UNUSUAL => Reading::Broken("it is unusual and longer than 1 KiB"),
        Some(because) => match readings(bytes) {
            Some(readings) => Reading::Unusual { readings, because },
            None => Reading::Broken("it can be read in too many ways"),
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

/// Whether a byte can make a path unusual or none, but for dots and slashes, which do so by where they stand.
fn may_be_odd(byte: u8) -> bool {
    byte.is_ascii_control() | (byte == b'\\') | (byte == b'%') | (byte == b';')
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

/// A path on its way through an upstream: its segments, more or less decoded.
type State = Vec<Vec<u8>>;

/// What upstreams are known to do to a path. Some do one of these, some several, in this order or that, some twice over
/// because there is a proxy of their own in front of them.
const HABITS: [fn(&State) -> State; 6] = [
    decode_once,
    split_slashes,
    split_backslashes,
    cut_parameters,
    resolve_dots,
    merge_slashes,
];

/// Every distinct reading of an unusual path: what any sequence of habits can make of it, decoded. `None` if there is no
/// end to them.
fn readings(inner: &[u8]) -> Option<Vec<Vec<Piece<'static>>>> {
    let mut seen: HashSet<State> = HashSet::new();
    let mut waiting = vec![inner.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()];
    while let Some(state) = waiting.pop() {
        if seen.contains(&state) {
            continue;
        }
        if seen.len() == MOST_STATES {
            return None;
        }
        waiting.extend(HABITS.iter().map(|habit| habit(&state)));
        seen.insert(state);
    }
    let decoded: HashSet<State> = seen.iter().map(decode_once).collect();
    let pieces = |state: State| state.into_iter().map(Cow::Owned).collect();
    Some(decoded.into_iter().map(pieces).collect())
}

fn decode_once(state: &State) -> State {
    let decoded = |segment: &Vec<u8>| decode(segment).map_or_else(|| segment.clone(), Cow::into_owned);
    state.iter().map(decoded).collect()
}

fn split_slashes(state: &State) -> State {
    split(state, b'/')
}

fn split_backslashes(state: &State) -> State {
    split(state, b'\\')
}

fn split(state: &State, at: u8) -> State {
    state
        .iter()
        .flat_map(|segment| segment.split(|byte| *byte == at))
        .map(<[u8]>::to_vec)
        .collect()
}

fn cut_parameters(state: &State) -> State {
    let cut = |segment: &Vec<u8>| {
        segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    state.iter().map(cut).collect()
}

fn merge_slashes(state: &State) -> State {
    let last = state.len().saturating_sub(1);
    let kept = state
        .iter()
        .enumerate()
        .filter(|(at, segment)| *at == last || !segment.is_empty());
    kept.map(|(_, segment)| segment.clone()).collect()
}

fn resolve_dots(state: &State) -> State {
    let mut resolved = State::with_capacity(state.len());
    for segment in state {
        match segment.as_slice() {
            b"." => {}
            b".." => drop(resolved.pop()),
            _ => resolved.push(segment.clone()),
        }
    }
    // `/a/.` and `/a/b/..` name the folder, as `/a/` does.
    if resolved.is_empty() || state.last().is_some_and(|last| is_dots(last)) {
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
