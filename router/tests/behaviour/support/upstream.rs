//! Upstreams that record what they get and answer what they are told.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::client::{fields, read_chunks, read_head};

/// A listening upstream. It stops when dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    accepting: JoinHandle<()>,
}

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which of the upstream's connections it came on.
    pub(crate) connection: usize,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

impl Upstream {
    /// Says its name to every request.
    pub(crate) async fn named(name: &'static str) -> Self {
        Self::answering(move |_| ok(name)).await
    }

    /// Answers every request with the bytes that the function makes, and keeps connections open.
    pub(crate) async fn answering(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&received));
        let mut upstream = Self::serving(move |stream, connection| {
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
            async move {
                let mut wire = Wire {
                    stream,
                    buffer: Vec::new(),
                    connection,
                };
                while let Ok(request) = wire.request().await {
                    let bytes = answer(&request);
                    log.lock().unwrap().push(request);
                    if wire.stream.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
            }
        })
        .await;
        upstream.received = received;
        upstream
    }

    /// Hands every connection to the function.
    pub(crate) async fn serving<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream, usize) -> F + Send + 'static,
    ) -> Self {
        Self::serving_at("127.0.0.1:0".parse().unwrap(), serve).await
    }

    pub(crate) async fn serving_at<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        serve: impl Fn(TcpStream, usize) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            // Connections end with the upstream, as they do when its process is killed.
            let mut serving = tokio::task::JoinSet::new();
            let mut count = 0;
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                serving.spawn(serve(stream, count));
                count += 1;
            }
        });
        Self {
            address,
            received: Arc::default(),
            accepting,
        }
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Received {
        self.received().pop().expect("the upstream has received nothing")
    }

    /// Stops at once, as if killed, and waits until the port is free.
    pub(crate) async fn kill(mut self) -> SocketAddr {
        self.accepting.abort();
        let _aborted = (&mut self.accepting).await;
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An upstream's end of a connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
    pub(crate) connection: usize,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            connection: 0,
        }
    }

    /// The head of the next request.
    pub(crate) async fn head(&mut self) -> std::io::Result<Received> {
        let head = read_head(&mut self.stream, &mut self.buffer).await?;
        let (line, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        Ok(Received {
            method,
            target,
            headers: fields(rest),
            body: Vec::new(),
            connection: self.connection,
        })
    }

    /// The next request with its body.
    pub(crate) async fn request(&mut self) -> std::io::Result<Received> {
        let mut request = self.head().await?;
        if request.header("transfer-encoding") == Some("chunked") {
            request.body = read_chunks(&mut self.stream, &mut self.buffer).await?.0;
        } else if let Some(length) = request.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            let rest = self.buffer.split_off(length);
            request.body = std::mem::replace(&mut self.buffer, rest);
        }
        Ok(request)
    }
}

/// A plain answer.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
