//! One connection to an upstream.
//!
//! For the pool and for [`super::Forwarder`]. A link is a socket and the bytes that have been read from it and not been
//! understood yet; [`super::send`] writes to it, [`super::head`] and [`super::incoming`] make sense of what comes back.
//! Nobody waits on an idle link: whether the other side has hung up meanwhile is asked when it is taken.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;

use crate::config::Address;

/// Room for a head and the beginning of a body, which is all of most answers.
pub const SMALL: usize = 4 * 1024;
/// How much of a long body is read at a time; also the longest head of an answer.
pub const LARGE: usize = 64 * 1024;

thread_local! {
    /// The buffer that was read into last: what fits into the processor's nearest cache is read into again, by one link after the other,
    /// and a link that waits or rests holds none.
    static SPARE: Cell<BytesMut> = Cell::default();
}

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
        if self.buffer.capacity() == 0 {
            self.buffer = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        // Pieces hold on to the buffer that they were cut from, so it is used up before there is a new one.
        if self.buffer.capacity() - self.buffer.len() < SMALL {
            let room = if self.is_grown { LARGE } else { room };
            self.buffer.reserve(room);
            self.is_grown |= room > SMALL;
        }
        let polled = pin!(self.stream.read_buf(&mut self.buffer)).poll(context);
        match &polled {
            Poll::Ready(Ok(1..)) => self.has_heard = true,
            Poll::Pending => self.lend(),
            Poll::Ready(_) => {}
        }
        polled
    }

    /// Leaves a buffer without a byte in it to whichever link reads next.
    fn lend(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 && !self.is_grown {
            // When the thread ends there may be no spare any more, and no need of one.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.buffer)));
        }
    }

    /// Makes it ready to be idle, and tells whether it can be: what the last answer left behind belongs to nobody.
    pub fn rest(&mut self) -> bool {
        if self.is_grown {
            self.buffer = BytesMut::new();
            self.is_grown = false;
        }
        self.has_heard = false;
        self.lend();
        self.buffer.is_empty()
    }

    /// Whether the other side has hung up, as far as can be told. An idle connection has nothing to say, so anything that
    /// can be read, the end above all, means that it is of no use. The runtime knows of news without asking the kernel;
    /// what it knows is looked at in the kernel, and with `must_live` the kernel is asked in any case.
    pub fn is_alive(&self, must_live: bool) -> bool {
        let has_news = self.stream.try_io(Interest::READABLE, || Ok(())).is_ok();
        if !has_news && !must_live {
            return true;
        }
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&self.stream).peek(&mut byte);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use bytes::Buf;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair(listener: &TcpListener) -> (Box<Link>, TcpStream) {
        let port = listener.local_addr().unwrap().port();
        let address = Address {
            host: "127.0.0.1".to_owned(),
            port,
            authority: format!("127.0.0.1:{port}"),
        };
        let link = Link::open(&address, Duration::from_secs(5)).await.unwrap();
        (link, listener.accept().await.unwrap().0)
    }

    async fn heard(link: &mut Link, from: &mut TcpStream, text: &[u8]) -> *const u8 {
        // Nothing is there yet.
        assert!(
            link.poll_fill(&mut Context::from_waker(Waker::noop()), SMALL)
                .is_pending()
        );
        assert_eq!(link.buffer.capacity(), 0, "a link that waits holds a buffer");
        from.write_all(text).await.unwrap();
        while link.buffer.len() < text.len() {
            assert!(poll_fn(|context| link.poll_fill(context, SMALL)).await.unwrap() > 0);
        }
        assert_eq!(link.buffer, text);
        link.buffer.as_ptr()
    }

    #[tokio::test]
    async fn links_read_into_one_buffer_by_turns_and_each_its_own_bytes() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (mut one, mut to_one) = pair(&listener).await;
        let (mut other, mut to_other) = pair(&listener).await;
        let first = heard(&mut one, &mut to_one, b"one").await;
        // While that is not taken, the other has a buffer of its own.
        let second = heard(&mut other, &mut to_other, b"other").await;
        assert_ne!(first, second);
        assert!(!one.rest(), "it has something that belongs to nobody");
        // A piece that somebody keeps stays what it is, whoever reads next.
        let kept = other.buffer.split_to(5).freeze();
        assert!(other.rest());
        assert_eq!(other.buffer.capacity(), 0);
        one.buffer.advance(3);
        assert!(one.rest());
        heard(&mut other, &mut to_other, b"again").await;
        assert_eq!((&kept[..], &other.buffer[..]), (&b"other"[..], &b"again"[..]));
    }
}
