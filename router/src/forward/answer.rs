//! An answer on its way to the client, and its body on the way there from the upstream.
//!
//! For the clients' ports, which ask for pieces as the client takes them. A body of known length keeps its
//! `Content-Length`. Otherwise it is sent in chunks, and its trailers with the last of them; to an HTTP/1.0 client it ends
//! with the connection. If the upstream breaks off, so does the answer: the connection is cut, and the client
//! cannot mistake a part for the whole.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use actix_http::error::PayloadError;
use bytes::{BufMut, Bytes, BytesMut};
use http_body::Frame;
use http02::StatusCode;

use super::fields::AnswerFields;
use super::incoming::{Framing, Incoming};
use crate::shadow::capture::Capture;
use crate::spans::trace::Trace;
use crate::watch::Turn;

/// An answer as a client gets it, by whichever version of HTTP.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its end-to-end fields.
    pub fields: AnswerFields,
    /// Whether an HTTP/1 connection ends with it.
    pub closes: bool,
    /// Its body, which knows its length.
    pub body: AnswerBody,
}

/// What the client is sent. Dropping it frees the client's connection for the next request.
#[derive(Debug)]
pub struct AnswerBody {
    content: Content,
    _turn: Option<Turn>,
    /// Present if the request is recorded, which ends with its answer.
    _trace: Option<Rc<Trace>>,
}

#[derive(Debug)]
enum Content {
    Nothing(BodySize),
    Whole(Bytes),
    Streamed(Streamed),
}

#[derive(Debug)]
struct Streamed {
    incoming: Incoming,
    framing: Framing,
    /// Present if the answer will be compared with the service's.
    capture: Option<Box<Capture>>,
    /// What remains to be written of a chunk: its data, then the end of its line.
    chunk: Option<Bytes>,
    must_end_line: bool,
    trailers: BytesMut,
    /// The upstream has said all.
    is_done: bool,
    /// The client has been told so.
    is_ended: bool,
}

impl AnswerBody {
    /// No body; `size` is what the head says of it, which for HEAD is what GET would have.
    pub fn nothing(size: BodySize, turn: Option<Turn>) -> Self {
        Self {
            content: Content::Nothing(size),
            _turn: turn,
            _trace: None,
        }
    }

    /// A body that is at hand.
    pub fn whole(bytes: Bytes, turn: Option<Turn>) -> Self {
        Self {
            content: Content::Whole(bytes),
            _turn: turn,
            _trace: None,
        }
    }

    /// The upstream's body as it comes in.
    pub fn streamed(incoming: Incoming, framing: Framing, turn: Option<Turn>) -> Self {
        let streamed = Streamed {
            incoming,
            framing,
            capture: None,
            chunk: None,
            must_end_line: false,
            trailers: BytesMut::new(),
            is_done: false,
            is_ended: false,
        };
        Self {
            content: Content::Streamed(streamed),
            _turn: turn,
            _trace: None,
        }
    }
}

impl AnswerBody {
    /// Lets the request's record last as long as this body.
    pub fn traced(self, trace: Rc<Trace>) -> Self {
        Self {
            _trace: Some(trace),
            ..self
        }
    }

    /// Lets the pieces be collected as they go by.
    pub fn capture(&mut self, capture: Capture) {
        match &mut self.content {
            Content::Streamed(streamed) => streamed.capture = Some(Box::new(capture)),
            Content::Nothing(_) | Content::Whole(_) => capture.end(),
        }
    }

    /// How its end is told, if it is the upstream's.
    pub fn framing(&self) -> Option<Framing> {
        match &self.content {
            Content::Streamed(streamed) => Some(streamed.framing),
            Content::Nothing(_) | Content::Whole(_) => None,
        }
    }
}

impl MessageBody for AnswerBody {
    type Error = PayloadError;

    fn size(&self) -> BodySize {
        match &self.content {
            Content::Nothing(size) => *size,
            Content::Whole(bytes) => BodySize::Sized(bytes.len() as u64),
            Content::Streamed(streamed) => match streamed.framing {
                Framing::Length(length) => BodySize::Sized(length),
                Framing::Chunked | Framing::Close => BodySize::Stream,
            },
        }
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, PayloadError>>> {
        match &mut self.content {
            Content::Nothing(_) => Poll::Ready(None),
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Content::Streamed(streamed) => streamed.poll_next(context),
        }
    }
}

/// The same without framing, for HTTP/2, which has its own.
impl AnswerBody {
    /// The next piece of data, or the trailers.
    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.content {
            Content::Nothing(_) => Poll::Ready(None),
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Streamed(streamed) => streamed.poll_frame(context),
        }
    }

    /// Whether there is nothing more to come, as far as can be told.
    pub fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Nothing(_) => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Streamed(streamed) => streamed.is_done,
        }
    }
}

impl Streamed {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        if let Some(data) = self.chunk.take() {
            return Poll::Ready(Some(Ok(data)));
        }
        // At once and not with the next chunk, since some clients wait for it before they look at the data.
        if std::mem::take(&mut self.must_end_line) {
            return Poll::Ready(Some(Ok(Bytes::from_static(b"\r\n"))));
        }
        match std::task::ready!(self.poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Poll::Ready(Some(Ok(self.framed(data)))),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        write_fields(&trailers, &mut self.trailers);
                    }
                    self.poll_next(context)
                }
            },
            Some(Err(error)) => Poll::Ready(Some(Err(PayloadError::Io(error)))),
            None if self.framing == Framing::Chunked && !self.is_ended => {
                self.is_ended = true;
                Poll::Ready(Some(Ok(self.last_chunk())))
            }
            None => Poll::Ready(None),
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        while !self.is_done {
            match std::task::ready!(self.incoming.poll_frame(context)) {
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(data) if data.is_empty() => {}
                    data => {
                        if let (Some(capture), Some(data)) = (&mut self.capture, data) {
                            capture.piece(data);
                        }
                        return Poll::Ready(Some(Ok(frame)));
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.is_done = true;
                    if let Some(capture) = self.capture.take() {
                        capture.end();
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    fn framed(&mut self, data: Bytes) -> Bytes {
        if self.framing != Framing::Chunked {
            return data;
        }
        let size = format!("{:x}\r\n", data.len());
        self.chunk = Some(data);
        self.must_end_line = true;
        size.into()
    }

    fn last_chunk(&mut self) -> Bytes {
        let mut end = BytesMut::with_capacity(self.trailers.len() + 8);
        end.put_slice(b"0\r\n");
        end.put_slice(&self.trailers);
        end.put_slice(b"\r\n");
        end.freeze()
    }
}

fn write_fields(fields: &http::HeaderMap, text: &mut BytesMut) {
    for (name, value) in fields {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
}
