//! The body of an answer as it comes from the upstream.
//!
//! For [`super::answer`]. It holds the connection until its end has been read, and gives it back then. If the upstream has
//! answered before it had the whole request, the rest of the request goes on beside the answer, and after it.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Frame;

use super::chunks::{Chunks, Taken};
use super::link::{LARGE, Link, SMALL};
use super::pool::{Flight, Shelf};
use super::send::Sending;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// An upstream's body.
#[derive(Debug)]
pub struct Incoming {
    /// Present until the end.
    link: Option<Box<Link>>,
    left: Left,
    /// Where the connection goes afterwards, if it can be used again.
    shelf: Option<Rc<Shelf>>,
    /// What is left of the request.
    sending: Option<Box<Sending>>,
    /// Present if there was a choice of addresses, until the answer has been read.
    flight: Option<Flight>,
}

#[derive(Debug)]
enum Left {
    Length(u64),
    Chunks(Chunks),
    Close,
}

impl Incoming {
    /// What follows a head. Without `shelf` the connection is closed after it.
    pub fn new(
        link: Box<Link>,
        framing: Framing,
        shelf: Option<Rc<Shelf>>,
        sending: Option<Box<Sending>>,
    ) -> Self {
        let left = match framing {
            Framing::Length(length) => Left::Length(length),
            Framing::Chunked => Left::Chunks(Chunks::Size),
            Framing::Close => Left::Close,
        };
        let mut incoming = Self {
            link: Some(link),
            left,
            shelf,
            sending,
            flight: None,
        };
        if framing == Framing::Length(0) {
            incoming.end();
        }
        incoming
    }

    /// Counts the request as under way for as long as the answer is.
    pub fn fly(&mut self, flight: Option<Flight>) {
        if self.link.is_some() {
            self.flight = flight;
        }
    }

    /// Whether all has been read.
    pub fn is_end(&self) -> bool {
        self.link.is_none()
    }

    /// The connection itself, for an answer after which it is no longer HTTP.
    pub fn into_link(self) -> Option<Box<Link>> {
        self.link
    }

    /// The next piece, or the trailers. An error is the end, too.
    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.poll_sending(context);
        loop {
            let Some(link) = &mut self.link else {
                return Poll::Ready(None);
            };
            match self.left.take(link) {
                Ok(Taken::Data(data)) => {
                    if matches!(self.left, Left::Length(0)) {
                        self.end();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Taken::End(trailers)) => {
                    self.end();
                    if !trailers.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                }
                Ok(Taken::Nothing) => match ready!(link.poll_fill(context, self.left.room())) {
                    Ok(0) if matches!(self.left, Left::Close) => self.link = None,
                    Ok(0) => return self.fail(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {}
                    Err(error) => return self.fail(error),
                },
                Err(error) => return self.fail(error),
            }
        }
    }

    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        (self.link, self.flight) = (None, None);
        Poll::Ready(Some(Err(error)))
    }

    /// Sends what goes of the rest of the request, if there is one.
    fn poll_sending(&mut self, context: &mut Context<'_>) {
        let (Some(sending), Some(link)) = (&mut self.sending, &mut self.link) else {
            return;
        };
        match sending.poll(context, &mut link.stream) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.sending = None,
            // The answer may still be whole, but what the upstream would take for the next request is not.
            Poll::Ready(Err(_)) => (self.sending, self.shelf) = (None, None),
        }
    }

    fn end(&mut self) {
        self.flight = None;
        let (Some(mut link), Some(shelf)) = (self.link.take(), self.shelf.take()) else {
            return;
        };
        let Some(mut sending) = self.sending.take() else {
            return shelf.put(link);
        };
        tokio::task::spawn_local(async move {
            let sent = std::future::poll_fn(|context| sending.poll(context, &mut link.stream)).await;
            if sent.is_ok() {
                shelf.put(link);
            }
        });
    }
}

impl Left {
    fn take(&mut self, link: &mut Link) -> io::Result<Taken> {
        let buffer = &mut link.buffer;
        match self {
            Self::Chunks(chunks) => chunks.take(buffer).map_err(io::Error::other),
            _ if !buffer.has_remaining() => Ok(Taken::Nothing),
            Self::Length(left) => {
                let count = (*left).min(buffer.len() as u64);
                *left -= count;
                Ok(Taken::Data(buffer.split_to(count as usize).freeze()))
            }
            Self::Close => Ok(Taken::Data(buffer.split().freeze())),
        }
    }

    /// How much is worth reading at a time.
    fn room(&self) -> usize {
        match self {
            Self::Length(left) | Self::Chunks(Chunks::Data(left)) => {
                usize::try_from(*left).unwrap_or(LARGE).clamp(SMALL, LARGE)
            }
            Self::Chunks(_) => SMALL,
            Self::Close => LARGE,
        }
    }
}
