//! Compares the header fields that the rules name.
//!
//! For [`super::compare`]. A field that may stand in several lines is compared line by line in order, byte for byte, and a
//! field that only one side has is a difference. Three kinds of fields have spellings that mean the same:
//!
//! - `content-type`: type, subtype, names of parameters and the charset are compared without regard to case, and parameters
//!   without regard to order (RFC 9110, section 8.3.1);
//! - `vary`, `allow` and `cache-control` are sets (RFC 9110, sections 12.5.5 and 10.2.1; RFC 9111, section 5.2), so neither
//!   the order nor how they are split into lines counts; names of fields and directives have no case, methods have.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, header};

use super::Answer;
use super::difference::Found;
use super::print::{shorten, show_text};
use super::rules::{Limits, Rules};
use super::secret::{self, REDACTED};
use super::walk::ABSENT;

/// Compares the fields in the order of the rules.
pub(super) fn compare(rules: &Rules, limits: &Limits, left: &Answer, right: &Answer, found: &mut Found) {
    for name in &rules.headers {
        let (lefts, rights) = (values(left, name), values(right, name));
        if lefts != rights && meaning(name, &lefts) != meaning(name, &rights) {
            let show = |values: &[&HeaderValue]| show(name, values, limits.value);
            found.add(&format!("header {name}"), name.as_str(), || {
                (show(&lefts), show(&rights))
            });
        }
    }
}

fn values<'a>(answer: &'a Answer, name: &HeaderName) -> Vec<&'a HeaderValue> {
    answer.headers.get_all(name).iter().collect()
}

/// What a field says, so that two spellings of the same are equal.
fn meaning<'v>(name: &HeaderName, values: &[&'v HeaderValue]) -> Vec<Cow<'v, [u8]>> {
    let lower = |text: &[u8]| Cow::Owned(text.to_ascii_lowercase());
    let mut items: Vec<Cow<'v, [u8]>> = match *name {
        header::CONTENT_TYPE => return values.iter().map(|value| media_type(value.as_bytes())).collect(),
        header::VARY | header::CACHE_CONTROL => list(values).map(lower).collect(),
        header::ALLOW => list(values).map(Cow::Borrowed).collect(),
        _ => {
            return values
                .iter()
                .map(|value| Cow::Borrowed(value.as_bytes()))
                .collect();
        }
    };
    // A field that is there and empty is not the same as none: `Allow:` allows nothing.
    if values.is_empty() {
        return Vec::new();
    }
    items.sort_unstable();
    items.dedup();
    items.insert(0, Cow::Borrowed(b"set"));
    items
}

fn list<'v>(values: &[&'v HeaderValue]) -> impl Iterator<Item = &'v [u8]> {
    let items = values.iter().flat_map(|value| split(value.as_bytes(), b','));
    items.filter(|item| !item.is_empty())
}

/// Parts between delimiters that stand outside quotes, without the blanks around them.
fn split(text: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |byte| {
        if escaped {
            escaped = false;
        } else {
            match byte {
                b'"' => quoted = !quoted,
                b'\\' => escaped = quoted,
                _ => {}
            }
        }
        !quoted && *byte == delimiter
    });
    parts.map(<[u8]>::trim_ascii)
}

/// `application/json;charset=utf-8`, with parameters sorted and in one spelling.
fn media_type(value: &[u8]) -> Cow<'static, [u8]> {
    let mut parts = split(value, b';');
    let mut plain = parts.next().unwrap_or_default().to_ascii_lowercase();
    let mut parameters: Vec<Vec<u8>> = parts.filter(|part| !part.is_empty()).map(parameter).collect();
    parameters.sort_unstable();
    for parameter in parameters {
        plain.push(b';');
        plain.extend(parameter);
    }
    Cow::Owned(plain)
}

fn parameter(text: &[u8]) -> Vec<u8> {
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let (name, value) = text.split_at(end);
    let mut plain = name.trim_ascii().to_ascii_lowercase();
    let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
    let value = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value);
    let is_charset = plain == b"charset";
    plain.push(b'=');
    match is_charset {
        true => plain.extend(value.to_ascii_lowercase()),
        false => plain.extend(value),
    }
    plain
}

