//! An answer on its way to the client.
//!
//! For [`super`] and [`crate::upgrade`]. Small pieces are put together with the head and go out in one call, large ones are
//! written from where they are. While there is nothing to write, the client is listened to.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use actix_http::ConnectionType;
use actix_http::body::{BodySize, MessageBody};
use bytes::{Buf, BufMut, Bytes};
use http02::{StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::Shared;
use super::request::Parsed;
use super::wire::Wire;
use crate::forward::answer::{AnswerBody, Reply};
use crate::forward::incoming::Framing;
use crate::problem::{MEDIA_TYPE, Problem};
use crate::strict::Refusal;

/// Pieces up to this length are copied behind what stands before them.
const SMALL_PIECE: usize = 4 * 1024;
/// How much is put together before it is written.
const ENOUGH: usize = 16 * 1024;

/// What matters of a request when it is answered.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    version: Version,
    keeps: bool,
}

/// What is to be written.
struct Output {
    /// The head, and small pieces.
    text: Vec<u8>,
    /// How much of that has been written.
    written: usize,
    /// A large piece behind it.
    piece: Bytes,
}

thread_local! {
    /// Where the last answer was put together, for the next: most are written in one call, one after the other.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Client {
    /// Who has sent a request.
    pub fn of(parsed: &Parsed) -> Self {
        let head = parsed.request.head();
        Self {
            version: head.version,
            keeps: head.connection_type() != ConnectionType::Close,
        }
    }

    /// The same, but the connection ends with the answer.
    pub fn at_last(self) -> Self {
        Self { keeps: false, ..self }
    }
}

/// Writes an answer. Whether the connection can go on after it.
pub async fn answer(wire: &Shared, reply: Reply, client: Client) -> io::Result<bool> {
    // What of a request nobody has read stands between its answer and the next request.
    let is_read = wire.borrow_mut().is_read(Rc::strong_count(wire) > 1);
    let keeps = client.keeps && !reply.closes && is_read && !wire.borrow().connection().is_parting();
    let mut output = Output::open();
    write_head(&reply, client.version, keeps, &mut output.text);
    // The body may go on for hours.
    drop(reply.fields);
    let mut body = pin!(reply.body);
    let mut ended = None;
    poll_fn(|context| {
        loop {
            let is_waiting = ended.is_none() && output.poll_take(context, body.as_mut(), &mut ended);
            if !output.is_empty() {
                ready!(output.poll_write(context, &mut wire.borrow_mut()))?;
            } else if is_waiting {
                return wire.borrow_mut().poll_gone(context).map(Err);
            } else if let Some(ended) = ended.take() {
                return Poll::Ready(ended);
            }
        }
    })
    .await?;
    Ok(keeps)
}

