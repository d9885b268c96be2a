//! Compares the bodies of two answers.
//!
//! For [`super::compare`]. First the content codings are undone. JSON, by the media type of either side (`application/json` or
//! one that ends in `+json`, RFC 6839), is compared by structure. Everything else, and what calls itself JSON on both sides and
//! is none on either, is compared by length and SHA-256.

use std::borrow::Cow;
use std::fmt;

use http::header;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::difference::Found;
use super::headers::essence;
use super::print::shorten;
use super::rules::{Limits, Rules, Side};
use super::secret::REDACTED;
use super::{Answer, coding, json, walk};

const GROUP: &str = "body";
const LONGEST_MEDIA_TYPE: usize = 60;

/// Why two bodies could not be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// Whose body it was; the monolith's is looked at first.
    pub side: Side,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What keeps a body from being compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Longer than [`Limits::body`] once its codings are undone.
    TooLarge,
    /// JSON nested deeper than [`Limits::depth`], or unordered arrays in each other more than four deep.
    TooDeep,
    /// JSON with more values than [`Limits::body`] has room for.
    TooManyValues,
    /// A content coding that is not gzip, deflate or br.
    UnknownCoding,
    /// The bytes are not in the coding that they are said to be in, or end early, or more follows them.
    BrokenCoding,
    /// More than three content codings, one over the other.
    CodedTooOften,
}

impl Cause {
    /// Every cause, so that counters can begin at zero.
    pub const ALL: [Self; 6] = [
        Self::TooLarge,
        Self::TooDeep,
        Self::TooManyValues,
        Self::UnknownCoding,
        Self::BrokenCoding,
        Self::CodedTooOften,
    ];

    /// The word for it in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::TooDeep => "too-deep",
            Self::TooManyValues => "too-many-values",
            Self::UnknownCoding => "unknown-coding",
            Self::BrokenCoding => "broken-coding",
            Self::CodedTooOften => "coded-too-often",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.cause {
            Cause::TooLarge => "is larger than bodies may be for a comparison; raise that limit",
            Cause::TooDeep => "is JSON nested deeper than a comparison may go; raise that limit",
            Cause::TooManyValues => {
                "is JSON of more values than there is room for; raise the limit on bodies"
            }
            Cause::UnknownCoding => {
                "has a content coding that is not gzip, deflate or br; see what Accept-Encoding asks for"
            }
            Cause::BrokenCoding => "is not what its content-encoding says; look at that server",
            Cause::CodedTooOften => "has more than three content codings; look at that server",
        };
        write!(f, "the body of the {} {what}", self.side.word())
    }
}

/// Compares, and says why if it cannot.
pub(super) fn compare(
    rules: &Rules,
    limits: &Limits,
    left: &Answer,
    right: &Answer,
    found: &mut Found,
) -> Result<(), Reason> {
    if rules.ignore.iter().any(|place| place.segments.is_empty()) || same_bytes(left, right) {
        return Ok(());
    }
    let one = decode(left, limits, Side::Monolith)?;
    let other = decode(right, limits, Side::Service)?;
    if one == other {
        return Ok(());
    }
    let (kinds, json) = kinds(left, right);
    if !json || one.is_empty() || other.is_empty() {
        by_bytes(rules, [&kinds.0, &kinds.1], [&one, &other], found);
        return Ok(());
    }
    let read = |bytes, side| json::read(bytes, limits).map_err(|cause| Reason { side, cause });
    match (read(&one, Side::Monolith)?, read(&other, Side::Service)?) {
        (Ok(left), Ok(right)) => {
            walk::compare(rules, limits, &left, &right, found).map_err(|cause| Reason {
                side: Side::Monolith,
                cause,
            })?;
        }
        (Err(_), Err(_)) => by_bytes(rules, [&kinds.0, &kinds.1], [&one, &other], found),
        (one, other) => {
            let show = |side: Result<_, String>| match side {
                Ok(_) => "JSON".to_owned(),
                Err(why) => format!("no JSON: {why}"),
            };
            found.add(GROUP, GROUP, || (show(one.map(drop)), show(other.map(drop))));
        }
    }
    Ok(())
}

/// Whether both sent the same bytes and said the same of their coding.
fn same_bytes(left: &Answer, right: &Answer) -> bool {
    let codings = |answer: &'_ Answer| -> Vec<_> {
        answer
            .headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .cloned()
            .collect()
    };
    left.body == right.body && codings(left) == codings(right)
}

fn decode<'a>(answer: &'a Answer, limits: &Limits, side: Side) -> Result<Cow<'a, [u8]>, Reason> {
    coding::decode(&answer.headers, &answer.body, limits.body).map_err(|cause| Reason { side, cause })
}

/// The media types, and whether one of them is JSON's.
fn kinds(left: &Answer, right: &Answer) -> ((String, String), bool) {
    let kinds = (essence(left), essence(right));
    let is_json = |kind: &str| kind == "application/json" || kind.ends_with("+json");
    let json = is_json(&kinds.0) || is_json(&kinds.1);
    (kinds, json)
}

fn by_bytes(rules: &Rules, kinds: [&str; 2], bodies: [&[u8]; 2], found: &mut Found) {
    // Whoever redacts the whole document may have one short word in it, which could be guessed from its hash.
    let hidden = rules.redact.iter().any(|place| place.segments.is_empty());
    let show = |kind: &str, body: &[u8]| {
        let kind = if kind.is_empty() { "no media type" } else { kind };
        let kind = shorten(kind, LONGEST_MEDIA_TYPE);
        match (body.is_empty(), hidden) {
            (true, _) => "[empty]".to_owned(),
            (false, true) => REDACTED.to_owned(),
            (false, false) => format!("{kind}, {} bytes, sha256 {}", body.len(), hex(body)),
        }
    };
    found.add(GROUP, GROUP, || {
        (show(kinds[0], bodies[0]), show(kinds[1], bodies[1]))
    });
}

fn hex(body: &[u8]) -> String {
    Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
