//! The body of a write, kept so that it can be sent a second time.
//!
//! For [`super::write`]. A body is kept up to a limit of its own and as long as all kept bodies of the module together have room. One that
//! is not kept flows on behind what was taken in, and is sent once.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_http::error::PayloadError;
use bytes::{Bytes, BytesMut};

use crate::forward::body::RequestBody;
use crate::problem::{Kind, Problem};

/// Room for the kept bodies of a module, in bytes.
#[derive(Debug)]
pub(crate) struct Room(Arc<AtomicUsize>);

/// What one body takes of it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    left: Arc<AtomicUsize>,
    taken: usize,
}

/// A body that has been taken in, as far as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// What is sent first.
    pub(super) first: RequestBody,
    /// The same once more.
    pub(super) again: Again,
    /// Held for as long as the body may be needed.
    pub(super) share: Share,
}

/// Whether there is a second body.
#[derive(Debug)]
pub(super) enum Again {
    /// There is.
    Body(RequestBody),
    /// It is longer than bodies are kept.
    TooLong,
    /// There was no room left for it.
    NoRoom,
}

impl Room {
    /// So many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    fn share(&self) -> Share {
        Share {
            left: Arc::clone(&self.0),
            taken: 0,
        }
    }
}

impl Share {
    /// Takes more, if there is so much.
    fn grow(&mut self, more: usize) -> bool {
        let take = |left: usize| left.checked_sub(more);
        let took = self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok();
        self.taken += if took { more } else { 0 };
        took
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.left.fetch_add(self.taken, Ordering::AcqRel);
    }
}

/// Takes in a body of `most` bytes or less; what is longer flows on behind what was taken.
pub(super) async fn keep(mut body: RequestBody, most: usize, room: &Room) -> Result<Kept, Problem> {
    let mut share = room.share();
    if matches!(body, RequestBody::Empty) {
        return Ok(Kept {
            first: RequestBody::Empty,
            again: Again::Body(RequestBody::Empty),
            share,
        });
    }
    let is_chunked = body.is_chunked();
    let mut bytes = BytesMut::new();
    loop {
        let piece = match poll_fn(|context| body.poll_piece(context)).await {
            None => return Ok(whole(bytes.freeze(), is_chunked, share)),
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Err(broken_off(&body, &error)),
        };
        bytes.extend_from_slice(&piece);
        let again = match bytes.len() <= most {
            true if share.grow(piece.len()) => continue,
            true => Again::NoRoom,
            false => Again::TooLong,
        };
        return Ok(Kept {
            first: RequestBody::begun(bytes.freeze(), body),
            again,
            share,
        });
    }
}

fn whole(bytes: Bytes, is_chunked: bool, share: Share) -> Kept {
    Kept {
        first: RequestBody::kept(bytes.clone(), is_chunked),
        again: Again::Body(RequestBody::kept(bytes, is_chunked)),
        share,
    }
}

fn broken_off(body: &RequestBody, error: &PayloadError) -> Problem {
    match body.too_long_for() {
        Some(most) => Problem::content_too_large(most),
        None => Problem::new(
            Kind::BadRequest,
            format!("the body ended before it was complete: {error}"),
        ),
    }
}
