//! The way from the root of a document to where a walk is, and how it is written down.
//!
//! For [`super::walk`]. The path of a difference becomes a key of counters and is shown to people, so it is bounded in length,
//! and what stands below a redacted place is written `.*`: a map may have secrets for names.

use std::fmt::Write;

use super::marks::{Marks, Step};
use super::place::{self, Place};
use super::print::shorten;
use super::secret;

/// Bytes of a name, and of a whole path.
const LONGEST_NAME: usize = 64;
const LONGEST_PATH: usize = 512;

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Trace<'n> {
    pub(super) steps: Vec<Step<'n>>,
}

/// How a path is written.
pub(super) struct Written {
    /// With `[*]` for every index.
    pub(super) group: String,
    /// As it is.
    pub(super) at: String,
    /// Whether what stands there must not be shown.
    pub(super) hidden: bool,
}

impl Trace<'_> {
    pub(super) fn write(&self, redact: &[Place]) -> Written {
        let mut marks = Marks::new(redact);
        let mut written = Written {
            group: "body $".to_owned(),
            at: "$".to_owned(),
            hidden: marks.first(0..redact.len()).is_some(),
        };
        for step in &self.steps {
            written.push(*step);
            marks.enter(*step);
            written.hidden |= is_secret(*step) || marks.first(0..redact.len()).is_some();
        }
        written
    }
}

/// Whether a step leads to what is secret by its name.
fn is_secret(step: Step<'_>) -> bool {
    matches!(step, Step::Member(name) if secret::is_secret(name))
}

impl Written {
    fn push(&mut self, step: Step<'_>) {
        if self.at.len() > LONGEST_PATH {
            // Once is enough, and the rest of the path can only decide whether it is hidden.
            if !self.at.ends_with('…') {
                self.at.push('…');
                self.group.push('…');
            }
            return;
        }
        let before = self.at.len();
        // Writing to a String cannot fail.
        let _ = match step {
            Step::Element(index) => {
                self.group.push_str("[*]");
                write!(self.at, "[{index}]")
            }
            Step::Member(_) if self.hidden => {
                self.group.push_str(".*");
                self.at.write_str(".*")
            }
            Step::Member(name) => {
                let written = place::write_member(&mut self.at, &shorten(name, LONGEST_NAME));
                self.group.push_str(self.at.get(before..).unwrap_or_default());
                written
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_with_and_without_indexes() {
        let trace = Trace {
            steps: vec![Step::Member("items"), Step::Element(3), Step::Member("odd key")],
        };
        let written = trace.write(&[]);
        assert_eq!(written.group, "body $.items[*]['odd key']");
        assert_eq!(written.at, "$.items[3]['odd key']");
        assert!(!written.hidden);
        assert!(Place::parse(&written.at).is_ok());
    }

    #[test]
    fn names_below_a_secret_are_not_written() {
        let trace = Trace {
            steps: vec![Step::Member("tokens"), Step::Member("s3cr3t"), Step::Element(0)],
        };
        let written = trace.write(&[]);
        assert_eq!((written.at.as_str(), written.hidden), ("$.tokens.*[0]", true));
        let trace = Trace {
            steps: vec![Step::Member("people"), Step::Member("Ann")],
        };
        let place = Place::parse("$.people").unwrap();
        let written = trace.write(&[place]);
        assert_eq!(
            (written.group.as_str(), written.hidden),
            ("body $.people.*", true)
        );
    }

    #[test]
    fn a_path_is_bounded() {
        let name = "n".repeat(5000);
        let trace = Trace {
            steps: vec![Step::Member(&name); 100],
        };
        let written = trace.write(&[]);
        assert!(
            written.at.len() < LONGEST_PATH + LONGEST_NAME + 8,
            "{}",
            written.at.len()
        );
        assert!(written.at.ends_with('…'));
    }
}
