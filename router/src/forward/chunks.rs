//! An upstream's chunked body, taken apart (RFC 9112, section 7.1).
//!
//! For [`super::incoming`]. Strict where two readers could count differently: sizes are digits, lines end in CR LF.
//! Extensions are skipped, trailers passed on; both are bounded.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The longest line of a size with its extensions.
const LINE: usize = 4 * 1024;
/// The longest trailer section.
const TRAILERS: usize = 16 * 1024;
/// Trailers at most.
const MOST_TRAILERS: usize = 64;

/// Where in the body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// Before the line that says how long the next chunk is.
    Size,
    /// In a chunk of which so much is to come.
    Data(u64),
    /// Behind a chunk's data, before the end of its line.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
}

/// What was taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// A piece of the body.
    Data(Bytes),
    /// What comes after it, and the end.
    End(HeaderMap),
    /// Nothing: the rest has not arrived.
    Nothing,
}

/// The body is not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chunks of the answer are not well-formed")]
pub struct BadChunk;

impl Chunks {
    /// Takes the next piece from the front of what has been read.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Taken, BadChunk> {
        loop {
            match *self {
                Self::Size => {
                    let Some(line) = line(buffer)? else {
                        return Ok(Taken::Nothing);
                    };
                    let length = size(&buffer[..line])?;
                    buffer.advance(line + 2);
                    *self = match length {
                        0 => Self::Trailers,
                        length => Self::Data(length),
                    };
                }
                Self::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Taken::Nothing);
                    }
                    let count = left.min(buffer.len() as u64);
                    let left = left - count;
                    *self = if left == 0 {
                        Self::DataEnd
                    } else {
                        Self::Data(left)
                    };
                    return Ok(Taken::Data(buffer.split_to(count as usize).freeze()));
                }
                Self::DataEnd => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        *self = Self::Size;
                    }
                    Some(_) => return Err(BadChunk),
                    None => return Ok(Taken::Nothing),
                },
                Self::Trailers => return trailers(buffer),
            }
        }
    }
}

/// Where the first line ends, if it does.
fn line(buffer: &[u8]) -> Result<Option<usize>, BadChunk> {
    match memchr::memchr(b'\n', buffer) {
        Some(end) if end > 0 && end <= LINE && buffer[end - 1] == b'\r' => Ok(Some(end - 1)),
        None if buffer.len() <= LINE => Ok(None),
        _ => Err(BadChunk),
    }
}

fn size(line: &[u8]) -> Result<u64, BadChunk> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    let is_number = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
    text.and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or(BadChunk)
}

fn trailers(buffer: &mut BytesMut) -> Result<Taken, BadChunk> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let (length, fields) = match httparse::parse_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Ok(httparse::Status::Partial) if buffer.len() <= TRAILERS => return Ok(Taken::Nothing),
        _ => return Err(BadChunk),
    };
    let mut trailers = HeaderMap::new();
    for field in fields {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(field.name.as_bytes()),
            HeaderValue::from_bytes(field.value),
        ) {
            trailers.append(name, value);
        }
    }
    buffer.advance(length);
    Ok(Taken::End(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of a body, cut at a place, and what is left over.
    fn read(text: &[u8], cut: usize) -> Result<(Vec<u8>, Option<HeaderMap>, usize), BadChunk> {
        let (mut chunks, mut buffer, mut body) = (Chunks::Size, BytesMut::from(&text[..cut]), Vec::new());
        let mut rest = Some(&text[cut..]);
        loop {
            match chunks.take(&mut buffer)? {
                Taken::Data(data) => body.extend_from_slice(&data),
                Taken::End(trailers) => {
                    return Ok((body, Some(trailers), buffer.len() + rest.map_or(0, <[u8]>::len)));
                }
                Taken::Nothing => match rest.take() {
                    Some(rest) => buffer.extend_from_slice(rest),
                    None => return Ok((body, None, 0)),
                },
            }
        }
    }

    #[test]
    fn chunks_are_read_wherever_they_are_cut() {
        let text = b"5;a=\"b\"\r\nhello\r\n0a \r\n, big\nworl\r\n1\r\nd\r\n0\r\nx-sum: 7\r\n\r\nmore";
        for cut in 0..=text.len() {
            let (body, trailers, left) = read(text, cut).unwrap();
            assert_eq!(body, b"hello, big\nworld", "cut at {cut}");
            assert_eq!(trailers.unwrap()["x-sum"], "7");
            assert_eq!(left, 4);
        }
    }

    #[test]
    fn what_could_be_counted_in_two_ways_is_refused() {
        for bad in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5\r\nhelloo\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b"11111111111111111\r\n",
            b"0\r\nno field\r\n\r\n",
        ] {
            assert_eq!(read(bad, 0), Err(BadChunk), "{}", bad.escape_ascii());
        }
        assert_eq!(read(&[b'1'; LINE + 2], 0), Err(BadChunk));
    }
}
