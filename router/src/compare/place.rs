//! Where in a JSON document something stands: the path language of the rules.
//!
//! For whoever writes `ignore = ["$.items[*].updated_at"]`. It is the part of JSONPath (RFC 9535) that needs no values to be
//! looked at: `.name` and `['any name']` (section 2.3.1), `[*]` and `.*` (2.3.2), `[3]` from the front (2.3.3) and `..` at
//! any depth (2.5.2). Filters, slices, unions and indexes from the back are refused with the reason.
//!
//! A place is read once, when the config is. Matching is in [`super::marks`]; it is linear, however many `..` there are.

use std::fmt;
use std::str::Chars;

use serde::{Serialize, Serializer};

/// What is wrong and what to write instead, as in the rest of the config.
pub type Complaint = (String, String);

/// A mask of 64 bits has one bit per segment and one for the end.
const MOST_SEGMENTS: usize = 63;
const LONGEST: usize = 1024;
/// The largest index of I-JSON, as RFC 9535 section 2.1 has it.
const LARGEST_INDEX: u64 = (1 << 53) - 1;

/// A path such as `$.items[*].price`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub(super) segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    /// Written with `..`: what it selects may stand at any depth.
    pub(super) deep: bool,
    pub(super) selector: Selector,
}

/// What a step selects among the children of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Selector {
    Member(String),
    Element(usize),
    Any,
}

impl Place {
    /// Reads a path; the error is the reason and the remedy.
    pub fn parse(text: &str) -> Result<Self, Complaint> {
        let complain = |fault: Fault<'_>| {
            let at = if fault.at.is_empty() {
                String::new()
            } else {
                format!(" at \"{}\"", fault.at.chars().take(20).collect::<String>())
            };
            (
                format!("path \"{text}\" {}{at}", fault.reason),
                fault.remedy.to_owned(),
            )
        };
        if text.len() > LONGEST {
            return Err((
                format!("a path of {} bytes is longer than {LONGEST}", text.len()),
                "name a place nearer to the root, or use ..".to_owned(),
            ));
        }
        let Some(mut rest) = text.strip_prefix('$') else {
            return Err(complain(fault(
                "does not begin with $",
                "write such as $.items[*].price",
                "",
            )));
        };
        let mut segments = Vec::new();
        while !rest.is_empty() {
            segments.push(segment(&mut rest).map_err(complain)?);
        }
        if segments.len() > MOST_SEGMENTS {
            return Err(complain(fault(
                "has more than 63 steps",
                "use .. for the upper part",
                "",
            )));
        }
        Ok(Self { segments })
    }
}

struct Fault<'t> {
    reason: &'static str,
    remedy: &'static str,
    /// Where it was noticed: the rest of the text.
    at: &'t str,
}

fn fault<'t>(reason: &'static str, remedy: &'static str, at: &'t str) -> Fault<'t> {
    Fault { reason, remedy, at }
}

fn segment<'t>(rest: &mut &'t str) -> Result<Segment, Fault<'t>> {
    if let Some(after) = rest.strip_prefix("..") {
        *rest = after;
        let selector = if after.starts_with('[') {
            bracketed(rest)?
        } else {
            dotted(rest)?
        };
        return Ok(Segment { deep: true, selector });
    }
    let selector = match rest.strip_prefix('.') {
        Some(after) => {
            *rest = after;
            dotted(rest)?
        }
        None if rest.starts_with('[') => bracketed(rest)?,
        None => {
            return Err(fault(
                "does not go on with . or [",
                "write .name, ['name'], [0] or [*]",
                rest,
            ));
        }
    };
    Ok(Segment {
        deep: false,
        selector,
    })
}

/// After a dot: `*` or a name.
fn dotted<'t>(rest: &mut &'t str) -> Result<Selector, Fault<'t>> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        return Ok(Selector::Any);
    }
    let end = rest.find(|c: char| !is_name_character(c)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if !is_shorthand(name) {
        let remedy = "write a name of letters, digits and _, or quote it: ['odd key']";
        return Err(fault("has no name after a dot", remedy, rest));
    }
    if after.starts_with(|c| !matches!(c, '.' | '[')) {
        return Err(fault(
            "has a name that must be quoted",
            "write ['odd-key'] instead of .odd-key",
            rest,
        ));
    }
    *rest = after;
    Ok(Selector::Member(name.to_owned()))
}

/// From `[` to `]`: `*`, an index or a quoted name.
fn bracketed<'t>(rest: &mut &'t str) -> Result<Selector, Fault<'t>> {
    let start = *rest;
    let inner = start.get(1..).unwrap_or_default();
    let (selector, after) = match inner.chars().next() {
        Some('*') => (Selector::Any, &inner[1..]),
        Some(quote @ ('\'' | '"')) => {
            let mut characters = inner[1..].chars();
            let name = quoted(quote, &mut characters, start)?;
            (Selector::Member(name), characters.as_str())
        }
        Some('0'..='9') => {
            let end = inner.find(|c: char| !c.is_ascii_digit()).unwrap_or(inner.len());
            (Selector::Element(index(&inner[..end], start)?), &inner[end..])
        }
        Some('-') => {
            return Err(fault(
                "counts from the end of an array",
                "use [*] or an index from 0",
                start,
            ));
        }
        Some('?') => return Err(fault("has a filter, which is not supported", "use [*]", start)),
        _ => {
            return Err(fault(
                "has a step that is not understood",
                "write [*], [0] or ['name']",
                start,
            ));
        }
    };
    match after.strip_prefix(']') {
        Some(after) => *rest = after,
        None if after.starts_with([':', ',']) => {
            let remedy = "use [*], or name each place by itself";
            return Err(fault(
                "has a slice or a union, which is not supported",
                remedy,
                start,
            ));
        }
        None => {
            return Err(fault(
                "has a [ without its ]",
                "write [*], [0] or ['name']",
                start,
            ));
        }
    }
    Ok(selector)
}

