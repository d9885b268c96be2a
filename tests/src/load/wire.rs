//! A client's connection that is kept: one request at a time, answers of known length, nothing tidied up.
//!
//! For the load programs. It blocks, one thread per connection, as a sleeping thread wakes within some 50 µs of its time
//! where an async timer knows milliseconds only; and it reads no more of HTTP than these programs need, or on two cores the
//! client would be what is measured.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes of an answer at the most, head and body together.
const LONGEST: usize = 1 << 20;
/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is opened when it is first needed, and again after the other side has announced its end.
#[derive(Debug)]
pub(super) struct Wire {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What matters of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    /// The status code.
    pub(super) status: u16,
    /// The body.
    pub(super) body: &'a [u8],
}

/// The places of an answer within the bytes read.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    body_at: usize,
    length: usize,
    is_last: bool,
}

impl Wire {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            buffer: Vec::with_capacity(8192),
        }
    }

    /// Asks for a path and waits for the whole answer. After an error the next call begins on a new connection.
    ///
    /// Nothing is sent again: a connection that was closed under a request is a failed request, which is what the load
    /// programs count.
    pub(super) fn get(&mut self, path: &str) -> io::Result<Answer<'_>> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => open(self.address)?,
        };
        stream.write_all(request.as_bytes())?;
        self.buffer.clear();
        let head = read_head(&mut stream, &mut self.buffer)?;
        while self.buffer.len() < head.body_at + head.length {
            fill(&mut stream, &mut self.buffer)?;
        }
        if !head.is_last {
            self.stream = Some(stream);
        }
        Ok(Answer {
            status: head.status,
            body: &self.buffer[head.body_at..head.body_at + head.length],
        })
    }
}

fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        fill(stream, buffer)?;
        if let Some(head) = parse(buffer)? {
            return Ok(head);
        }
    }
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 8192];
    match stream.read(&mut piece)? {
        0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "closed before the answer was whole",
        )),
        _ if buffer.len() > LONGEST => Err(io::Error::other(
            "the answer is longer than any that was asked for",
        )),
        count => {
            buffer.extend_from_slice(&piece[..count]);
            Ok(())
        }
    }
}

/// The head, once it is there whole.
fn parse(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let strange = || {
        io::Error::other(format!(
            "not an answer: {}",
            String::from_utf8_lossy(&bytes[..end])
        ))
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| strange())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let mut length = None;
    let mut is_last = false;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            is_last = value.trim().eq_ignore_ascii_case("close");
        }
    }
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some(Head {
            status,
            body_at: end + 4,
            length,
            is_last,
        })),
        _ => Err(strange()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole_and_tells_whether_it_is_the_last() {
        let whole = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        let head = parse(whole).unwrap().unwrap();
        assert_eq!((head.status, head.length, head.is_last), (502, 3, true));
        assert_eq!(&whole[head.body_at..], b"abc");
        assert_eq!(parse(&whole[..40]).unwrap(), None);
    }

    #[test]
    fn an_answer_of_unknown_length_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }
}
