//! The list of differences between implementations that are meant.

use serde::Deserialize;

/// The file, as it is when the suite is built.
const FILE: &str = include_str!("deviations.toml");

/// Trials that are meant to fail, each with its reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deviations {
    #[serde(default)]
    deviation: Vec<Deviation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    /// The whole name of a trial, in which `*` stands for any target, database or module.
    trial: String,
    /// Why the difference is meant.
    #[expect(dead_code, reason = "for people; that it is there is checked by reading it")]
    reason: String,
}

impl Deviations {
    /// Reads the list; a list that cannot be read is a mistake in the suite.
    pub(super) fn read() -> Self {
        toml::from_str(FILE).unwrap_or_else(|error| unreadable(&error))
    }

    /// Whether a trial is listed.
    pub(super) fn list(&self, name: &str) -> bool {
        self.deviation
            .iter()
            .any(|deviation| matches(&deviation.trial, name))
    }
}

#[expect(
    clippy::panic,
    reason = "a suite that does not know its deviations must not run"
)]
fn unreadable(error: &toml::de::Error) -> Deviations {
    panic!("deviations.toml: {error}")
}

fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.split("::").collect(), name.split("::").collect());
    pattern.len() == name.len()
        && pattern
            .iter()
            .zip(&name)
            .all(|(pattern, part)| *pattern == "*" || pattern == part)
}
