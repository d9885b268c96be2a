//! JSON as a tree that keeps what a comparison needs: every member, in order of names, and every number as it was written.
//!
//! For [`super::body`], which reads both sides, and [`super::walk`]. serde_json reads the text, so that what is JSON and what
//! is not is not decided here. Three things are not as in its own `Value`:
//!
//! - **Numbers stay text**, because a double conflates large ones ([`super::number`]). serde_json passes on doubles unless its
//!   feature `arbitrary_precision` is on, which would change the type of every number in the workspace. So the spelling of the
//!   n-th number is taken from the text: outside strings a digit or a minus can only begin a number.
//! - **A repeated name is kept as often as it occurs.** RFC 8259, section 4 calls what a reader makes of it unpredictable, so
//!   `{"a":1,"a":2}` equals neither `{"a":1}` nor `{"a":2}`. The n-th `a` is compared with the n-th `a`.
//! - **Depth and number of values are bounded.**
//!
//! serde_json refuses a number beyond the range of a double (`1e400`) and half a surrogate pair (`"\ud800"`), although the
//! grammar of RFC 8259 allows both. Such a body counts as no JSON and is compared by its bytes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::body::Cause;
use super::rules::Limits;

/// Near what serde_json reads (127), with room for its own bookkeeping.
const DEEPEST: usize = 120;

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Node<'t> {
    Null,
    Bool(bool),
    /// As it was written.
    Number(&'t str),
    /// Without escapes.
    Text(Cow<'t, str>),
    Array(Box<[Node<'t>]>),
    /// Sorted by name; members of the same name in the order in which they came.
    Object(Box<[Member<'t>]>),
}

/// A name and its value.
pub(super) type Member<'t> = (Cow<'t, str>, Node<'t>);

/// Reads a body; the inner error says in serde_json's words why it is no JSON.
pub(super) fn read<'t>(bytes: &'t [u8], limits: &Limits) -> Result<Result<Node<'t>, String>, Cause> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(Err("it is not UTF-8".to_owned()));
    };
    let mut reading = Reading {
        numbers: Numbers { text, at: 0 },
        depth: limits.depth.min(DEEPEST),
        room: (limits.body / 4).max(1),
        stopped: None,
        elements: Vec::new(),
        members: Vec::new(),
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = Value(&mut reading)
        .deserialize(&mut deserializer)
        .and_then(|node| deserializer.end().map(|()| node));
    match (node, reading.stopped) {
        (_, Some(cause)) => Err(cause),
        (node, None) => Ok(node.map_err(|error| error.to_string())),
    }
}

struct Reading<'t> {
    numbers: Numbers<'t>,
    /// How many levels may still be opened.
    depth: usize,
    /// How many values may still come.
    room: usize,
    stopped: Option<Cause>,
    /// What has been read of the arrays that are still open. One list for all, so that each array is allocated once and in
    /// its final size: lists that grow and shrink leave holes, which made small arrays cost four times their room.
    elements: Vec<Node<'t>>,
    /// The same for objects.
    members: Vec<Member<'t>>,
}

/// The numbers of a document, in its order.
struct Numbers<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Numbers<'t> {
    fn next(&mut self) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        loop {
            match bytes.get(at)? {
                b'"' => at = end_of_string(bytes, at + 1)?,
                b'-' | b'0'..=b'9' => break,
                _ => at += 1,
            }
        }
        let part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = bytes.get(at..)?.iter().take_while(|byte| part(byte)).count();
        self.at = at + length;
        self.text.get(at..self.at)
    }
}

/// Just behind the quote that closes a string.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

struct Value<'p, 't>(&'p mut Reading<'t>);

impl<'t> DeserializeSeed<'t> for Value<'_, 't> {
    type Value = Node<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Node<'t>, D::Error> {
        let Some(room) = self.0.room.checked_sub(1) else {
            self.0.stopped = Some(Cause::TooManyValues);
            return Err(D::Error::custom("too many values"));
        };
        self.0.room = room;
        deserializer.deserialize_any(self)
    }
}

impl<'t> Value<'_, 't> {
    fn number<E: serde::de::Error>(self) -> Result<Node<'t>, E> {
        self.0
            .numbers
            .next()
            .map(Node::Number)
            .ok_or_else(|| E::custom("a number without a spelling"))
    }

    fn open<E: serde::de::Error>(&mut self) -> Result<(), E> {
        let Some(depth) = self.0.depth.checked_sub(1) else {
            self.0.stopped = Some(Cause::TooDeep);
            return Err(E::custom("too deep"));
        };
        self.0.depth = depth;
        Ok(())
    }
}

