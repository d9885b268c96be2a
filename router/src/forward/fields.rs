//! The end-to-end fields of an answer, as lines of text.
//!
//! Nearly all of them are passed on and looked at by nobody, so they are kept as HTTP/1.1 writes them, in their order and in
//! the upstream's letters, and found by looking through them. What frames a message (`Content-Length`) or is meant for one
//! hop is not among them: the client's side says that anew (RFC 9110, section 7.6.1).

use bytes::BytesMut;
use http02::header::{HeaderName, HeaderValue};

use super::headers::{Fields, Lines};

/// Fields of an answer.
#[derive(Debug, Default)]
pub struct AnswerFields {
    text: BytesMut,
    /// A bit for each name that is there, by [`bit`]: most names that are asked for are not.
    present: u64,
}

impl AnswerFields {
    /// None yet, and room for lines of so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            text: BytesMut::with_capacity(bytes),
            present: 0,
        }
    }

    /// Adds a field behind the others, also if there is one of its name.
    pub fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put(name.as_str(), value.as_bytes());
    }

    /// Adds a field in the place of all that have its name.
    pub fn insert(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.remove(name.as_str());
        self.append(name, value);
    }

    /// Adds a field of a head that has been parsed.
    pub(super) fn append_parsed(&mut self, field: &httparse::Header<'_>) {
        self.put(field.name, field.value);
    }

    /// The first value under a name, if it is text in ASCII.
    pub fn get(&self, name: &str) -> Option<&str> {
        let text = std::str::from_utf8(self.find(name)?).ok()?;
        text.is_ascii().then_some(text)
    }

    /// Whether there is a field of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether there is a `Date`. Every answer is asked that, so it is known without a look.
    pub fn is_dated(&self) -> bool {
        self.present & DATED != 0
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines().filter_map(parts)
    }

    /// All of them as HTTP/1.1 writes them, each with the end of its line.
    pub fn as_lines(&self) -> &[u8] {
        &self.text
    }

    // Neither part may hold the end of a line: a parsed field cannot, nor can the types of the others.
    fn put(&mut self, name: &str, value: &[u8]) {
        Lines(&mut self.text).put(name, value);
        self.present |= bit(name);
    }

    fn remove(&mut self, name: &str) {
        if !self.contains(name) {
            return;
        }
        let is_other = |line: &&[u8]| value_of(line, name).is_none();
        let kept: Vec<&[u8]> = self.lines().filter(is_other).collect();
        self.text = BytesMut::from(&kept.concat()[..]);
        // The bit of any other name may be that of two.
        if bit(name) == DATED {
            self.present &= !DATED;
        }
    }

    /// The first value under a name.
    fn find(&self, name: &str) -> Option<&[u8]> {
        if self.present & bit(name) == 0 {
            return None;
        }
        self.lines().find_map(|line| value_of(line, name))
    }

    /// Each with its end.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.text[..];
        std::iter::from_fn(move || {
            let (line, after) = rest.split_at(memchr::memchr(b'\n', rest)? + 1);
            rest = after;
            Some(line)
        })
    }
}

/// The value of a line that has this name.
fn value_of<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let (known, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    known
        .eq_ignore_ascii_case(name.as_bytes())
        .then(|| value.trim_ascii())
}

fn parts(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    Some((name, line[colon + 1..].trim_ascii()))
}

/// The bit that is `Date`'s alone.
const DATED: u64 = 1 << 63;

/// Of 63 for all other names, by the length of a name and its first letter in either case.
fn bit(name: &str) -> u64 {
    if name.eq_ignore_ascii_case("date") {
        return DATED;
    }
    let first = name.bytes().next().unwrap_or_default().to_ascii_lowercase();
    1 << ((5 * name.len() + usize::from(first)) % 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> AnswerFields {
        let mut fields = AnswerFields::with_capacity(0);
        for (name, value) in [("Set-Cookie", "a=1"), ("Vary", ""), ("set-cookie", "b: 2")] {
            fields.put(name, value.as_bytes());
        }
        fields
    }

    #[test]
    fn fields_keep_their_order_and_are_found_in_either_case() {
        let fields = some();
        assert_eq!(
            fields.as_lines(),
            b"Set-Cookie: a=1\r\nVary: \r\nset-cookie: b: 2\r\n"
        );
        assert_eq!(fields.get("set-cookie"), Some("a=1"));
        assert_eq!(fields.get("vary"), Some(""));
        assert_eq!((fields.get("var"), fields.contains("SET-COOKIE")), (None, true));
        // One that has the bit of another is looked for and not found.
        let twin = ["wary", "uary"].map(|name| (fields.contains(name), fields.get(name)));
        assert_eq!(twin, [(false, None); 2]);
        let all: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name, value.to_vec()))
            .collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[2], ("set-cookie", b"b: 2".to_vec()));
    }

    #[test]
    fn a_field_takes_the_place_of_all_that_have_its_name() {
        let mut fields = some();
        let value = HeaderValue::from_static("c=3");
        fields.append(&http02::header::SET_COOKIE, &value);
        fields.insert(&http02::header::SET_COOKIE, &value);
        fields.insert(&http02::header::ETAG, &value);
        assert_eq!(fields.as_lines(), b"Vary: \r\nset-cookie: c=3\r\netag: c=3\r\n");
    }

    #[test]
    fn a_date_is_known_in_either_case_and_until_it_is_removed() {
        let mut fields = some();
        assert!(!fields.is_dated());
        fields.put("DATE", b"Fri, 27 Nov 2026 12:00:00 GMT");
        assert!(fields.is_dated());
        fields.remove("date");
        assert!(!fields.is_dated() && !fields.contains("date"));
    }

    #[test]
    fn whoever_is_there_has_its_bit() {
        let (mut fields, name) = (AnswerFields::default(), "x".repeat(70));
        fields.put(&name, b"y");
        assert_eq!(fields.get(&name.to_uppercase()), Some("y"));
    }
}
