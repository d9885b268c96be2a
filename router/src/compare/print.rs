//! How a value is shown: as JSON, cut at a bound, with the secrets in it replaced.
//!
//! For [`super::walk`] and [`super::headers`]. Printing stops when the bound is reached, so that a listed difference costs
//! little even if it is a document of many MiB.

use std::borrow::Cow;

use super::json::Node;
use super::marks::{Marks, Step};
use super::place::Place;
use super::secret::{self, REDACTED};

/// Shows a value that stands at the end of `path`, and is not itself under a redacted place.
pub(super) fn show(node: &Node<'_>, path: &[Step<'_>], redact: &[Place], limit: usize) -> String {
    let mut marks = Marks::new(redact);
    path.iter().for_each(|step| marks.enter(*step));
    let mut printer = Printer {
        marks,
        places: redact.len(),
        limit,
        out: String::new(),
    };
    printer.value(node);
    shorten(&printer.out, limit).into_owned()
}

/// Shows a text that is no JSON, such as the value of a header.
pub(super) fn show_text(text: &str, limit: usize) -> String {
    shorten(&secret::redact(head(text, limit)), limit).into_owned()
}

/// The text, or as much of it as fits with an ellipsis behind it.
pub(super) fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(limit.saturating_sub('…'.len_utf8()));
    Cow::Owned(format!("{}…", &text[..end]))
}

/// So much that what is left after redacting still reaches the limit more often than not. A parameter that is cut here loses
/// the end of its value, never its name, so it is still known as secret.
fn head(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit.saturating_mul(4))]
}

struct Printer<'r> {
    marks: Marks<'r>,
    places: usize,
    limit: usize,
    out: String,
}

impl Printer<'_> {
    fn value(&mut self, node: &Node<'_>) {
        match node {
            Node::Null => self.out.push_str("null"),
            Node::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Node::Number(text) => self.out.push_str(head(text, self.limit)),
            Node::Text(text) => self.text(&secret::redact(head(text, self.limit))),
            Node::Array(elements) => {
                self.out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if !self.child(index, Step::Element(index), element) {
                        return;
                    }
                }
                self.out.push(']');
            }
            Node::Object(members) => {
                self.out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if !self.child(index, Step::Member(name), value) {
                        return;
                    }
                }
                self.out.push('}');
            }
        }
    }

    /// False once there is no more room.
    fn child(&mut self, index: usize, step: Step<'_>, node: &Node<'_>) -> bool {
        if self.out.len() > self.limit {
            return false;
        }
        if index > 0 {
            self.out.push(',');
        }
        self.marks.enter(step);
        let mut hidden = self.marks.first(0..self.places).is_some();
        if let Step::Member(name) = step {
            hidden |= secret::is_secret(name);
            self.text(head(name, self.limit));
            self.out.push(':');
        }
        if hidden {
            self.text(REDACTED);
        } else {
            self.value(node);
        }
        self.marks.leave();
        true
    }

    fn text(&mut self, text: &str) {
        // A string always has a JSON form.
        self.out
            .push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, json};
    use super::*;

    fn shown(text: &str, redact: &[&str], limit: usize) -> String {
        let redact: Vec<_> = redact.iter().map(|place| Place::parse(place).unwrap()).collect();
        let node = json::read(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        show(&node, &[], &redact, limit)
    }

    #[test]
    fn a_value_is_shown_as_json_with_its_names_in_order() {
        assert_eq!(
            shown(r#"{"b":[1.50,null,true],"a":"x\"y"}"#, &[], 100),
            r#"{"a":"x\"y","b":[1.50,null,true]}"#
        );
    }

    #[test]
    fn secrets_at_any_depth_are_replaced_whole() {
        let text =
            r#"{"user":{"name":"Ann","password":"hunter2","tokens":{"a":"s3cr3t"}},"list":[{"iban":[1,2]}]}"#;
        let safe = r#"{"list":[{"iban":"[redacted]"}],"user":{"name":"[redacted]","password":"[redacted]","tokens":"[redacted]"}}"#;
        assert_eq!(shown(text, &["$..name"], 1000), safe);
    }

    #[test]
    fn secrets_inside_texts_are_replaced() {
        assert_eq!(
            shown(r#"["/a?token=abc","Bearer abc"]"#, &[], 100),
            r#"["/a?token=[redacted]","Bearer [redacted]"]"#
        );
    }

    #[test]
    fn what_is_shown_is_bounded_and_ends_between_characters() {
        let text = format!("[{}\"ü\"]", "\"ü\",".repeat(1000));
        for limit in 0..50 {
            assert!(
                shown(&text, &[], limit).len() <= limit.max('…'.len_utf8()),
                "{limit}"
            );
        }
        let long = format!("\"{}\"", "a".repeat(1 << 20));
        assert_eq!(shown(&long, &[], 10), "\"aaaaaa…");
    }
}