impl<'t> Visitor<'t> for Value<'_, 't> {
    type Value = Node<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'t>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'t>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Node<'t>, E> {
        self.number()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Node<'t>, E> {
        self.number()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Node<'t>, E> {
        self.number()
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Node<'t>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'t>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut items: A) -> Result<Node<'t>, A::Error> {
        self.open()?;
        let start = self.0.elements.len();
        while let Some(element) = items.next_element_seed(Value(self.0))? {
            self.0.elements.push(element);
        }
        self.0.depth += 1;
        Ok(Node::Array(self.0.elements.drain(start..).collect()))
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut entries: A) -> Result<Node<'t>, A::Error> {
        self.open()?;
        let start = self.0.members.len();
        while let Some(name) = entries.next_key_seed(Name)? {
            let value = entries.next_value_seed(Value(self.0))?;
            self.0.members.push((name, value));
        }
        self.0.depth += 1;
        let mut members: Box<[_]> = self.0.members.drain(start..).collect();
        // Stable, so that repeated names keep their order.
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Node::Object(members))
    }
}

/// A name of a member, which serde would copy if it were asked for a `Cow` in the usual way.
struct Name;

impl<'t> DeserializeSeed<'t> for Name {
    type Value = Cow<'t, str>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Cow<'t, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for Name {
    type Value = Cow<'t, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'t str) -> Result<Cow<'t, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'t, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Node<'_> {
        read(text.as_bytes(), &Limits::default()).unwrap().unwrap()
    }

    #[test]
    fn every_number_keeps_its_own_spelling() {
        let text = r#"{"b-1":[1,-2.50E+3,18446744073709551616],"a\"9":"7\\","c":0.10,"7":1e-400}"#;
        let Node::Object(members) = parse(text) else {
            unreachable!("no object");
        };
        assert_eq!(members[0], ("7".into(), Node::Number("1e-400")));
        assert_eq!(members[1], ("a\"9".into(), Node::Text("7\\".into())));
        let numbers = ["1", "-2.50E+3", "18446744073709551616"].map(Node::Number);
        assert_eq!(members[2], ("b-1".into(), Node::Array(Box::new(numbers))));
        assert_eq!(members[3], ("c".into(), Node::Number("0.10")));
    }

    #[test]
    fn repeated_names_are_all_kept_in_their_order() {
        let Node::Object(members) = parse(r#"{"b":1,"a":2,"a":1}"#) else {
            unreachable!("no object");
        };
        let seen: Vec<_> = members
            .iter()
            .map(|(name, value)| (name.as_ref(), value))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", &Node::Number("2")),
                ("a", &Node::Number("1")),
                ("b", &Node::Number("1"))
            ]
        );
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let limits = Limits {
            depth: 3,
            body: 400,
            ..Limits::default()
        };
        assert!(read(b"[[[1]]]", &limits).unwrap().is_ok());
        assert_eq!(read(b"[[[[1]]]]", &limits), Err(Cause::TooDeep));
        assert!(
            read(b"[[],[],[],[[]],{\"a\":{}}]", &limits).unwrap().is_ok(),
            "depth is given back"
        );
        let many = format!("[{}0]", "0,".repeat(100));
        assert_eq!(read(many.as_bytes(), &limits), Err(Cause::TooManyValues));
        let deep = "[".repeat(100_000);
        let limits = Limits {
            depth: usize::MAX,
            ..Limits::default()
        };
        assert_eq!(read(deep.as_bytes(), &limits), Err(Cause::TooDeep));
    }

    #[test]
    fn what_is_no_json_is_told_apart_from_what_is_too_much() {
        for text in [
            "",
            "{",
            "[1,]",
            "1 2",
            "NaN",
            "{\"a\" 1}",
            "1e400",
            "\"\\ud800\"",
            "01",
        ] {
            assert!(
                read(text.as_bytes(), &Limits::default()).unwrap().is_err(),
                "{text}"
            );
        }
        assert!(read(b"\"\xff\"", &Limits::default()).unwrap().is_err());
    }

    #[test]
    fn a_value_takes_as_little_room_as_the_limits_say() {
        assert_eq!(size_of::<Node<'_>>(), 24);
        assert_eq!(size_of::<Member<'_>>(), 48);
    }
}
