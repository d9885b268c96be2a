//! A request on its way to an upstream.
//!
//! For [`super::Forwarder`]. The head is text already ([`Outbound`]); the body follows piece by piece as the client sends
//! it, by its length or in chunks (RFC 9112, sections 6.2 and 7.1). Nothing is collected but one piece at a time, so a slow
//! upstream slows the client down.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::body::RequestBody;

/// A request as it will be sent.
#[derive(Debug)]
pub struct Outbound {
    /// Request line and fields, with the blank line.
    pub head: BytesMut,
    /// What follows.
    pub body: RequestBody,
    /// Whether it asks for a head only.
    pub is_head: bool,
    /// Who is told when the upstream says `100 Continue`.
    pub go_on: Option<Rc<Notify>>,
}

/// What is left to be sent of a request.
#[derive(Debug)]
pub struct Sending {
    /// The head, or what stands between two pieces of the body.
    frame: BytesMut,
    piece: Bytes,
    /// What ends a chunk.
    tail: &'static [u8],
    body: RequestBody,
    is_chunked: bool,
    /// The body has been taken to its end.
    is_whole: bool,
    /// Something of it has reached the kernel.
    pub has_begun: bool,
}

/// Why a request cannot be sent to its end.
#[derive(Debug)]
pub enum Broken {
    /// The client has not sent all of the body, or too much.
    Body,
    /// The upstream does not take it.
    Stream(io::Error),
}

impl Sending {
    /// Begins with nothing sent.
    pub fn new(head: BytesMut, body: RequestBody) -> Self {
        Self {
            frame: head,
            piece: Bytes::new(),
            tail: b"",
            is_chunked: body.is_chunked(),
            is_whole: matches!(body, RequestBody::Empty),
            body,
            has_begun: false,
        }
    }

    /// What may be sent on another connection, if nothing has been sent on this one.
    pub fn unsent(self) -> Option<(BytesMut, RequestBody)> {
        (!self.has_begun && self.piece.is_empty()).then_some((self.frame, self.body))
    }

    /// Sends as much as goes; ready when all has been sent.
    pub fn poll(&mut self, context: &mut Context<'_>, stream: &mut TcpStream) -> Poll<Result<(), Broken>> {
        loop {
            // A piece that is there goes with what stands before it.
            let waiting = match self.piece.is_empty() && self.tail.is_empty() && !self.is_whole {
                true => self.poll_piece(context)?.is_pending(),
                false => false,
            };
            while !(self.frame.is_empty() && self.piece.is_empty() && self.tail.is_empty()) {
                ready!(self.poll_write(context, stream)).map_err(Broken::Stream)?;
            }
            match (self.is_whole, waiting) {
                (true, _) => return Poll::Ready(Ok(())),
                (false, true) => return Poll::Pending,
                (false, false) => {}
            }
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            match ready!(self.body.poll_piece(context)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    if self.is_chunked {
                        self.frame
                            .extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                        self.tail = b"\r\n";
                    }
                    self.piece = piece;
                    return Poll::Ready(Ok(()));
                }
                Some(Err(_)) => return Poll::Ready(Err(Broken::Body)),
                None => {
                    if self.is_chunked {
                        self.frame.extend_from_slice(b"0\r\n\r\n");
                    }
                    self.is_whole = true;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, stream: &mut TcpStream) -> Poll<io::Result<()>> {
        let stream = Pin::new(stream);
        let written = match self.piece.is_empty() && self.tail.is_empty() {
            // Most requests are a head and nothing more, for which the plain call is the cheaper one.
            true => ready!(stream.poll_write(context, &self.frame))?,
            false => {
                let slices = [&self.frame[..], &self.piece[..], self.tail].map(IoSlice::new);
                ready!(stream.poll_write_vectored(context, &slices))?
            }
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.has_begun = true;
        let (frame, rest) = split(written, self.frame.len());
        let (piece, tail) = split(rest, self.piece.len());
        self.frame.advance(frame);
        self.piece.advance(piece);
        self.tail = &self.tail[tail..];
        Poll::Ready(Ok(()))
    }
}

fn split(count: usize, at: usize) -> (usize, usize) {
    (count.min(at), count.saturating_sub(at))
}
