//! One connection to an upstream.
//!
//! For the pool and for [`super::Forwarder`]. A link is a socket and the bytes that have been read from it and not been
//! understood yet; [`super::send`] writes to it, [`super::head`] and [`super::incoming`] make sense of what comes back.
//! Nobody waits on an idle link: whether the other side has hung up meanwhile is asked when it is taken.

use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::config::Address;

/// Room for a head and the beginning of a body, which is all of most answers.
pub const SMALL: usize = 4 * 1024;
/// How much of a long body is read at a time; also the longest head of an answer.
pub const LARGE: usize = 64 * 1024;

/// A connection on which requests can be sent, one at a time.
#[derive(Debug)]
pub struct Link {
    /// The socket.
    pub stream: TcpStream,
    /// What has been read and not been taken.
    pub buffer: BytesMut,
    /// Whether anything has arrived since the request was begun.
    pub has_heard: bool,
    /// Whether the buffer has grown for a long body.
    is_grown: bool,
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
}

impl Link {
    /// Opens a plain TCP connection.
    pub async fn open(address: &Address, limit: Duration) -> Result<Box<Self>, ConnectError> {
        let connecting = TcpStream::connect((address.host.as_str(), address.port));
        let stream = tokio::time::timeout(limit, connecting)
            .await
            .map_err(|_| ConnectError::Timeout(limit))??;
        stream.set_nodelay(true)?;
        Ok(Box::new(Self {
            stream,
            buffer: BytesMut::new(),
            has_heard: false,
            is_grown: false,
        }))
    }

    /// Reads what is there; 0 is the end. `room` is how much is expected.
    pub fn poll_fill(&mut self, context: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        // Pieces hold on to the buffer that they were cut from, so it is used up before there is a new one.
        if self.buffer.capacity() - self.buffer.len() < SMALL {
            let room = if self.is_grown { LARGE } else { room };
            self.buffer.reserve(room);
            self.is_grown |= room > SMALL;
        }
        let polled = pin!(self.stream.read_buf(&mut self.buffer)).poll(context);
        if let Poll::Ready(Ok(1..)) = &polled {
            self.has_heard = true;
        }
        polled
    }

    /// Makes it ready to be idle, and tells whether it can be: what the last answer left behind belongs to nobody.
    pub fn rest(&mut self) -> bool {
        if self.is_grown {
            self.buffer = BytesMut::new();
            self.is_grown = false;
        }
        self.has_heard = false;
        self.buffer.is_empty()
    }

    /// Whether the other side has hung up, as far as can be told. An idle connection has nothing to say, so anything that
    /// can be read, the end above all, means that it is of no use. The runtime knows of news without asking the kernel;
    /// what it knows is looked at in the kernel, and with `must_live` the kernel is asked in any case.
    pub fn is_alive(&self, must_live: bool) -> bool {
        let has_news = self
            .stream
            .poll_read_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready();
        if !has_news && !must_live {
            return true;
        }
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&self.stream).peek(&mut byte);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