impl Output {
    fn open() -> Self {
        let mut text = SPARE.try_with(Cell::take).unwrap_or_default();
        text.clear();
        text.reserve(1024 + SMALL_PIECE);
        Self {
            text,
            written: 0,
            piece: Bytes::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.written == self.text.len() && self.piece.is_empty()
    }

    /// Takes pieces while there is room. Whether the body has no more for now; `ended` tells how it ended.
    fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        mut body: Pin<&mut AnswerBody>,
        ended: &mut Option<io::Result<()>>,
    ) -> bool {
        if self.is_empty() {
            self.text.clear();
            self.written = 0;
        }
        while self.piece.is_empty() && self.text.len() < ENOUGH {
            match body.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(piece))) if piece.len() <= SMALL_PIECE => {
                    self.text.extend_from_slice(&piece);
                }
                Poll::Ready(Some(Ok(piece))) => self.piece = piece,
                Poll::Ready(Some(Err(error))) => {
                    *ended = Some(Err(io::Error::other(error)));
                    return false;
                }
                Poll::Ready(None) => {
                    *ended = Some(Ok(()));
                    return false;
                }
                Poll::Pending => return true,
            }
        }
        false
    }

    fn poll_write(&mut self, context: &mut Context<'_>, wire: &mut Wire) -> Poll<io::Result<()>> {
        wire.connection().check()?;
        wire.connection().park(context);
        let carrier = Pin::new(wire.carrier()?);
        let text = &self.text[self.written..];
        let written = match self.piece.is_empty() {
            true => ready!(carrier.poll_write(context, text))?,
            false => {
                let slices = [text, &self.piece[..]].map(IoSlice::new);
                ready!(carrier.poll_write_vectored(context, &slices))?
            }
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_text = written.min(text.len());
        self.written += of_text;
        self.piece.advance(written - of_text);
        wire.connection().wrote();
        match self.is_empty() {
            // What is encrypted may still wait to be sent.
            true => Pin::new(wire.carrier()?).poll_flush(context),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.text.capacity() <= 2 * ENOUGH {
            // When the thread ends there may be no spare any more, and no need of one.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.text)));
        }
    }
}

/// Lets the client send its body.
pub async fn go_on(wire: &Shared) -> io::Result<()> {
    write_all(wire, &b"HTTP/1.1 100 Continue\r\n\r\n"[..]).await
}

/// Tells a client why its request is none, and hangs up.
pub async fn refuse(wire: &Shared, refusal: Refusal) -> io::Result<()> {
    wire.borrow().connection().end(refusal);
    wire.borrow().connection().linger();
    write_all(wire, &refusal_text(refusal)[..]).await?;
    hang_up(wire).await
}

async fn write_all(wire: &Shared, text: &[u8]) -> io::Result<()> {
    let mut output = Output::open();
    output.text.extend_from_slice(text);
    while !output.is_empty() {
        poll_fn(|context| output.poll_write(context, &mut wire.borrow_mut())).await?;
    }
    Ok(())
}

/// Ends a connection: our side at once, the client's when it has had a moment to read what it was told.
pub async fn hang_up(wire: &Shared) -> io::Result<()> {
    let lingers = wire.borrow().has_more();
    poll_fn(|context| Pin::new(wire.borrow_mut().carrier()?).poll_shutdown(context)).await?;
    if !lingers {
        return Ok(());
    }
    let mut scratch = [0; 1024];
    poll_fn(|context| {
        let mut wire = wire.borrow_mut();
        wire.connection().linger();
        loop {
            wire.connection().check()?;
            wire.connection().park(context);
            // However it ended, there is nobody left to tell.
            match ready!(pin!(wire.carrier()?.read(&mut scratch)).poll(context)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}

fn write_head(reply: &Reply, version: Version, keeps: bool, text: &mut Vec<u8>) {
    let (status, fields) = (reply.status, &reply.fields);
    let is_http11 = version == Version::HTTP_11;
    text.put_slice(if is_http11 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    text.put_slice(status.as_str().as_bytes());
    text.put_u8(b' ');
    text.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    text.put_slice(b"\r\n");
    match reply.body.size() {
        BodySize::Sized(length) if status != StatusCode::NO_CONTENT => {
            text.put_slice(b"content-length: ");
            text.put_slice(itoa::Buffer::new().format(length).as_bytes());
            text.put_slice(b"\r\n");
        }
        _ if reply.body.framing() == Some(Framing::Chunked) => {
            text.put_slice(b"transfer-encoding: chunked\r\n");
        }
        _ => {}
    }
    match (is_http11, keeps) {
        (true, false) => text.put_slice(b"connection: close\r\n"),
        (false, true) => text.put_slice(b"connection: keep-alive\r\n"),
        _ => {}
    }
    text.put_slice(fields.as_lines());
    if !fields.is_dated() {
        let date = httpdate::fmt_http_date(SystemTime::now());
        text.extend_from_slice(format!("date: {date}\r\n").as_bytes());
    }
    text.extend_from_slice(b"\r\n");
}

/// The whole answer to a request that never became one.
fn refusal_text(refusal: Refusal) -> Vec<u8> {
    let problem = Problem::new(refusal.kind, refusal.detail);
    let (status, body) = (problem.kind.status(), problem.body(None));
    let mut text = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\
         x-served-by: router\r\nx-served-why: refused=malformed\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    )
    .into_bytes();
    text.extend_from_slice(&body);
    text
}
