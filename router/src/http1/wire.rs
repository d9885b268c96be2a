//! A client's connection and what has been read from it.
//!
//! For [`super`]. Every byte passes by [`crate::strict`]: what cannot be read in one way only is kept back, the requests
//! before it are served, and then the client is told why. The body of a request is read when the upstream wants it, so a
//! slow upstream slows the client down and nothing is collected.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::Shared;
use super::request::{self, Follows, Parsed};
use crate::carrier::Carrier;
use crate::forward::chunks::{Chunks, Taken};
use crate::forward::link::{LARGE, SMALL};
use crate::problem::Kind;
use crate::strict::{Follower, Refusal};
use crate::watch::Connection;

/// A client's connection.
#[derive(Debug)]
pub struct Wire {
    /// Absent once it has been closed or handed on.
    carrier: Option<Carrier>,
    connection: Rc<Connection>,
    follower: Follower,
    /// What has been read, may be taken, and has not been.
    input: BytesMut,
    /// How much of the head at its front has been looked at.
    seen: usize,
    body: Body,
    /// The client has closed its side in the middle of a body.
    is_gone: bool,
}

/// What is left of the body of the current request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Done,
    Length(u64),
    Chunks(Chunks),
}

/// The body of the current request, for the exchange.
pub struct WireBody(Shared);

impl Wire {
    /// Nothing has been read. `max_head` is the longest head of a request, in bytes.
    pub fn new(carrier: Carrier, connection: Rc<Connection>, max_head: usize) -> Self {
        Self {
            carrier: Some(carrier),
            connection,
            follower: Follower::new(max_head),
            input: BytesMut::new(),
            seen: 0,
            body: Body::Done,
            is_gone: false,
        }
    }

