//! Reads the path language of [`super::place`], step by step.
//!
//! For [`super::Place::parse`] alone. Each reader takes what is left of the text, moves it on and answers with what it read, or
//! with the fault that the config reports.

use std::str::Chars;

use super::place::{Segment, Selector, is_name_character, is_shorthand};

/// The largest index of I-JSON, as RFC 9535 section 2.1 has it.
const LARGEST_INDEX: u64 = (1 << 53) - 1;

/// What is wrong with a path.
pub(super) struct Fault<'t> {
    pub(super) reason: &'static str,
    pub(super) remedy: &'static str,
    /// Where it was noticed: the rest of the text.
    pub(super) at: &'t str,
}

pub(super) fn fault<'t>(reason: &'static str, remedy: &'static str, at: &'t str) -> Fault<'t> {
    Fault { reason, remedy, at }
}

/// One step, from its dot or bracket to the next.
pub(super) fn segment<'t>(rest: &mut &'t str) -> Result<Segment, Fault<'t>> {
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
