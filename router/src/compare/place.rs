//! Where in a JSON document something stands: the path language of the rules.
//!
//! For whoever writes `ignore = ["$.items[*].updated_at"]`. It is the part of JSONPath (RFC 9535) that needs no values to be
//! looked at: `.name` and `['any name']` (section 2.3.1), `[*]` and `.*` (2.3.2), `[3]` from the front (2.3.3) and `..` at
//! any depth (2.5.2). Filters, slices, unions and indexes from the back are refused with the reason.
//!
//! A place is read once, when the config is. Matching is in [`super::marks`]; it is linear, however many `..` there are.

use std::fmt;

use serde::{Serialize, Serializer};

use super::syntax::{Fault, fault, segment};

/// What is wrong and what to write instead, as in the rest of the config.
pub type Complaint = (String, String);

/// A mask of 64 bits has one bit per segment and one for the end.
const MOST_SEGMENTS: usize = 63;
const LONGEST: usize = 1024;

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

/// Whether a character may stand in a name without quotes, though perhaps not at its beginning.
pub(super) fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// Whether a name can follow a dot: `member-name-shorthand` of RFC 9535, section 2.5.1.1.
pub(super) fn is_shorthand(name: &str) -> bool {
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
            let place = Place::parse(text).unwrap_or_else(|(reason, _)| unreachable!("{reason}"));
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
