//! What a head says of how its message ends, and whether it says so in one way only.
//!
//! For [`super::Follower`]. The rules are those of RFC 9112, section 6.3, with nothing forgiven: a length is digits and
//! stands once, a coding is `chunked` and stands alone, and never are there both.

use super::Refusal;
use crate::problem::Kind;

/// What has been read of a head.
#[derive(Debug, Default)]
pub(super) struct Head {
    length: usize,
    content_length: Option<u64>,
    is_chunked: bool,
    is_http10: bool,
    is_connect: bool,
    wants_websocket: bool,
}

/// What follows a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    NoBody,
    Length(u64),
    Chunked,
    /// Bytes that are not HTTP.
    Free,
}

impl Head {
    /// Bytes so far.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Adds a line, given without its end.
    pub(super) fn count(&mut self, line: &[u8]) {
        self.length += line.len() + 2;
    }

    /// Takes the request line.
    pub(super) fn begin(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.is_connect = line.starts_with(b"CONNECT ");
        if line.ends_with(b" HTTP/1.1") {
            return Ok(());
        }
        self.is_http10 = line.ends_with(b" HTTP/1.0");
        check_version(line)
    }

    /// Takes a field line.
    pub(super) fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        // Three names matter here, and most fields have another first letter.
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => match value_of(line, b"content-length:") {
                Some(value) => self.content_length(value),
                None => Ok(()),
            },
            Some(b't') => match value_of(line, b"transfer-encoding:") {
                Some(value) => self.transfer_encoding(value),
                None => Ok(()),
            },
            Some(b'u') => {
                let value = value_of(line, b"upgrade:");
                self.wants_websocket |= value.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
                Ok(())
            }
            Some(b' ' | b'\t') => Err(Refusal::bad(
                "a field line begins with white space (RFC 9112, section 5.2)",
            )),
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.content_length.is_some() {
            return Err(Refusal::bad("there are two Content-Length fields"));
        }
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value)
            .ok()
            .filter(|_| is_number)
            .and_then(|text| text.parse().ok());
        self.content_length = number;
        number
            .map(drop)
            .ok_or(Refusal::bad("the Content-Length is not a length"))
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.is_http10 {
            return Err(Refusal::bad("HTTP/1.0 knows no Transfer-Encoding"));
        }
        if self.is_chunked {
            return Err(Refusal::bad("there are two Transfer-Encoding fields"));
        }
        let mut codings = value.rsplit(|byte| *byte == b',').map(trimmed);
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if !codings.next().is_some_and(is_chunked) {
            return Err(Refusal::bad("the last transfer coding is not chunked"));
        }
        self.is_chunked = true;
        let mut others = codings.peekable();
        if others.peek().is_none() {
            return Ok(());
        }
        if others.all(|coding| is_token(coding) && !is_chunked(coding)) {
            return Err(Refusal {
                kind: Kind::NotImplemented,
                detail: "the router knows the transfer coding chunked and no other",
            });
        }
        Err(Refusal::bad("the transfer codings are not well-formed"))
    }

    /// Takes the blank line.
    pub(super) fn end(self) -> Result<Ending, Refusal> {
        if self.is_chunked && self.content_length.is_some() {
            return Err(Refusal::bad(
                "there are both Transfer-Encoding and Content-Length (RFC 9112, section 6.3)",
            ));
        }
        let length = self.content_length.filter(|length| *length > 0);
        match length {
            Some(_) if self.wants_websocket => Err(Refusal::bad("an upgrade to websocket has no body")),
            _ if self.is_chunked => Ok(Ending::Chunked),
            Some(length) => Ok(Ending::Length(length)),
            None if self.wants_websocket || self.is_connect => Ok(Ending::Free),
            None => Ok(Ending::NoBody),
        }
    }
}

/// Refuses versions of HTTP that are not ours, at the first digit that says so: the parser behind us does not wait for the
/// end of the line either. What is no version at all is left to that.
pub(super) fn check_version(line: &[u8]) -> Result<(), Refusal> {
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let is_other = match version.strip_prefix(b"HTTP/") {
        Some([b'1', b'.', minor, ..]) => minor.is_ascii_digit() && !matches!(minor, b'0' | b'1'),
        Some([major, ..]) => major.is_ascii_digit() && *major != b'1',
        _ => false,
    };
    if is_other {
        return Err(Refusal {
            kind: Kind::VersionNotSupported,
            detail: "the router speaks HTTP/1.0 and HTTP/1.1 here",
        });
    }
    Ok(())
}

/// The value of a line, if the line has this name; `name` is in lower case and has its colon.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| trimmed(value))
}

/// Without spaces and tabs around it, which are all the white space that HTTP knows.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

pub(super) fn is_token(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(fields: &[&str]) -> Result<Ending, Kind> {
        let mut head = Head::default();
        head.begin(b"POST / HTTP/1.1").map_err(|refusal| refusal.kind)?;
        for field in fields {
            head.field(field.as_bytes()).map_err(|refusal| refusal.kind)?;
        }
        head.end().map_err(|refusal| refusal.kind)
    }

    #[test]
    fn a_message_ends_in_one_way_or_is_refused() {
        for (fields, expected) in [
            (&["host: a"][..], Ok(Ending::NoBody)),
            (&["content-length: 0"], Ok(Ending::NoBody)),
            (&["Content-LENGTH:\t007 "], Ok(Ending::Length(7))),
            (&["transfer-encoding: chunked"], Ok(Ending::Chunked)),
            (&["Transfer-Encoding:CHUNKED\t"], Ok(Ending::Chunked)),
            (&["upgrade: WebSocket"], Ok(Ending::Free)),
            (
                &["upgrade: websocket", "transfer-encoding: chunked"],
                Ok(Ending::Chunked),
            ),
            (&["content-length: 3", "content-length: 3"], Err(Kind::BadRequest)),
            (&["content-length: 3, 3"], Err(Kind::BadRequest)),
            (&["content-length: +3"], Err(Kind::BadRequest)),
            (&["content-length:"], Err(Kind::BadRequest)),
            (&["content-length: 18446744073709551616"], Err(Kind::BadRequest)),
            (
                &["content-length: 3", "transfer-encoding: chunked"],
                Err(Kind::BadRequest),
            ),
            (
                &["transfer-encoding: chunked", "content-length: 0"],
                Err(Kind::BadRequest),
            ),
            (
                &["transfer-encoding: chunked", "transfer-encoding: chunked"],
                Err(Kind::BadRequest),
            ),
            (&["transfer-encoding: chunked, chunked"], Err(Kind::BadRequest)),
            (&["transfer-encoding: chunked, identity"], Err(Kind::BadRequest)),
            (&["transfer-encoding: ,chunked"], Err(Kind::BadRequest)),
            (&["transfer-encoding: gzip, chunked"], Err(Kind::NotImplemented)),
            (&["transfer-encoding: \"chunked\""], Err(Kind::BadRequest)),
            (
                &["upgrade: websocket", "content-length: 3"],
                Err(Kind::BadRequest),
            ),
            (&["x: 1", " folded"], Err(Kind::BadRequest)),
        ] {
            assert_eq!(ending(fields), expected, "{fields:?}");
        }
    }
}
