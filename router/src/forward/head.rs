//! The head of an upstream's answer: read, and understood in one way only.
//!
//! For [`super::Forwarder`]. httparse reads the lines; how the message ends is decided here by RFC 9112, section 6.3. An
//! answer that says two different things about its length is refused: whoever believed the wrong one would take a part of it
//! for the next answer.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http02::StatusCode;
use httparse::{Header, ParserConfig, Status};

use super::convert;
use super::fields::AnswerFields;
use super::incoming::Framing;
use super::link::LARGE;

/// Upstreams may send longer heads than clients may.
const MOST_FIELDS: usize = 256;

/// What an upstream has said before the body.
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// Its end-to-end fields.
    pub fields: AnswerFields,
    /// Its `Content-Length`. In answer to HEAD, and of a 304, it says what GET would have had.
    pub length: Option<u64>,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection can be used again afterwards.
    pub keeps: bool,
}

/// Why what an upstream sent is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not even HTTP.
    #[error("the head of the answer is not HTTP/1.1: {0}")]
    Syntax(#[from] httparse::Error),
    /// Endless.
    #[error("the head of the answer is longer than {LARGE} bytes")]
    TooLong,
    /// Two lengths, or none that is a number.
    #[error("the answer says in two ways how long it is, or in none that is right")]
    Length,
    /// Too many `1xx`.
    #[error("the upstream sent nothing but interim answers")]
    Interim,
}

/// Takes a head from the front of what has been read, once all of it is there. `seen` is how much of it was there the last
/// time, so that a head that trickles in is not read from the beginning each time; most are there at once.
pub fn take(buffer: &mut BytesMut, seen: usize, asks_for_head: bool) -> Result<Option<Head>, Malformed> {
    if seen > 0 && !may_be_whole(buffer, seen) {
        return partial(buffer);
    }
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status =
        ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields)?;
    let Status::Complete(length) = status else {
        return partial(buffer);
    };
    let head = understand(&parsed, length, asks_for_head)?;
    buffer.advance(length);
    Ok(Some(head))
}

/// There is more to come, if it may.
fn partial(buffer: &[u8]) -> Result<Option<Head>, Malformed> {
    match buffer.len() > LARGE {
        true => Err(Malformed::TooLong),
        false => Ok(None),
    }
}

/// Whether there is a blank line in what is new.
fn may_be_whole(buffer: &[u8], seen: usize) -> bool {
    let new = &buffer[seen.saturating_sub(3).min(buffer.len())..];
    let mut ends = memchr::memchr_iter(b'\n', new).peekable();
    ends.any(|end| matches!(&new[end + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// `bytes` is how long it is.
fn understand(
    parsed: &httparse::Response<'_, '_>,
    bytes: usize,
    asks_for_head: bool,
) -> Result<Head, Malformed> {
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(httparse::Error::Status)?;
    let said = Said::of(parsed.headers)?;
    let is_http11 = parsed.version == Some(1);
    let framing = match said {
        _ if status == StatusCode::SWITCHING_PROTOCOLS => Framing::Close,
        _ if asks_for_head || status.is_informational() || matches!(status.as_u16(), 204 | 304) => {
            Framing::Length(0)
        }
        Said { codings: Some(_), .. } if !is_http11 => return Err(Malformed::Length),
        Said {
            codings: Some(true), ..
        } => Framing::Chunked,
        Said {
            codings: Some(false), ..
        } => Framing::Close,
        Said { length, .. } => length.map_or(Framing::Close, Framing::Length),
    };
    let keeps = framing != Framing::Close && !said.closes && (is_http11 || said.keeps);
    Ok(Head {
        status,
        fields: convert::answer_fields(parsed.headers, bytes),
        // Next to transfer codings it means nothing (RFC 9112, section 6.3).
        length: said.length.filter(|_| said.codings.is_none()),
        framing,
        keeps,
    })
}

/// What the fields say of the message and the connection.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    /// There are transfer codings; whether the last of them is `chunked`.
    codings: Option<bool>,
    closes: bool,
    keeps: bool,
}

impl Said {
    fn of(fields: &[Header<'_>]) -> Result<Self, Malformed> {
        let mut said = Self::default();
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            let has = |member: &[u8]| {
                let mut members = field.value.split(|byte| *byte == b',');
                members.any(|part| part.trim_ascii().eq_ignore_ascii_case(member))
            };
            match field.name.len() {
                14 if is("content-length") => {
                    let length = number(field.value).ok_or(Malformed::Length)?;
                    if said.length.is_some_and(|known| known != length) {
                        return Err(Malformed::Length);
                    }
                    said.length = Some(length);
                }
                17 if is("transfer-encoding") => {
                    let last = field.value.rsplit(|byte| *byte == b',').next();
                    let last = last.unwrap_or_default().trim_ascii();
                    said.codings = Some(last.eq_ignore_ascii_case(b"chunked"));
                }
                10 if is("connection") => match field.value {
                    b"keep-alive" => said.keeps = true,
                    _ => {
                        said.closes |= has(b"close");
                        said.keeps |= has(b"keep-alive");
                    }
                },
                _ => {}
            }
        }
        Ok(said)
    }
}

/// Digits and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<(u16, Framing, bool)>, Malformed> {
        let mut buffer = BytesMut::from(text.as_bytes());
        let head = take(&mut buffer, 0, false)?;
        Ok(head.map(|head| (head.status.as_u16(), head.framing, head.keeps)))
    }

    #[test]
    fn how_an_answer_ends_is_decided_as_the_rfc_says() {
        let cases: [(&str, Framing, bool); 9] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5", Framing::Length(5), true),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5",
                Framing::Length(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\ncontent-length: 5",
                Framing::Chunked,
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip",
                Framing::Close,
                false,
            ),
            ("HTTP/1.1 200 OK\r\nx: y", Framing::Close, false),
            (
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 5",
                Framing::Length(0),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x, Close",
                Framing::Length(5),
                false,
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5", Framing::Length(5), false),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive",
                Framing::Length(5),
                true,
            ),
        ];
        for (text, framing, keeps) in cases {
            let (_, framed, kept) = read(&format!("{text}\r\n\r\n")).unwrap().unwrap();
            assert_eq!((framed, kept), (framing, keeps), "{text}");
        }
    }

    #[test]
    fn an_answer_that_can_be_read_in_two_ways_is_none() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5",
            "HTTP/1.1 200 OK\r\ncontent-length: +5",
            "HTTP/1.1 200 OK\r\ncontent-length:",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked",
        ] {
            assert_eq!(
                read(&format!("{text}\r\n\r\n")).unwrap_err(),
                Malformed::Length,
                "{text}"
            );
        }
        assert!(matches!(read("what is this\r\n\r\n"), Err(Malformed::Syntax(_))));
    }

    #[test]
    fn a_head_is_found_wherever_it_is_cut_and_may_not_be_endless() {
        let text = "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 2\r\n\r\nab";
        for cut in 0..text.len() - 2 {
            let mut buffer = BytesMut::from(&text.as_bytes()[..cut]);
            assert!(take(&mut buffer, 0, false).unwrap().is_none(), "{cut}");
            buffer.extend_from_slice(&text.as_bytes()[cut..]);
            assert!(take(&mut buffer, cut, false).unwrap().is_some(), "{cut}");
            assert_eq!(buffer, "ab");
        }
        let mut endless = BytesMut::from(&b"HTTP/1.1 200 OK\r\nx: "[..]);
        endless.resize(LARGE + 1, b'x');
        assert!(matches!(take(&mut endless, 0, false), Err(Malformed::TooLong)));
    }
}
