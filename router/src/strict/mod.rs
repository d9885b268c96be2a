//! Follows the framing of a client's HTTP/1.1 bytes, and stops at the first that another parser could read differently.
//!
//! For [`crate::http1`], which lets every byte from a client pass by here before it is parsed. httparse refuses most of
//! what is malformed, but not all: it takes a bare LF for the end of a line (which RFC 9112 2.2 allows, and by which a
//! request hides from a parser that does not), does not look into trailers, bounds no chunk extension, and answers a broken
//! chunk by hanging up without a word. What it would let pass and should not stands here, and nothing else: control
//! characters, field names and the like are left to it.
//!
//! The follower keeps its own count of where a message ends, and looks at nothing inside a body: a body of known length is
//! skipped by number, a chunked one by its size lines. Because it is stricter than actix wherever the two could count
//! differently, it cannot be out of step with it on anything that is let through. A head costs one search for the ends of
//! its lines, and a glance at the first letter of each.

mod chunks;
mod head;

use self::chunks::Chunks;
use self::head::{Ending, Head};
use crate::problem::Kind;

/// Where in the sequence of messages the connection stands.
#[derive(Debug)]
pub struct Follower {
    state: State,
    head: Head,
    /// The beginning of a line whose end has not arrived.
    carry: Vec<u8>,
    /// Heads that have been let through whole.
    heads: u64,
    max_head: usize,
}

#[derive(Debug)]
enum State {
    /// Between two messages.
    Between,
    /// In a head.
    Head,
    /// In a body of which so much is to come.
    Length(u64),
    /// In a chunked body.
    Chunks(Chunks),
    /// No longer HTTP.
    Free,
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Decides the status.
    pub kind: Kind,
    /// What is wrong, for a person.
    pub detail: &'static str,
}

/// The bytes must not be taken as they are.
#[derive(Debug, PartialEq, Eq)]
pub struct Stop {
    /// How many of them, from the first, belong to messages before the refused one or can be taken of it.
    pub keep: usize,
    /// Whether the head of the refused message has been let through already.
    pub in_body: bool,
    /// Why.
    pub refusal: Refusal,
}

impl Refusal {
    pub(self) const fn bad(detail: &'static str) -> Self {
        Self {
            kind: Kind::BadRequest,
            detail,
        }
    }
}

/// One line with its end, or the wait for it.
enum Line<'b> {
    Whole(&'b [u8]),
    Carried,
    Open,
}

impl Follower {
    /// Before the first message. `max_head` is the longest head in bytes.
    pub fn new(max_head: usize) -> Self {
        Self {
            state: State::Between,
            head: Head::default(),
            carry: Vec::new(),
            heads: 0,
            max_head,
        }
    }

    /// Stops looking: the connection has left HTTP/1.1.
    pub fn free(&mut self) {
        self.state = State::Free;
    }

