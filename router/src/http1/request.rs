//! A request's head, made of the bytes of its lines.
//!
//! For [`super::wire`]. httparse reads the lines, which [`crate::strict`] has let through; what the fields mean for the
//! message and its connection is decided here. Names and values share the buffer that the head was read into.

use actix_http::{BoxedPayloadStream, ConnectionType, Payload, Request, RequestHead};
use bytes::{Buf, Bytes, BytesMut};
use http02::header::{self, HeaderName, HeaderValue};
use http02::{Method, Uri, Version};
use std::mem::MaybeUninit;

use crate::problem::Kind;
use crate::strict::Refusal;

/// Fields at most.
const MOST_FIELDS: usize = 96;

/// A request without its body.
pub struct Parsed {
    /// Its head.
    pub request: Request,
    /// What comes behind the head.
    pub follows: Follows,
    /// Whether the client waits for `100 Continue`.
    pub expects: bool,
}

/// What comes behind a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// The next request.
    Nothing,
    /// A body of so many bytes.
    Length(u64),
    /// A chunked body.
    Chunks,
    /// No more HTTP: an upgrade to websocket, or CONNECT.
    Anything,
}

/// What the fields say of the message and the connection.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    is_chunked: bool,
    hosts: usize,
    closes: bool,
    keeps: bool,
    upgrades: bool,
    wants_websocket: bool,
    expects: bool,
}

/// Takes a head from the front of what has been read, once all of it is there. `seen` is how much of it was there the last
/// time.
pub fn take(buffer: &mut BytesMut, seen: usize) -> Result<Option<Parsed>, Refusal> {
    let mut seen = seen;
    while buffer.starts_with(b"\r\n") {
        buffer.advance(2);
        seen = 0;
    }
    // By the ends of lines, of which there are few: a search for four bytes has more to prepare than most heads have to search.
    let new = seen.min(buffer.len());
    let mut ends = memchr::memchr_iter(b'\n', &buffer[new..]).map(|end| new + end + 1);
    match ends.find(|end| buffer[..*end].ends_with(b"\r\n\r\n")) {
        Some(end) => parse(&buffer.split_to(end).freeze()).map(Some),
        None => check_beginning(buffer).map(|()| None),
    }
}

/// What is wrong from its first line on need not be waited for.
fn check_beginning(text: &[u8]) -> Result<(), Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let read = parsed.parse_with_uninit_headers(text, &mut fields);
    read.map(drop).map_err(refused)
}

fn parse(text: &Bytes) -> Result<Parsed, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(text, &mut fields) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(malformed()),
        Err(error) => return Err(refused(error)),
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(malformed());
    };
    let mut request = Request::<BoxedPayloadStream>::with_payload(Payload::None);
    let head = request.head_mut();
    head.method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed())?;
    head.uri = Uri::from_maybe_shared(text.slice_ref(target.as_bytes())).map_err(|_| malformed())?;
    head.version = if version == 1 {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    let mut said = Said::default();
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| malformed())?;
        let value = text.slice_ref(field.value);
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| malformed())?;
        said.note(&name, value.as_bytes());
        head.headers.append(name, value);
    }
    let follows = said.follows(head)?;
    if let Some(connection) = said.connection() {
        head.set_connection_type(connection);
    }
    let expects = said.expects && version == 1;
    Ok(Parsed {
        request,
        follows,
        expects,
    })
}

impl Said {
    fn note(&mut self, name: &HeaderName, value: &[u8]) {
        let is = |word: &[u8]| value.trim_ascii().eq_ignore_ascii_case(word);
        let has = |word: &[u8]| {
            let mut members = value.split(|byte| *byte == b',');
            members.any(|member| member.trim_ascii().eq_ignore_ascii_case(word))
        };
        match *name {
            header::HOST => self.hosts += 1,
            header::CONTENT_LENGTH => {
                // That it is a number, and the only one, has been seen to.
                self.length = std::str::from_utf8(value.trim_ascii())
                    .ok()
                    .and_then(|text| text.parse().ok());
            }
            header::TRANSFER_ENCODING => self.is_chunked = true,
            header::CONNECTION => {
                self.closes |= has(b"close");
                self.keeps |= has(b"keep-alive");
                self.upgrades |= has(b"upgrade");
            }
            header::UPGRADE => self.wants_websocket |= is(b"websocket"),
            header::EXPECT => self.expects |= has(b"100-continue"),
            _ => {}
        }
    }

