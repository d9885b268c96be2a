//! A client's connection under watch: stalled ones are cut, and what the HTTP server below answers by itself is dressed.
//!
//! For the server. actix limits the time for the head of the *first* request of a connection only, and knows no limit for a
//! body that stands still. So each connection notes when it last moved (a number written, no timer armed), and once per
//! [`TICK`] each worker looks over its connections. A cut connection fails its next read or write, which ends the
//! dispatcher and with it the upstream's request.
//!
//! actix also answers malformed requests (400), long heads (431) and slow ones (408) before any service is called, with an
//! empty body and without our headers. Such an answer can be told by its place, since no request has been handed to us
//! since the last answer was written, and is replaced on its way out.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::clock::{Clock, TICK};
use crate::config::Settings;
use crate::origin::Origin;
use crate::problem::{Kind, MEDIA_TYPE, Problem};

/// All connections of a worker.
#[derive(Debug)]
pub struct Watch {
    clock: Clock,
    connections: RefCell<Vec<Weak<Connection>>>,
}

/// What is known of one connection.
#[derive(Debug)]
pub struct Connection {
    clock: Clock,
    /// A request is being served.
    serving: Cell<bool>,
    /// No request has been handed over since the last answer was written whole.
    fresh: Cell<bool>,
    /// When the first byte of a head arrived that is not complete yet.
    head_since: Cell<Option<u64>>,
    last_moved: Cell<u64>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    origin: RefCell<Option<Rc<Origin>>>,
}

/// Held while a request is served, to the last byte of its answer.
#[derive(Debug)]
pub struct Turn(Rc<Connection>);

/// The connection as actix sees it.
#[derive(Debug)]
pub struct ClientStream {
    stream: TcpStream,
    connection: Rc<Connection>,
    /// Our words in the place of actix's, not yet written.
    instead: Vec<u8>,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            connections: RefCell::default(),
        }
    }

    /// Takes a new connection under watch.
    pub fn over(&self, stream: TcpStream) -> ClientStream {
        let connection = Rc::new(Connection {
            clock: self.clock.clone(),
            serving: Cell::new(false),
            fresh: Cell::new(true),
            head_since: Cell::new(None),
            last_moved: Cell::new(self.clock.now()),
            cut: Cell::new(false),
            waker: RefCell::default(),
            origin: RefCell::default(),
        });
        self.connections.borrow_mut().push(Rc::downgrade(&connection));
        ClientStream {
            stream,
            connection,
            instead: Vec::new(),
        }
    }

    /// Forgets closed connections and cuts stalled ones.
    pub fn look_over(&self, settings: &Settings) {
        // Waiting for an upstream's answer is standing still too, and has its own, more telling limit.
        let idle = settings
            .idle_timeout
            .max(settings.response_timeout + settings.connect_timeout)
            + 4 * TICK;
        self.connections.borrow_mut().retain(|connection| {
            let Some(connection) = connection.upgrade() else {
                return false;
            };
            let head_since = connection.head_since.get();
            let is_slow =
                head_since.is_some_and(|then| self.clock.is_past(then, settings.header_timeout + TICK));
            let is_stuck = connection.serving.get() && self.clock.is_past(connection.last_moved.get(), idle);
            if is_slow || is_stuck {
                connection.cut();
            }
            true
        });
    }
}

impl Connection {
    /// Begins to serve a request.
    pub fn begin(self: &Rc<Self>) -> Turn {
        self.serving.set(true);
        self.fresh.set(false);
        self.head_since.set(None);
        self.last_moved.set(self.clock.now());
        Turn(Rc::clone(self))
    }

    /// The origin of a request on this connection.
    pub fn origin(&self, peer: IpAddr, host: Option<&str>) -> Result<Rc<Origin>, &'static str> {
        let mut last = self.origin.borrow_mut();
        match last
            .as_ref()
            .filter(|last| last.peer == peer && last.host.as_deref() == host)
        {
            Some(last) => Ok(Rc::clone(last)),
            None => Ok(Rc::clone(last.insert(Rc::new(Origin::new(peer, host)?)))),
        }
    }

    fn moved(&self) {
        self.last_moved.set(self.clock.now());
    }

    fn heard(&self) {
        self.moved();
        if !self.serving.get() && self.head_since.get().is_none() {
            self.head_since.set(Some(self.clock.now()));
        }
    }

    fn cut(&self) {
        self.cut.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn park(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.get() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client stood still for too long",
            ));
        }
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.serving.set(false);
        self.0.moved();
    }
}

impl ClientStream {
    /// What is known of it.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
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
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.check()?;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &polled {
            Poll::Pending => self.connection.park(context),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => self.connection.heard(),
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
        if self.connection.fresh.get() && !bytes.is_empty() {
            // Whole answers of actix's own fit its buffer, so this is all of it.
            self.instead = dressed(bytes);
            if let Poll::Ready(Err(error)) = self.poll_instead(context) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        match &polled {
            Poll::Pending => self.connection.park(context),
            Poll::Ready(Ok(count)) => {
                self.connection.moved();
                if *count == bytes.len() && !self.connection.serving.get() {
                    self.connection.fresh.set(true);
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Our own answer in the place of one that actix gave by itself.
fn dressed(answer: &[u8]) -> Vec<u8> {
    let status = answer.get(9..12).unwrap_or_default();
    let problem = match status {
        b"400" => Problem::new(Kind::BadRequest, "the request is not well-formed HTTP/1.1"),
        b"408" => Problem::new(Kind::RequestTimeout, "the head of the request took too long"),
        b"431" => Problem::new(
            Kind::HeaderTooLarge,
            "the head of the request is longer than the router takes",
        ),
        _ => return answer.to_vec(),
    };
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