    /// Whether a head has begun and not ended.
    pub fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head) || !self.carry.is_empty()
    }

    /// Whether the connection has left HTTP.
    pub fn is_free(&self) -> bool {
        matches!(self.state, State::Free)
    }

    /// How many heads have been let through.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// Looks at the next bytes.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let mut at = 0;
        // Where the message begins that is being looked at, if it begins here.
        let mut began = None;
        let heads = self.heads;
        while at < bytes.len() {
            let (before, in_body) = (at, matches!(self.state, State::Length(_) | State::Chunks(_)));
            if matches!(self.state, State::Between) && self.carry.is_empty() {
                began = Some(at);
            }
            if let Err(refusal) = self.step(bytes, &mut at) {
                self.state = State::Free;
                if began.is_some() {
                    // Nothing of the message has been seen by anyone yet.
                    self.heads = if in_body { self.heads - 1 } else { self.heads };
                }
                let keep = began.unwrap_or(if in_body { before } else { 0 });
                let in_body = in_body && began.is_none();
                debug_assert!(self.heads >= heads);
                return Err(Stop {
                    keep,
                    in_body,
                    refusal,
                });
            }
        }
        Ok(())
    }

    fn step(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), Refusal> {
        match &mut self.state {
            State::Free => *at = bytes.len(),
            State::Length(left) => {
                let taken = (*left).min((bytes.len() - *at) as u64);
                *at += taken as usize;
                *left -= taken;
                if *left == 0 {
                    self.state = State::Between;
                }
            }
            State::Chunks(chunks) => {
                if !chunks.skip(bytes, at)? {
                    self.line(bytes, at)?;
                }
            }
            State::Head if self.carry.is_empty() => self.fields(bytes, at)?,
            State::Between | State::Head => self.line(bytes, at)?,
        }
        Ok(())
    }

    /// The lines of a head that are here whole: one search for all of them.
    fn fields(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), Refusal> {
        let rest = &bytes[*at..];
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', rest) {
            match &rest[start..end] {
                [line @ .., b'\r'] if !line.is_empty() => {
                    self.check_length(line.len() + 2)?;
                    self.head.count(line);
                    self.head.field(line)?;
                    start = end + 1;
                }
                _ => break,
            }
        }
        *at += start;
        // The blank line, a line that is wrong, or the beginning of one.
        match *at < bytes.len() {
            true => self.line(bytes, at),
            false => Ok(()),
        }
    }

    fn line(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), Refusal> {
        let rest = &bytes[*at..];
        let found = match (memchr::memchr(b'\n', rest), self.carry.is_empty()) {
            (Some(end), true) => {
                *at += end + 1;
                Line::Whole(&rest[..=end])
            }
            (Some(end), false) => {
                *at += end + 1;
                self.carry.extend_from_slice(&rest[..=end]);
                Line::Carried
            }
            (None, _) => {
                *at = bytes.len();
                self.carry.extend_from_slice(rest);
                Line::Open
            }
        };
        match found {
            Line::Whole(line) => self.take(line),
            Line::Carried => {
                let line = std::mem::take(&mut self.carry);
                self.take(&line)
            }
            Line::Open => {
                self.check_length(self.carry.len())?;
                match &self.state {
                    State::Chunks(chunks) => chunks.check_beginning(&self.carry),
                    State::Between => head::check_version(&self.carry),
                    _ => Ok(()),
                }
            }
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.check_length(line.len())?;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(Refusal::bad(
                "a line ends in LF without CR (RFC 9112, section 2.2)",
            ));
        };
        match &mut self.state {
            State::Between => {
                self.head.count(line);
                if !line.is_empty() {
                    self.head.begin(line)?;
                    self.state = State::Head;
                }
            }
            State::Head if line.is_empty() => {
                let ending = std::mem::take(&mut self.head).end()?;
                self.heads += 1;
                self.state = match ending {
                    Ending::NoBody => State::Between,
                    Ending::Length(length) => State::Length(length),
                    Ending::Chunked => State::Chunks(Chunks::default()),
                    Ending::Free => State::Free,
                };
            }
            State::Head => {
                self.head.count(line);
                self.head.field(line)?;
            }
            State::Chunks(chunks) => {
                if chunks.line(line)? {
                    self.state = State::Between;
                }
            }
            State::Length(_) | State::Free => {}
        }
        Ok(())
    }

    fn check_length(&self, line: usize) -> Result<(), Refusal> {
        match &self.state {
            State::Chunks(chunks) => chunks.check_length(line),
            _ if self.head.length() + line > self.max_head => Err(Refusal {
                kind: Kind::HeaderTooLarge,
                detail: "the head of the request is longer than the router takes",
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is let through, cut at a place, and how it ended.
    fn cut(text: &[u8], place: usize) -> Result<u64, (usize, Refusal)> {
        let mut follower = Follower::new(4096);
        let (first, second) = text.split_at(place);
        follower.follow(first).map_err(|stop| (stop.keep, stop.refusal))?;
        follower
            .follow(second)
            .map_err(|stop| (place + stop.keep, stop.refusal))?;
        Ok(follower.heads())
    }

    #[test]
    fn messages_are_followed_wherever_they_are_cut() {
        let text = b"\r\nPOST / HTTP/1.1\r\nContent-Length:  3 \r\n\r\n\n\n\nGET / HTTP/1.1\r\nx: y\r\n\r\n\
            POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n4;a=\"b\"\r\n\n\r\n\n\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        for place in 0..=text.len() {
            assert_eq!(cut(text, place), Ok(4), "cut at {place}");
        }
    }

    #[test]
    fn a_refusal_is_the_same_wherever_the_bytes_are_cut_and_keeps_what_came_before() {
        let good = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc";
        for bad in [
            &b"GET / HTTP/1.1\nhost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nhost: a\n\r\n",
            b"GET / HTTP/1.1\r\nhost: a\r\n\n",
            b"\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\nabcde\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\n\r\n",
        ] {
            let text = [good, bad].concat();
            let whole = cut(&text, 0).unwrap_err();
            assert_eq!(whole.0, good.len(), "{}", bad.escape_ascii());
            for place in 0..=text.len() {
                let (kept, refusal) = cut(&text, place).unwrap_err();
                assert_eq!(refusal, whole.1, "{} cut at {place}", bad.escape_ascii());
                assert!(kept >= good.len() && kept <= text.len());
            }
        }
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_memory() {
        let mut follower = Follower::new(4096);
        let outcome = (0..100).find_map(|_| follower.follow(&[b'x'; 1000]).err());
        assert_eq!(outcome.map(|stop| stop.refusal.kind), Some(Kind::HeaderTooLarge));
        assert!(follower.carry.len() < 6000);
    }
}
