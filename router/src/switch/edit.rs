//! Makes the new text of a config file out of the old one: `mode` and `percent` of the routes named, and no other byte.
//!
//! For [`super::perform`] and `banyan plan`; pure. The text is parsed to learn where the keys and values stand, and then
//! cut and joined by bytes. It is not printed anew from the parsed document, because that loses CRLF line ends, a BOM and
//! a missing final newline, and people's files are theirs.
//!
//! What happens to the lines concerned:
//! - `mode` keeps its key, its alignment, its quotes and its comment; the word changes.
//! - `percent` that is there keeps all but its number. One that is missing comes on a line of its own right after `mode`,
//!   indented and aligned as that is; within braces it comes right after `mode`, behind a comma.
//! - `percent` that has no more meaning goes with its line. Comments above stay, and a comment behind it stays too, on
//!   what is left of the line: somebody's words are not ours to delete.
//!
//! The result is parsed again and must say what was asked for, or the edit is refused: a bug here must not reach a file.

use std::collections::{HashMap, HashSet};

use toml_edit::Document;

use super::Change;
use super::locate::{Entry, entries};
use super::patch::{apply, mode_patch, percent_patches};
use crate::config::Mode;
use crate::config::{Percent, distance};

/// Why a text was not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not TOML.
    #[error("line {line}: not valid TOML: {message}; mend the file first")]
    NotToml {
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// No route has this name.
    #[error("there is no route `{route}`; {}", nearest(.closest))]
    UnknownRoute {
        /// What was asked for.
        route: String,
        /// Up to three names that are most like it.
        closest: Vec<String>,
    },
    /// Two entries have this name.
    #[error(
        "the route `{route}` stands on line {first} and again on line {second}; give each a name of its own"
    )]
    Ambiguous {
        /// The name.
        route: String,
        /// Line of the one, from 1.
        first: usize,
        /// Line of the other.
        second: usize,
    },
    /// One request has two wishes for a route.
    #[error("the route `{route}` is named twice in one request; name it once")]
    Twice {
        /// The name.
        route: String,
    },
    /// There is nothing that could be changed.
    #[error("line {line}: the route `{route}` has no mode in quotes; add mode = \"monolith\"")]
    NoMode {
        /// The route.
        route: String,
        /// Its line, from 1.
        line: usize,
    },
    /// The result would not say what was asked for. This is a bug.
    #[error(
        "the edit of route `{route}` did not come out as it should, and nothing was changed; edit the file by hand"
    )]
    Unsound {
        /// The route.
        route: String,
    },
}

/// The text with every wish fulfilled. A wish that is fulfilled already changes no byte.
pub fn edit(text: &str, changes: &[Change]) -> Result<String, EditError> {
    let found = read(text)?;
    let mut patches = Vec::new();
    let mut seen = HashSet::new();
    for change in changes {
        if !seen.insert(change.route.as_str()) {
            return Err(EditError::Twice {
                route: change.route.clone(),
            });
        }
        let entry = find(&found, change, text)?;
        let Some(mode) = &entry.mode else {
            return Err(EditError::NoMode {
                route: change.route.clone(),
                line: line(text, entry.at),
            });
        };
        if entry.mode_word != change.to.word() {
            patches.push(mode_patch(text, mode, change.to.word()));
        }
        patches.extend(percent_patches(text, entry, mode, change.to.percent()));
    }
    let edited = apply(text, patches);
    verify(&edited, found.len(), changes)?;
    Ok(edited)
}

type Found = HashMap<String, Vec<Entry>>;

fn read(text: &str) -> Result<Found, EditError> {
    let document = Document::parse(text).map_err(|error| EditError::NotToml {
        line: line(text, error.span().unwrap_or_default().start),
        message: error.message().trim().to_owned(),
    })?;
    let mut found = Found::new();
    for entry in entries(&document) {
        found.entry(entry.name.clone()).or_default().push(entry);
    }
    Ok(found)
}

fn find<'f>(found: &'f Found, change: &Change, text: &str) -> Result<&'f Entry, EditError> {
    match found.get(&change.route).map(Vec::as_slice) {
        Some([entry]) => Ok(entry),
        Some([first, second, ..]) => Err(EditError::Ambiguous {
            route: change.route.clone(),
            first: line(text, first.at),
            second: line(text, second.at),
        }),
        _ => {
            let mut names: Vec<(usize, &String)> = found
                .keys()
                .map(|name| (distance(&change.route, name), name))
                .collect();
            names.sort();
            Err(EditError::UnknownRoute {
                route: change.route.clone(),
                closest: names.into_iter().take(3).map(|(_, name)| name.clone()).collect(),
            })
        }
    }
}

fn nearest(closest: &[String]) -> String {
    match closest {
        [] => "the file has none".to_owned(),
        closest => format!("the closest are: {}", closest.join(", ")),
    }
}

fn line(text: &str, at: usize) -> usize {
    text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1
}

fn verify(edited: &str, routes: usize, changes: &[Change]) -> Result<(), EditError> {
    let unsound = |route: &str| EditError::Unsound {
        route: route.to_owned(),
    };
    let first = changes.first().map_or("", |change| change.route.as_str());
    let found = read(edited).map_err(|_| unsound(first))?;
    if found.len() != routes {
        return Err(unsound(first));
    }
    for change in changes {
        let is_so = found
            .get(&change.route)
            .is_some_and(|entries| match entries.as_slice() {
                [entry] => says(edited, entry, change.to),
                _ => false,
            });
        if !is_so {
            return Err(unsound(&change.route));
        }
    }
    Ok(())
}

fn says(text: &str, entry: &Entry, target: Mode) -> bool {
    let percent = entry
        .percent
        .as_ref()
        .map(|pair| Percent::parse(&text[pair.value.clone()]).ok());
    entry.mode_word == target.word() && percent == target.percent().map(Some)
}

#[cfg(test)]
mod tests;