fn show(name: &HeaderName, values: &[&HeaderValue], limit: usize) -> String {
    if values.is_empty() {
        return ABSENT.to_owned();
    }
    let shown: Vec<String> = values
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            match *name {
                header::SET_COOKIE => secret::redact_cookie(&text),
                _ if secret::is_secret(name.as_str()) => REDACTED.to_owned(),
                _ => show_text(&text, limit),
            }
        })
        .collect();
    shorten(&shown.join(", "), limit).into_owned()
}

/// The media type of an answer, in lower case and without parameters; empty if there is none.
pub(super) fn essence(answer: &Answer) -> String {
    let value = answer
        .headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let essence = split(value, b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn answer(fields: &[(&'static str, &'static str)]) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        Answer {
            status: 200,
            headers,
            body: bytes::Bytes::new(),
        }
    }

    fn differences(
        left: &[(&'static str, &'static str)],
        right: &[(&'static str, &'static str)],
    ) -> Vec<[String; 3]> {
        let mut rules = Rules::default();
        rules.headers.push(header::SET_COOKIE);
        rules.headers.push(HeaderName::from_static("x-api-key"));
        let mut found = Found::new(&Limits::default());
        compare(
            &rules,
            &Limits::default(),
            &answer(left),
            &answer(right),
            &mut found,
        );
        let listed = found.finish(None).listed.into_iter();
        listed.map(|d| [d.group, d.left, d.right]).collect()
    }

    #[test]
    fn spellings_that_mean_the_same_are_equal() {
        for (name, one, other) in [
            (
                "content-type",
                "application/json; charset=UTF-8",
                "Application/JSON;charset=\"utf-8\"",
            ),
            (
                "content-type",
                "text/plain; a=1; charset=utf-8",
                "text/plain; charset=utf-8; a=1",
            ),
            ("vary", "Accept, Origin", "origin,accept"),
            ("allow", "GET, POST", "POST,GET"),
            ("cache-control", "max-age=60, Private", "private, max-age=60"),
            ("date", "yesterday", "today"),
        ] {
            assert!(
                differences(&[(name, one)], &[(name, other)]).is_empty(),
                "{name}: {one}"
            );
        }
        let lines = [("vary", "accept"), ("vary", "origin")];
        assert!(differences(&lines, &[("vary", "origin, accept")]).is_empty());
    }

    #[test]
    fn what_differs_is_found_and_named() {
        for (name, one, other) in [
            ("content-type", "application/json", "text/json"),
            (
                "content-type",
                "text/plain; charset=utf-8",
                "text/plain; charset=latin1",
            ),
            ("content-type", "text/plain; boundary=a", "text/plain; boundary=A"),
            ("etag", "\"a\"", "W/\"a\""),
            ("allow", "GET", "get"),
            ("cache-control", "private=\"a, b\"", "private=\"b, a\""),
            ("location", "/a", "/b"),
        ] {
            let expected = [format!("header {name}"), one.to_owned(), other.to_owned()];
            assert_eq!(differences(&[(name, one)], &[(name, other)]), [expected]);
        }
    }

    #[test]
    fn absence_order_and_repetition_count() {
        let absent = [
            "header etag".to_owned(),
            "\"1\"".to_owned(),
            "[absent]".to_owned(),
        ];
        assert_eq!(differences(&[("etag", "\"1\"")], &[]), [absent]);
        assert_eq!(differences(&[("allow", "")], &[]).len(), 1);
        let (one, other) = (("link", "</a>"), ("link", "</b>"));
        assert!(differences(&[one, other], &[one, other]).is_empty());
        assert_eq!(differences(&[one, other], &[other, one]).len(), 1);
        assert_eq!(differences(&[one, one], &[one]).len(), 1);
    }

    #[test]
    fn secrets_are_compared_but_not_shown() {
        let found = differences(
            &[("set-cookie", "sid=one; Path=/")],
            &[("set-cookie", "sid=two; Path=/")],
        );
        let [_, left, right] = &found[0];
        assert_eq!(left, "sid=[redacted]; Path=/");
        assert_eq!(right, "sid=[redacted]; Path=/ (differs)");
        let found = differences(&[("x-api-key", "one")], &[("x-api-key", "two")]);
        assert_eq!(
            found[0][1..],
            ["[redacted]".to_owned(), "[redacted] (differs)".to_owned()]
        );
        let found = differences(&[("location", "/a?token=one")], &[("location", "/b?token=one")]);
        assert_eq!(
            found[0][1..],
            ["/a?token=[redacted]".to_owned(), "/b?token=[redacted]".to_owned()]
        );
    }
}
