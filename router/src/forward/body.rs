//! The body of a request on its way from the client to the upstream.
//!
//! For [`super::send`], which asks for one piece at a time. Nothing is collected: actix stops reading from the client once 32 KiB wait
//! to be taken, so a slow upstream slows the client down and memory stays bounded.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_http::Payload;
use actix_http::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

use crate::clock::Clock;

/// What the upstream is sent.
#[derive(Debug)]
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// What the client sends.
    Client(ClientBody),
    /// What the client has sent, kept so that it can be sent again.
    Kept {
        /// All of it; empty once it has been taken.
        bytes: Bytes,
        /// Whether the client did not say its length.
        is_chunked: bool,
    },
    /// The beginning of what the client sends, and the rest.
    Begun {
        /// The beginning; empty once it has been taken.
        bytes: Bytes,
        /// What comes behind it.
        rest: Box<RequestBody>,
    },
}

/// A client's body.
#[derive(Debug)]
pub struct ClientBody {
    source: Source,
    /// What is left of the declared length.
    left: Option<u64>,
    /// The limit of its length.
    most: Option<u64>,
    taken: u64,
    progress: Rc<Progress>,
}

enum Source {
    Open(Payload),
    /// The client waits for `100 Continue` before it sends.
    Gated(Rc<Gate>),
}

/// Where the body will be handed in once the client has been told to go on.
#[derive(Default)]
pub struct Gate {
    payload: RefCell<Option<Payload>>,
    is_abandoned: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// How far a body has come.
#[derive(Debug)]
pub struct Progress {
    clock: Clock,
    last: Cell<u64>,
    is_waiting: Cell<bool>,
    has_failed: Cell<bool>,
    too_long_for: Cell<Option<u64>>,
}

impl ClientBody {
    /// A body that flows.
    pub fn open(payload: Payload, length: Option<u64>, clock: &Clock) -> Self {
        Self {
            source: Source::Open(payload),
            left: length,
            most: None,
            taken: 0,
            progress: Progress::new(clock),
        }
    }

    /// A body that starts to flow once the gate is opened.
    pub fn gated(gate: &Rc<Gate>, length: Option<u64>, clock: &Clock) -> Self {
        Self {
            source: Source::Gated(Rc::clone(gate)),
            left: length,
            most: None,
            taken: 0,
            progress: Progress::new(clock),
        }
    }

    /// The same, but of a limited length.
    pub fn at_most(mut self, most: Option<u64>) -> Self {
        self.most = most;
        self
    }

    /// How far it has come.
    pub fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }
}

impl Gate {
    /// Lets the body flow.
    pub fn open(&self, payload: Payload) {
        *self.payload.borrow_mut() = Some(payload);
        self.wake();
    }

    /// The body will not come, unless it already has.
    pub fn abandon(&self) {
        self.is_abandoned.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Progress {
    fn new(clock: &Clock) -> Rc<Self> {
        Rc::new(Self {
            clock: clock.clone(),
            last: Cell::new(clock.now()),
            is_waiting: Cell::new(false),
            has_failed: Cell::new(false),
            too_long_for: Cell::new(None),
        })
    }

    /// When the last piece was taken.
    pub fn last(&self) -> u64 {
        self.last.get()
    }

    /// Whether the upstream would take more, but the client has not sent it.
    pub fn is_waiting_for_client(&self) -> bool {
        self.is_waiting.get()
    }

    /// The limit, if the body is longer.
    pub fn too_long_for(&self) -> Option<u64> {
        self.too_long_for.get()
    }

    /// Whether the client broke off.
    pub fn has_client_failed(&self) -> bool {
        self.has_failed.get()
    }
}

impl RequestBody {
    /// The next piece; `None` is the end.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Client(body) => body.poll_piece(context),
            Self::Kept { bytes, .. } | Self::Begun { bytes, .. } if !bytes.is_empty() => {
                Poll::Ready(Some(Ok(std::mem::take(bytes))))
            }
            Self::Kept { .. } => Poll::Ready(None),
            Self::Begun { rest, .. } => rest.poll_piece(context),
        }
    }

    /// A body that was taken in whole.
    pub fn kept(bytes: Bytes, is_chunked: bool) -> Self {
        Self::Kept { bytes, is_chunked }
    }

    /// A body of which the beginning was taken in.
    pub fn begun(bytes: Bytes, rest: Self) -> Self {
        Self::Begun {
            bytes,
            rest: Box::new(rest),
        }
    }

    /// How far what the client sends has come, if it still sends.
    pub fn progress(&self) -> Option<Rc<Progress>> {
        match self {
            Self::Client(body) => Some(Rc::clone(body.progress())),
            Self::Begun { rest, .. } => rest.progress(),
            Self::Empty | Self::Kept { .. } => None,
        }
    }

    /// The limit, if it is longer.
    pub fn too_long_for(&self) -> Option<u64> {
        self.progress()?.too_long_for()
    }

    /// Whether its length is not known beforehand.
    pub fn is_chunked(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Client(body) => body.left.is_none(),
            Self::Kept { is_chunked, .. } => *is_chunked,
            Self::Begun { rest, .. } => rest.is_chunked(),
        }
    }
}

impl ClientBody {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        if let Source::Gated(gate) = &self.source {
            let payload = gate.payload.borrow_mut().take();
            match payload {
                Some(payload) => self.source = Source::Open(payload),
                None if gate.is_abandoned.get() => {
                    return Poll::Ready(Some(Err(PayloadError::Incomplete(None))));
                }
                None => {
                    *gate.waker.borrow_mut() = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        let Source::Open(payload) = &mut self.source else {
            return Poll::Pending;
        };
        let polled = Pin::new(payload).poll_next(context);
        self.progress.is_waiting.set(polled.is_pending());
        match &polled {
            Poll::Ready(Some(Ok(piece))) => {
                self.progress.last.set(self.progress.clock.now());
                self.taken += piece.len() as u64;
                let length = piece.len() as u64;
                match self.left.map(|left| left.checked_sub(length)) {
                    // More than was declared would be taken for the next request.
                    Some(None) => return self.fail(PayloadError::EncodingCorrupted),
                    left => self.left = left.flatten(),
                }
                if let Some(most) = self.most.filter(|most| self.taken > *most) {
                    self.progress.too_long_for.set(Some(most));
                    return self.fail(PayloadError::Overflow);
                }
            }
            Poll::Ready(Some(Err(_))) => self.progress.has_failed.set(true),
            Poll::Ready(None) if self.left.is_some_and(|left| left > 0) => {
                return self.fail(PayloadError::Incomplete(None));
            }
            _ => {}
        }
        polled
    }

    fn fail(&self, error: PayloadError) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.progress.has_failed.set(true);
        Poll::Ready(Some(Err(error)))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::Gated(_) => "Gated",
        })
    }
}
