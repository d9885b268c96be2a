//! One connection to an upstream.
//!
//! For the pool. hyper owns the stream and runs the protocol on a task of its own; the pool keeps a second handle, to ask
//! the kernel whether the other side has hung up before a request is entrusted to it that could not be sent again.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::body::RequestBody;
use crate::config::Upstream;

/// Upstreams may send longer heads than clients may.
const MAX_ANSWER_HEADERS: usize = 256;
/// How much of a message is held at a time, per direction; also the longest head of an answer.
const BUFFER: usize = 64 * 1024;

/// A connection on which requests can be sent, one at a time.
#[derive(Debug)]
pub struct Link {
    /// hyper's end of it.
    pub sender: SendRequest<RequestBody>,
    stream: Rc<RefCell<TcpStream>>,
    received: Rc<Cell<u64>>,
}

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens, or the name is not known.
    #[error("could not be reached: {0}")]
    Unreachable(#[from] io::Error),
    /// It took too long.
    #[error("did not accept a connection within {0:?}")]
    Timeout(Duration),
    /// The protocol could not begin.
    #[error("broke off at once: {0}")]
    Handshake(#[from] hyper::Error),
}

struct Stream {
    stream: Rc<RefCell<TcpStream>>,
    received: Rc<Cell<u64>>,
}

/// Opens a plain TCP connection.
pub async fn connect(upstream: &Upstream, limit: Duration) -> Result<TcpStream, ConnectError> {
    let connecting = TcpStream::connect((upstream.host.as_str(), upstream.port));
    let stream = tokio::time::timeout(limit, connecting)
        .await
        .map_err(|_| ConnectError::Timeout(limit))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Link {
    /// Opens a connection and starts its protocol task.
    pub async fn open(upstream: &Upstream, limit: Duration) -> Result<Self, ConnectError> {
        let stream = Rc::new(RefCell::new(connect(upstream, limit).await?));
        let received = Rc::new(Cell::new(0));
        let io = Stream {
            stream: Rc::clone(&stream),
            received: Rc::clone(&received),
        };
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_ANSWER_HEADERS)
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(io))
            .await?;
        tokio::task::spawn_local(async move {
            // How it ended is told to whoever waits for an answer; an idle connection may end as it likes.
            let _ended = connection.await;
        });
        Ok(Self {
            sender,
            stream,
            received,
        })
    }

    /// How many bytes have arrived on it so far.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether a request can be sent on it, as far as this side knows.
    pub fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether this side knows that it has ended.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks the kernel whether the other side has hung up. An idle connection has nothing to say, so anything that can be
    /// read, the end above all, means that it is of no use.
    pub fn is_alive(&self) -> bool {
        let stream = self.stream.borrow();
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&*stream).peek(&mut byte);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut *self.stream.borrow_mut()).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        self.received.set(self.received.get() + count as u64);
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            // Most requests are a head and nothing more, for which the plain call is the cheaper one.
            [head] => self.poll_write(context, head),
            _ => Pin::new(&mut *self.stream.borrow_mut()).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(context)
    }
}