    /// What is known of it.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// The next request's head, if it is there.
    pub fn take_head(&mut self) -> Result<Option<Parsed>, Refusal> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let taken = request::take(&mut self.input, self.seen)?;
        self.seen = match taken {
            Some(_) => 0,
            None => self.input.len(),
        };
        if taken.is_none() {
            self.connection.waits_for_head(!self.input.is_empty());
        }
        Ok(taken)
    }

    /// Why nothing more is read, if that is so.
    pub fn refusal(&self) -> Option<Refusal> {
        let timeout = Refusal {
            kind: Kind::RequestTimeout,
            detail: "the head of the request took too long",
        };
        let is_slow = self.connection.is_slow().then_some(timeout);
        self.connection.refusal().or(is_slow)
    }

    /// Whether nobody would miss it: it is between two requests, and is to be closed when it is.
    pub fn may_leave(&self) -> bool {
        self.input.is_empty() && !self.follower.is_in_head() && self.connection.is_leaving()
    }

    /// Reads what there is; 0 is the end, or that nothing more may be read.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.connection.check()?;
        self.connection.park(context);
        let Some(carrier) = self.carrier.as_mut().filter(|_| !self.connection.is_ending()) else {
            return Poll::Ready(Ok(0));
        };
        let before = self.input.len();
        let polled = if self.input.is_empty() && self.body == Body::Done {
            poll_head(carrier, &mut self.input, context)?
        } else if carrier.poll_read_ready(context)?.is_pending() {
            Poll::Pending
        } else {
            if self.input.capacity() - before < SMALL {
                let room = match self.body {
                    Body::Length(left) | Body::Chunks(Chunks::Data(left)) => left,
                    Body::Done | Body::Chunks(_) => 0,
                };
                let room = usize::try_from(room).unwrap_or(LARGE).clamp(SMALL, LARGE);
                self.input.reserve(room);
            }
            pin!(carrier.read_buf(&mut self.input)).poll(context)?
        };
        let Poll::Ready(count) = polled else {
            return self.rest();
        };
        if count > 0 {
            self.connection.heard();
            if let Err(stop) = self.follower.follow(&self.input[before..]) {
                self.input.truncate(before + stop.keep);
                self.connection.end(stop.refusal);
            }
        }
        Poll::Ready(Ok(self.input.len() - before))
    }

    /// It may be a while until there is more: an idle connection holds no buffer.
    fn rest<T>(&mut self) -> Poll<T> {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Poll::Pending
    }

    /// Listens to a client that waits for its answer: ready, with the reason, when it does so no longer. If that is
    /// put off, it only sees to it that it is woken.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if let Err(error) = self.connection.check() {
            return Poll::Ready(error);
        }
        if self.is_gone {
            return Poll::Ready(io::ErrorKind::ConnectionAborted.into());
        }
        self.connection.park(context);
        if !self.connection.listens() {
            return Poll::Pending;
        }
        // A body is read when it is wanted; of further requests only so much.
        while self.body == Body::Done && self.input.len() < SMALL && !self.connection.is_ending() {
            match ready!(self.poll_fill(context)) {
                Ok(0) if self.connection.is_ending() => break,
                // A client that closes its sending side cannot be told from one that has gone.
                Ok(0) => return Poll::Ready(io::ErrorKind::ConnectionAborted.into()),
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }

    /// A head has been taken, behind which this follows.
    pub fn begin_body(&mut self, follows: Follows) {
        self.body = match follows {
            Follows::Nothing | Follows::Anything => Body::Done,
            Follows::Length(length) => Body::Length(length),
            Follows::Chunks => Body::Chunks(Chunks::Size),
        };
    }

    /// Whether the request has been read to its end. What nobody wants of it and is there is thrown away.
    pub fn is_read(&mut self, is_wanted: bool) -> bool {
        while !is_wanted && matches!(self.take_piece(), Ok(Some(_))) {}
        self.body == Body::Done
    }

    /// Whether something has been read that will not be answered.
    pub fn has_more(&self) -> bool {
        self.body != Body::Done || !self.input.is_empty() || self.connection.is_ending()
    }

    /// The connection, to write to.
    pub fn carrier(&mut self) -> io::Result<&mut Carrier> {
        self.carrier.as_mut().ok_or(io::ErrorKind::NotConnected.into())
    }

    /// Gives up the connection as it is, with what has been read of it.
    pub fn leave_http(&mut self) -> io::Result<(Carrier, BytesMut)> {
        let carrier = self.carrier.take().ok_or(io::ErrorKind::NotConnected)?;
        Ok((carrier, std::mem::take(&mut self.input)))
    }

    /// Closes it, whoever may still hold on to the body.
    pub fn close(&mut self) {
        self.carrier = None;
        self.input = BytesMut::new();
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        loop {
            match self.take_piece() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if self.body == Body::Done => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(self.poll_fill(context)) {
                Ok(0) if self.connection.is_ending() => {
                    return Poll::Ready(Some(Err(PayloadError::EncodingCorrupted)));
                }
                // The exchange is over, and what is left of it asks for more.
                Ok(0) if self.carrier.is_none() => {
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
                }
                Ok(0) => {
                    // There is nobody left to answer: whoever listens to the client drops the exchange.
                    self.is_gone = true;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// The next piece of the body that is there.
    fn take_piece(&mut self) -> Result<Option<Bytes>, PayloadError> {
        match &mut self.body {
            Body::Done => Ok(None),
            _ if self.input.is_empty() => Ok(None),
            Body::Length(left) => {
                let count = (*left).min(self.input.len() as u64);
                *left -= count;
                if *left == 0 {
                    self.body = Body::Done;
                }
                Ok(Some(self.input.split_to(count as usize).freeze()))
            }
            Body::Chunks(chunks) => match chunks.take(&mut self.input) {
                Ok(Taken::Data(data)) => Ok(Some(data)),
                Ok(Taken::Nothing) => Ok(None),
                // Trailers of a request are dropped, so a length among them means nothing.
                Ok(Taken::End(_)) => {
                    self.body = Body::Done;
                    Ok(None)
                }
                Err(_) => Err(PayloadError::EncodingCorrupted),
            },
        }
    }
}

/// Reads the beginning of a head into a buffer of its length. Nearly always it is the whole, and its fields keep the buffer for as long
/// as the exchange goes on.
fn poll_head(
    carrier: &mut Carrier,
    input: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = [const { MaybeUninit::uninit() }; SMALL];
    let mut read = ReadBuf::uninit(&mut room);
    ready!(Pin::new(carrier).poll_read(context, &mut read))?;
    *input = BytesMut::from(read.filled());
    Poll::Ready(Ok(input.len()))
}

impl WireBody {
    /// The body that has just begun.
    pub fn new(wire: &Shared) -> Self {
        Self(Rc::clone(wire))
    }
}

impl Stream for WireBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_body(context)
    }
}
