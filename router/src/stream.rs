//! A client's connection as the HTTP server below sees it: what cannot be read in one way only is kept from it, and what it
//! answers by itself is dressed.
//!
//! For the server. Every byte passes by [`crate::strict`]. If that stops, the messages before are served, nothing of the
//! refused one is let through, and the server below is told that the client has finished. When it then closes the
//! connection, the client is told why before that. If the body of a request turns out to be broken while the request is
//! being forwarded, it ends for the upstream without its proper end.
//!
//! actix answers other malformed requests (400), long heads (431) and slow ones (408) before any service is called, with an
//! empty body and without our headers. Such an answer can be told by its place, since no request has been handed to us
//! since the last answer was written, and is replaced on its way out.
//!
//! A client that closes its side while it waits for an answer counts as gone, and the read fails, which ends the exchange.
//!
//! After a refusal the connection is closed in two steps: first our side only, then what the client still sends is read and
//! thrown away for a moment. Closing at once would make the kernel send a reset, which may overtake the answer.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::carrier::Carrier;
use crate::problem::{Kind, MEDIA_TYPE, Problem};
use crate::strict::{Follower, Refusal};
use crate::watch::Connection;

/// The connection as actix sees it.
#[derive(Debug)]
pub struct ClientStream {
    stream: Carrier,
    connection: Rc<Connection>,
    follower: Follower,
    refused: Option<Refused>,
    /// Our words in the place of actix's, not yet written.
    instead: Vec<u8>,
    has_told: bool,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    refusal: Refusal,
    in_body: bool,
}

impl ClientStream {
    /// Takes a connection that is under watch. `max_head` is the longest head of a request, in bytes.
    pub(crate) fn new(stream: Carrier, connection: Rc<Connection>, max_head: usize) -> Self {
        Self {
            stream,
            connection,
            follower: Follower::new(max_head),
            refused: None,
            instead: Vec::new(),
            has_told: false,
        }
    }

    /// What is known of it.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Keeps back what must not be let through. `None` if there is nothing left to hand on.
    fn judge(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> Option<()> {
        let Err(stop) = self.follower.follow(&buffer.filled()[before..]) else {
            return Some(());
        };
        buffer.set_filled(before + stop.keep);
        self.refused = Some(Refused {
            refusal: stop.refusal,
            in_body: stop.in_body,
        });
        self.connection.end(stop.refusal);
        (stop.keep > 0).then_some(())
    }

    /// The end, once there is nothing left to serve; at once if it is the body of a request that is broken.
    fn poll_end(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        let is_body = self.refused.is_some_and(|refused| refused.in_body);
        if is_body || self.connection.has_served(self.follower.heads()) {
            return Poll::Ready(Ok(()));
        }
        self.connection.park(context);
        Poll::Pending
    }

    /// Whether the client waits for an answer.
    fn is_waiting(&self) -> bool {
        !self.follower.is_free() && !self.connection.has_served(self.follower.heads())
    }

    /// Says why the client is refused, unless it has been told or is in the middle of an answer.
    fn tell(&mut self) {
        let is_answered = |refused: Refused| {
            refused.in_body
                && self.connection.has_begun(self.follower.heads())
                && self.connection.has_spoken()
        };
        if let Some(refused) = self.refused
            && !self.has_told
            && !is_answered(refused)
        {
            self.has_told = true;
            self.instead = refusal(refused.refusal.kind, refused.refusal.detail);
        }
    }

    /// Where an answer of actix's own begins in what is to be written: at the start if no request waits for an answer, else
    /// perhaps behind the end of the last one.
    fn own_answer(&self, bytes: &[u8]) -> Option<usize> {
        if self.connection.is_fresh() {
            return (!bytes.is_empty()).then_some(0);
        }
        // Nothing more than was served has been let through, or something is still being served.
        let is_answer = !self.follower.is_in_head() && self.connection.has_begun(self.follower.heads());
        if is_answer || self.connection.is_serving() {
            return None;
        }
        let at = memchr::memmem::rfind(bytes, b"HTTP/1.1 4")?;
        let head = &bytes[at..];
        let is_bare = head.ends_with(b"\r\n\r\n") && memchr::memmem::find(head, b"x-served-by").is_none();
        (is_bare && memchr::memmem::find(head, b"content-length: 0\r\n").is_some()).then_some(at)
    }

    /// Writes what is left of our own words.
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.instead) {
                Poll::Ready(Ok(count)) => drop(self.instead.drain(..count)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.connection.park(context);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes our own words in the place of so many bytes, and ends the connection, which is not kept after them.
    fn poll_told(&mut self, context: &mut Context<'_>, instead_of: usize) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        ready!(self.poll_linger(context))?;
        Poll::Ready(Ok(instead_of))
    }

    /// Reads and throws away, until the client has closed its side or the watch cuts the connection.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.linger();
        let mut scratch = [0; 4096];
        loop {
            self.connection.check()?;
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => {
                    self.connection.park(context);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                // However it ended, there is nobody left to tell.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.check()?;
        if self.connection.is_ending() {
            return self.poll_end(context);
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &polled {
            Poll::Pending => self.connection.park(context),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.connection.heard();
                if self.judge(buffer, before).is_none() {
                    return self.poll_end(context);
                }
            }
            Poll::Ready(Ok(())) if self.is_waiting() => {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Poll::Ready(_) => {}
        }
        polled
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.check()?;
        if self.has_told {
            return self.poll_told(context, bytes.len());
        }
        if let Some(at) = self.own_answer(bytes) {
            // Whole answers of actix's own fit its buffer, so this is all of it.
            self.instead = bytes[..at].to_vec();
            self.instead.extend(dressed(&bytes[at..]));
            self.has_told = true;
            return self.poll_told(context, bytes.len());
        }
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        match &polled {
            Poll::Pending => self.connection.park(context),
            Poll::Ready(Ok(count)) => {
                let is_final = !bytes.starts_with(b"HTTP/1.1 100");
                self.connection.wrote(is_final, *count == bytes.len());
            }
            Poll::Ready(Err(_)) => {}
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tell();
        if self.has_told || self.connection.is_ending() {
            return self.poll_told(context, 0).map_ok(drop);
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Our own answer in the place of one that actix gave by itself.
fn dressed(answer: &[u8]) -> Vec<u8> {
    match answer.get(9..12).unwrap_or_default() {
        b"400" => refusal(Kind::BadRequest, "the request is not well-formed HTTP/1.1"),
        b"408" => refusal(Kind::RequestTimeout, "the head of the request took too long"),
        b"431" => refusal(
            Kind::HeaderTooLarge,
            "the head of the request is longer than the router takes",
        ),
        _ => answer.to_vec(),
    }
}

/// The whole answer to a request that never became one.
fn refusal(kind: Kind, detail: &str) -> Vec<u8> {
    let problem = Problem::new(kind, detail);
    let (status, body) = (problem.kind.status(), problem.body(None));
    let mut head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\
         x-served-by: router\r\nx-served-why: refused=malformed\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    )
    .into_bytes();
    head.extend_from_slice(&body);
    head
}