    fn follows(&self, head: &RequestHead) -> Result<Follows, Refusal> {
        let bad = |detail| {
            Err(Refusal {
                kind: Kind::BadRequest,
                detail,
            })
        };
        match self.hosts {
            0 if head.version == Version::HTTP_11 => bad("there is no Host (RFC 9112, section 3.2)"),
            2.. => bad("there are two Host fields (RFC 9112, section 3.2)"),
            _ if self.is_chunked => Ok(Follows::Chunks),
            _ if self.wants_websocket || head.method == Method::CONNECT => Ok(Follows::Anything),
            _ => match self.length {
                None if head.version == Version::HTTP_10 && head.method == Method::POST => {
                    bad("a POST by HTTP/1.0 needs a Content-Length (RFC 1945, section 7.2.2)")
                }
                None | Some(0) => Ok(Follows::Nothing),
                Some(length) => Ok(Follows::Length(length)),
            },
        }
    }

    /// What it says of the connection, if anything.
    fn connection(&self) -> Option<ConnectionType> {
        match self {
            Self { closes: true, .. } => Some(ConnectionType::Close),
            Self { upgrades: true, .. } => Some(ConnectionType::Upgrade),
            Self { keeps: true, .. } => Some(ConnectionType::KeepAlive),
            _ => None,
        }
    }
}

fn refused(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal {
            kind: Kind::HeaderTooLarge,
            detail: "the request has more than 96 fields",
        },
        _ => malformed(),
    }
}

fn malformed() -> Refusal {
    Refusal {
        kind: Kind::BadRequest,
        detail: "the request is not well-formed HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Follows>, &'static str> {
        let mut buffer = BytesMut::from(text.as_bytes());
        let taken = take(&mut buffer, 0).map_err(|refusal| refusal.detail)?;
        Ok(taken.map(|parsed| parsed.follows))
    }

    #[test]
    fn what_follows_a_head_is_said_by_its_fields() {
        for (text, follows) in [
            ("GET / HTTP/1.1\r\nhost: a", Follows::Nothing),
            (
                "\r\n\r\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0",
                Follows::Nothing,
            ),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 12",
                Follows::Length(12),
            ),
            (
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked",
                Follows::Chunks,
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: WebSocket",
                Follows::Anything,
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c",
                Follows::Nothing,
            ),
            ("GET / HTTP/1.0", Follows::Nothing),
        ] {
            assert_eq!(read(&format!("{text}\r\n\r\n")), Ok(Some(follows)), "{text}");
        }
        assert!(read("GET / HTTP/1.1\r\n\r\n").is_err(), "no host");
        assert!(
            read("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n").is_err(),
            "two hosts"
        );
        assert!(read("POST / HTTP/1.0\r\n\r\n").is_err(), "no length");
        assert_eq!(read("GET / HTTP/1.1\r\nhost: a\r\n"), Ok(None));
    }

    #[test]
    fn a_head_that_trickles_in_is_found_and_what_is_behind_it_stays() {
        let text = b"\r\nGET /a?b HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\nmore";
        for cut in 0..text.len() - 4 {
            let mut buffer = BytesMut::from(&text[..cut]);
            assert!(take(&mut buffer, 0).is_ok_and(|taken| taken.is_none()), "{cut}");
            let seen = buffer.len();
            buffer.extend_from_slice(&text[cut..]);
            let parsed = take(&mut buffer, seen).ok().flatten();
            let head = parsed.as_ref().map(|parsed| parsed.request.head());
            assert_eq!(
                head.map(|head| head.uri.to_string()).as_deref(),
                Some("/a?b"),
                "{cut}"
            );
            assert_eq!(head.unwrap().headers.get("x-y").unwrap(), "z");
            assert_eq!(buffer, "more");
        }
    }
}
