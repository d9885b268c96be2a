//! Collects the monolith's answer while it goes to the client.
//!
//! For [`crate::forward::answer`], through whose hands the pieces go. They are copied into a buffer of the capture's own, not
//! kept as they are: a piece of a few bytes can hold on to the whole read buffer that it was cut from.

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Draft, Reason, Space};
use crate::compare::Answer;
use crate::snapshot::Snapshot;
use crate::worker::Worker;

/// An answer that is being collected. If it is dropped before its end, that is counted.
#[derive(Debug)]
pub struct Capture {
    worker: Rc<Worker>,
    /// Absent once it has been offered or given up.
    going: Option<Going>,
    snapshot: Arc<Snapshot>,
    route: usize,
}

#[derive(Debug)]
struct Going {
    draft: Box<Draft>,
    status: u16,
    headers: http::HeaderMap,
    body: BytesMut,
    space: Space,
}

impl Capture {
    /// Begins with the head. Only what [`Worker::draw`] has drawn comes here, so there is a shadow.
    /// `announced` is the length of the body, as far as the head tells.
    pub fn begin(
        worker: Rc<Worker>,
        draft: Box<Draft>,
        (status, headers): (u16, http::HeaderMap),
        announced: Option<u64>,
    ) -> Self {
        let (route, snapshot, space) = (draft.route, Arc::clone(&draft.snapshot), worker.shadow.space());
        let mut capture = Self {
            going: Some(Going {
                draft,
                status,
                headers,
                body: BytesMut::new(),
                space,
            }),
            snapshot,
            route,
            worker,
        };
        // For the heads and what holds them.
        capture.take_room(1024);
        let announced = announced.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        capture.expect(announced);
        capture
    }

    /// Adds a piece of the body.
    pub fn piece(&mut self, piece: &Bytes) {
        let Some(going) = &self.going else { return };
        if going.body.capacity() - going.body.len() < piece.len() {
            self.expect(going.body.len() + piece.len());
        }
        if let Some(going) = &mut self.going {
            going.body.extend_from_slice(piece);
        }
    }

    /// The answer is complete.
    pub fn end(mut self) {
        let Some(going) = self.going.take() else { return };
        let answer = Answer {
            status: going.status,
            headers: going.headers,
            body: going.body.freeze(),
        };
        if let Err(reason) = self.worker.shadow.offer(going.draft, answer, going.space) {
            self.worker.drop_copy(&self.snapshot, self.route, reason);
        }
    }

    /// Makes room for a body of so many bytes in all. Grown by doubling, a buffer would be up to twice what it holds, so a
    /// length that was announced is taken at once.
    fn expect(&mut self, length: usize) {
        let Some(going) = &mut self.going else { return };
        if length > going.draft.snapshot.config.shadow.max_body {
            return self.give_up(Reason::TooLarge);
        }
        let before = going.body.capacity();
        going.body.reserve(length - going.body.len());
        let grown = going.body.capacity().saturating_sub(before);
        self.take_room(grown);
    }

    fn take_room(&mut self, bytes: usize) {
        let Some(going) = &mut self.going else { return };
        let limit = going.draft.snapshot.config.shadow.memory;
        if !going.space.take(bytes, limit) {
            self.give_up(Reason::NoRoom);
        }
    }

    fn give_up(&mut self, reason: Reason) {
        self.going = None;
        self.worker.drop_copy(&self.snapshot, self.route, reason);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if self.going.is_some() {
            self.give_up(Reason::Incomplete);
        }
    }
}