fn index<'t>(digits: &str, start: &'t str) -> Result<usize, Fault<'t>> {
    let plain = digits == "0" || !digits.starts_with('0');
    let number = digits
        .parse::<u64>()
        .ok()
        .filter(|number| plain && *number <= LARGEST_INDEX);
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| {
        fault(
            "has an index that is none",
            "write a whole number from 0, such as [3]",
            start,
        )
    })
}

fn quoted<'t>(quote: char, characters: &mut Chars<'t>, start: &'t str) -> Result<String, Fault<'t>> {
    let unclosed = || fault("has a quote that is not closed", "write ['name']", start);
    let mut name = String::new();
    loop {
        match characters.next().ok_or_else(unclosed)? {
            c if c == quote => return Ok(name),
            '\\' => {
                let broken = || {
                    fault(
                        "has an escape that is none",
                        "write \\', \\\\, \\n or \\u263A",
                        start,
                    )
                };
                name.push(escape(characters).ok_or_else(broken)?);
            }
            c if c < ' ' => {
                return Err(fault(
                    "has a control character",
                    "write it as \\u and four digits",
                    start,
                ));
            }
            c => name.push(c),
        }
    }
}

fn escape(characters: &mut Chars<'_>) -> Option<char> {
    Some(match characters.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        c @ ('/' | '\\' | '\'' | '"') => c,
        'u' => match unit(characters)? {
            high @ 0xD800..=0xDBFF => {
                let low =
                    (characters.next()? == '\\' && characters.next()? == 'u').then(|| unit(characters))??;
                return char::decode_utf16([high, low]).next()?.ok();
            }
            other => char::from_u32(u32::from(other))?,
        },
        _ => return None,
    })
}

fn unit(characters: &mut Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0u16, |unit, _| {
        let digit = characters.next()?.to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// Whether a name can follow a dot: `member-name-shorthand` of RFC 9535, section 2.5.1.1.
fn is_shorthand(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_name_character)
}

/// Writes a name as a step: `.name`, or `['odd key']` with the escapes that [`Place::parse`] reads.
pub(super) fn write_member(out: &mut impl fmt::Write, name: &str) -> fmt::Result {
    if is_shorthand(name) {
        return write!(out, ".{name}");
    }
    out.write_str("['")?;
    for c in name.chars() {
        match c {
            '\'' | '\\' => write!(out, "\\{c}")?,
            c if c < ' ' => write!(out, "\\u{:04X}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_str("']")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.segments {
            match &segment.selector {
                // After `..` the dot of a shorthand name has been written already.
                Selector::Member(name) if segment.deep => match is_shorthand(name) {
                    true => write!(f, "..{name}")?,
                    false => {
                        f.write_str("..")?;
                        write_member(f, name)?;
                    }
                },
                Selector::Member(name) => write_member(f, name)?,
                Selector::Element(index) => write!(f, "{}[{index}]", if segment.deep { ".." } else { "" })?,
                Selector::Any => f.write_str(if segment.deep { "..[*]" } else { "[*]" })?,
            }
        }
        Ok(())
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prints_as_what_it_was_read_from() {
        for text in [
            "$",
            "$.a.b",
            "$.items[*].price",
            "$['odd key']",
            "$.items[3]",
            "$..updated_at",
            "$..[*]",
            "$..[0]['it\\'s']",
            "$..['odd-key']",
            "$.größe",
            "$['\\u0001\\\\']",
        ] {
            let place = Place::parse(text).unwrap_or_else(|(reason, _)| panic!("{reason}"));
            assert_eq!(place.to_string(), text);
            assert_eq!(Place::parse(&place.to_string()), Ok(place));
        }
    }

    #[test]
    fn two_ways_of_writing_a_step_are_one_place() {
        for (one, other) in [
            ("$.*", "$[*]"),
            ("$..*", "$..[*]"),
            ("$[\"a\"]", "$.a"),
            ("$['\\u0061']", "$.a"),
            ("$['\\ud83d\\ude00']", "$['😀']"),
        ] {
            assert_eq!(Place::parse(one), Place::parse(other), "{one} {other}");
            assert!(Place::parse(one).is_ok(), "{one}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_remedy() {
        let long = format!("$.{}", "a".repeat(LONGEST));
        let deep = format!("${}", "[0]".repeat(64));
        for text in [
            "",
            "items",
            "$items",
            "$.",
            "$..",
            "$...a",
            "$.a-b",
            "$.1a",
            "$[",
            "$[]",
            "$[-1]",
            "$[01]",
            "$[1:2]",
            "$[0,1]",
            "$[?@.a]",
            "$['a",
            "$['a'",
            "$['\\x']",
            "$['\\ud800']",
            "$[*",
            "$.a b",
            "$.a ",
            "$[99999999999999999999]",
            "$['\u{1}']",
            &long,
            &deep,
        ] {
            let (reason, remedy) = Place::parse(text).expect_err(text);
            assert!(!reason.is_empty() && !remedy.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_complaint_shows_where() {
        let (reason, remedy) = Place::parse("$.items[1:2].price").unwrap_err();
        assert_eq!(
            reason,
            "path \"$.items[1:2].price\" has a slice or a union, which is not supported at \"[1:2].price\""
        );
        assert_eq!(remedy, "use [*], or name each place by itself");
    }
}
