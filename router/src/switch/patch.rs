//! The bytes to replace so that a route's entry says something else.
//!
//! For [`super::edit`], whose header says what happens to which line; pure. Everything here works on byte offsets that
//! [`super::locate`] has read off the parsed document.

use std::ops::Range;

use super::locate::{Entry, Pair};
use crate::config::Percent;

/// Bytes to be replaced.
pub(super) struct Patch {
    range: Range<usize>,
    by: String,
}

/// The text with every patch applied.
pub(super) fn apply(text: &str, mut patches: Vec<Patch>) -> String {
    patches.sort_by_key(|patch| (patch.range.start, patch.range.end));
    let mut edited = String::with_capacity(text.len() + 32 * patches.len());
    let mut at = 0;
    for patch in patches {
        edited.push_str(&text[at..patch.range.start.max(at)]);
        edited.push_str(&patch.by);
        at = patch.range.end.max(at);
    }
    edited.push_str(&text[at..]);
    edited
}

/// The mode's word, in the quotes that the old one had.
pub(super) fn mode_patch(text: &str, mode: &Pair, word: &str) -> Patch {
    let old = &text[mode.value.clone()];
    let marks = ["\"\"\"", "'''", "\"", "'"];
    let mark = marks
        .into_iter()
        .find(|mark| old.starts_with(mark))
        .unwrap_or("\"");
    Patch {
        range: mode.value.clone(),
        by: format!("{mark}{word}{mark}"),
    }
}

/// Puts `percent` beside `mode`, sets it, or takes it away.
pub(super) fn percent_patches(
    text: &str,
    entry: &Entry,
    mode: &Pair,
    percent: Option<Percent>,
) -> Vec<Patch> {
    match (percent, &entry.percent) {
        (Some(percent), Some(pair)) => {
            let is_so = Percent::parse(&text[pair.value.clone()]) == Ok(percent);
            let patch = Patch {
                range: pair.value.clone(),
                by: percent.to_string(),
            };
            if is_so { Vec::new() } else { vec![patch] }
        }
        (Some(percent), None) if entry.is_inline => vec![Patch {
            range: mode.value.end..mode.value.end,
            by: format!(", percent{}{percent}", equals(text, mode)),
        }],
        (Some(percent), None) => vec![insert_line(text, mode, percent)],
        (None, Some(pair)) if entry.is_inline => remove_inline(text, pair, entry.before_percent),
        (None, Some(pair)) => vec![remove_line(text, pair)],
        (None, None) => Vec::new(),
    }
}

/// What stands between the key and its value, widened or narrowed so that `percent` is aligned where `mode` is.
fn equals(text: &str, mode: &Pair) -> String {
    let between = &text[mode.key.end..mode.value.start];
    let (pad, rest) = between.split_at(between.find('=').unwrap_or(0));
    let is_aligned = pad.len() > 1 && pad.bytes().all(|byte| byte == b' ');
    if !is_aligned {
        return format!("{pad}{rest}");
    }
    let width = mode.key.len() + pad.len();
    format!(
        "{}{rest}",
        " ".repeat(width.saturating_sub("percent".len()).max(1))
    )
}

fn insert_line(text: &str, mode: &Pair, percent: Percent) -> Patch {
    let start = line_start(text, mode.key.start);
    let indent = &text[start..mode.key.start];
    let pair = format!("{indent}percent{}{percent}", equals(text, mode));
    let end = line_end(text, mode.value.end);
    let newline = newline_at(text, end)
        .or_else(|| newline_at(text, line_end(text, 0)))
        .unwrap_or("\n");
    // On the last line of a file without a final newline, the new line takes over being that.
    Patch {
        range: end..end,
        by: format!("{newline}{pair}"),
    }
}

fn remove_line(text: &str, pair: &Pair) -> Patch {
    let (start, end) = (line_start(text, pair.key.start), line_end(text, pair.value.end));
    let range = match (text[pair.value.end..end].find('#'), newline_at(text, end)) {
        (Some(comment), _) => pair.key.start..pair.value.end + comment,
        (None, Some(newline)) => start..end + newline.len(),
        // A final newline that was missing is missing afterwards, too.
        (None, None) => line_end_before(text, start)..end,
    };
    Patch {
        range,
        by: String::new(),
    }
}

fn remove_inline(text: &str, pair: &Pair, before: Option<usize>) -> Vec<Patch> {
    let nothing = |range| Patch {
        range,
        by: String::new(),
    };
    let blanks = |from: usize| text[from..].len() - text[from..].trim_start_matches([' ', '\t']).len();
    match before {
        Some(before) if !text[before..pair.key.start].contains('\n') => {
            return vec![nothing(before..pair.value.end)];
        }
        _ => {}
    }
    // It begins a line, or the braces. One comma goes with it: the one behind, else the one before.
    let behind = comma(text, pair.value.end);
    let mut patches = Vec::new();
    let end = match behind {
        Some(comma) if !text[pair.value.end..comma].contains('\n') => comma + 1 + blanks(comma + 1),
        other => {
            let lone = other.or_else(|| before.and_then(|before| comma(text, before)));
            patches.extend(lone.map(|comma| nothing(comma..comma + 1)));
            pair.value.end + blanks(pair.value.end)
        }
    };
    let start = line_start(text, pair.key.start);
    let is_alone = text[start..pair.key.start].trim().is_empty();
    patches.push(match newline_at(text, end).filter(|_| is_alone) {
        Some(newline) => nothing(start..end + newline.len()),
        None => nothing(pair.key.start..end),
    });
    patches
}

/// The comma that follows, past blanks, newlines and comments.
fn comma(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        match rest.as_bytes().first()? {
            b',' => return Some(at),
            b'#' => at = line_end(text, at),
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ => return None,
        }
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Where the line's newline stands, or the text ends.
fn line_end(text: &str, at: usize) -> usize {
    let Some(newline) = text[at..].find('\n').map(|newline| at + newline) else {
        return text.len();
    };
    newline - usize::from(text[at..newline].ends_with('\r'))
}

/// Where the newline stands that ends the line before the one that starts here.
fn line_end_before(text: &str, start: usize) -> usize {
    let before = &text[..start];
    let before = before.strip_suffix('\n').unwrap_or(before);
    before.strip_suffix('\r').unwrap_or(before).len()
}

fn newline_at(text: &str, at: usize) -> Option<&'static str> {
    ["\r\n", "\n"]
        .into_iter()
        .find(|newline| text[at..].starts_with(newline))
}
