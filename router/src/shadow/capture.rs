//! Collects the monolith's answer while it goes to the client.
//!
//! For [`crate::forward::answer`], through whose hands the pieces go. They are copied into a buffer of the capture's own, not
//! kept as they are: a piece of a few bytes can hold on to the whole read buffer that it was cut from.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::{Collected, Draft, Place, Reason, packed};
use crate::forward::ask::Answer;
use crate::forward::incoming::Framing;
use crate::worker::Worker;

/// What a copy takes up besides the answer's text: the heads, and what holds them.
const AROUND: usize = 1024;

/// An answer that is being collected. If it is dropped before its end, that is counted.
#[derive(Debug)]
pub struct Capture {
    worker: Rc<Worker>,
    /// Absent once it has been offered or given up.
    going: Option<Going>,
}

#[derive(Debug)]
struct Going {
    draft: Box<Draft>,
    status: u16,
    /// The fields of the head, and what has come of the body.
    text: BytesMut,
    /// Where the body begins.
    head: usize,
    place: Place,
}

impl Capture {
    /// Begins with the head. Only what [`Worker::draw`] has drawn comes here, so there is a shadow.
    pub fn begin(worker: Rc<Worker>, draft: Box<Draft>, answer: &Answer) -> Self {
        // The config may name the length as one of the fields that are compared.
        let mut number = itoa::Buffer::new();
        let said = answer.length.map(|length| number.format(length).as_bytes());
        let fields = || {
            answer
                .fields
                .iter()
                .chain(said.map(|said| ("content-length", said)))
        };
        let lengths = fields().map(|(name, value)| packed::length(name, value));
        let (length, place) = (lengths.sum(), worker.shadow.place());
        let mut capture = Self {
            going: Some(Going {
                draft,
                status: answer.status.as_u16(),
                text: BytesMut::new(),
                head: length,
                place,
            }),
            worker,
        };
        let announced = match answer.framing {
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            Framing::Chunked | Framing::Close => 0,
        };
        capture.expect(announced, AROUND);
        if let Some(going) = &mut capture.going {
            for (name, value) in fields() {
                packed::put(&mut going.text, name, value);
            }
        }
        capture
    }

    /// Adds a piece of the body.
    pub fn piece(&mut self, piece: &Bytes) {
        let Some(going) = &self.going else { return };
        if going.text.capacity() - going.text.len() < piece.len() {
            self.expect(going.text.len() - going.head + piece.len(), 0);
        }
        if let Some(going) = &mut self.going {
            going.text.extend_from_slice(piece);
        }
    }

    /// The answer is complete.
    pub fn end(mut self) {
        let Some(going) = self.going.take() else { return };
        let collected = Collected {
            status: going.status,
            text: going.text.freeze(),
            head: going.head,
        };
        if let Err((reason, draft)) = self.worker.shadow.offer(going.draft, collected, going.place) {
            self.worker.drop_copy(&draft.snapshot, draft.route, reason);
        }
    }

    /// Makes room for a body of so many bytes in all. Grown by doubling, a buffer would be up to twice what it holds, so a
    /// length that was announced is taken at once. `around` is what is taken besides.
    fn expect(&mut self, length: usize, around: usize) {
        let Some(going) = &mut self.going else { return };
        let settings = &going.draft.snapshot.config.shadow;
        if length > settings.max_body {
            return self.give_up(Reason::TooLarge);
        }
        let before = going.text.capacity();
        going.text.reserve(going.head + length - going.text.len());
        let grown = going.text.capacity().saturating_sub(before);
        if !going.place.take(grown + around, settings.memory) {
            self.give_up(Reason::NoRoom);
        }
    }

    fn give_up(&mut self, reason: Reason) {
        if let Some(going) = self.going.take() {
            self.worker
                .drop_copy(&going.draft.snapshot, going.draft.route, reason);
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if self.going.is_some() {
            self.give_up(Reason::Incomplete);
        }
    }
}
