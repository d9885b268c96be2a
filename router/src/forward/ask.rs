//! One question on one connection: the request goes out, the head of the answer comes in.
//!
//! For [`super::Forwarder`] and [`crate::upgrade`]. Both directions are looked after at once, since an upstream may answer
//! before it has the whole request, and may hang up on the rest of it with a good reason that is there to be read.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http02::StatusCode;
use tokio::sync::Notify;

use super::fields::AnswerFields;
use super::head::{self, Head, Malformed};
use super::incoming::{Framing, Incoming};
use super::link::{Link, SMALL};
use super::pool::Shelf;
use super::send::{Broken, Outbound, Sending};

/// Interim answers (RFC 9110, section 15.2) before the real one.
const MOST_INTERIM: usize = 16;

/// An upstream's answer, of which the head has been read.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its end-to-end fields.
    pub fields: AnswerFields,
    /// Its `Content-Length`. In answer to HEAD, and of a 304, it says what GET would have had.
    pub length: Option<u64>,
    /// How the upstream tells the end of the body.
    pub framing: Framing,
    /// The body.
    pub body: Incoming,
}

/// A request for whose answer we wait.
#[derive(Debug)]
pub struct Asking {
    link: Box<Link>,
    sending: Sending,
    is_sent: bool,
    /// The upstream has stopped taking the request; it may have said why.
    unwritten: Option<io::Error>,
    is_head: bool,
    go_on: Option<Rc<Notify>>,
    interim: usize,
    /// How much of a head has been looked at.
    seen: usize,
}

/// How a connection broke before there was an answer.
#[derive(Debug, thiserror::Error)]
pub enum Breach {
    /// The upstream hung up.
    #[error("the connection was closed before an answer")]
    Closed,
    /// The operating system says so.
    #[error(transparent)]
    Stream(#[from] io::Error),
    /// What came is no answer.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client did not send what it had announced.
    #[error("the client did not send the whole body")]
    Body,
}

impl Asking {
    /// Nothing is sent yet.
    pub fn new(link: Box<Link>, outbound: Outbound) -> Self {
        Self {
            link,
            sending: Sending::new(outbound.head, outbound.body),
            is_sent: false,
            unwritten: None,
            is_head: outbound.is_head,
            go_on: outbound.go_on,
            interim: 0,
            seen: 0,
        }
    }

    /// Sends, and waits for the head of the answer.
    pub async fn head(&mut self) -> Result<Head, Breach> {
        poll_fn(|context| self.poll(context)).await
    }

    /// Whether anything has come back.
    pub fn has_heard(&self) -> bool {
        self.link.has_heard
    }

    /// The request, if nothing of it has been sent.
    pub fn unsent(self) -> Option<Outbound> {
        let (is_head, go_on) = (self.is_head, self.go_on);
        self.sending.unsent().map(|(head, body)| Outbound {
            head,
            body,
            is_head,
            go_on,
        })
    }

    /// What has begun with this head. The connection goes to `shelf`, if there is one, when the answer has been read to its end.
    pub fn answer(self, head: Head, shelf: Option<Rc<Shelf>>) -> Answer {
        let shelf = shelf.filter(|_| head.keeps && self.unwritten.is_none());
        let sending = (!self.is_sent).then(|| Box::new(self.sending));
        Answer {
            status: head.status,
            fields: head.fields,
            length: head.length,
            framing: head.framing,
            body: Incoming::new(self.link, head.framing, shelf, sending),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, Breach>> {
        if !self.is_sent {
            match self.sending.poll(context, &mut self.link.stream) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.is_sent = true,
                Poll::Ready(Err(Broken::Body)) => return Poll::Ready(Err(Breach::Body)),
                Poll::Ready(Err(Broken::Stream(error))) => {
                    self.is_sent = true;
                    self.unwritten = Some(error);
                }
            }
        }
        loop {
            if !self.link.buffer.is_empty() {
                match head::take(&mut self.link.buffer, self.seen, self.is_head)? {
                    Some(head) if is_interim(&head) => {
                        self.note_interim(&head)?;
                        continue;
                    }
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => self.seen = self.link.buffer.len(),
                }
            }
            match ready!(self.link.poll_fill(context, SMALL)) {
                Ok(0) => {
                    return Poll::Ready(Err(self.unwritten.take().map_or(Breach::Closed, Breach::Stream)));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn note_interim(&mut self, head: &Head) -> Result<(), Malformed> {
        if let (StatusCode::CONTINUE, Some(go_on)) = (head.status, &self.go_on) {
            go_on.notify_one();
        }
        self.seen = 0;
        self.interim += 1;
        match self.interim > MOST_INTERIM {
            true => Err(Malformed::Interim),
            false => Ok(()),
        }
    }
}

/// Whether the real answer is still to come.
fn is_interim(head: &Head) -> bool {
    head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS
}
