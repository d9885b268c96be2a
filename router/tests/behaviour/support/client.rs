//! A client that sends what it is told, byte for byte, and shows what comes back.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order of arrival.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The trailers, if the body came in chunks.
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body came to its proper end.
    pub(crate) is_whole: bool,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(soon("a connection", TcpStream::connect(address)).await.unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a request without a body. `head` is the request line and headers, lines separated by `\n`.
    pub(crate) async fn request(&mut self, head: &str) -> Answer {
        let is_head = head.starts_with("HEAD ");
        self.send(format!("{}\r\n\r\n", head.replace('\n', "\r\n"))).await;
        self.answer_to(is_head).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\nhost: shop.test"))
            .await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to(false).await
    }

    pub(crate) async fn answer_to(&mut self, is_head: bool) -> Answer {
        soon(
            "an answer",
            read_answer(&mut self.stream, &mut self.buffer, is_head),
        )
        .await
        .unwrap()
    }

    /// The head of the next answer as it came, without its blank line.
    pub(crate) async fn head(&mut self) -> String {
        let head = read_head(&mut self.stream, &mut self.buffer);
        soon("the head of an answer", head).await.unwrap()
    }

    /// An answer, or how the connection ended before one.
    pub(crate) async fn try_answer(&mut self) -> std::io::Result<Answer> {
        soon(
            "an answer or the end",
            read_answer(&mut self.stream, &mut self.buffer, false),
        )
        .await
    }

    /// Waits until the other side has closed, and says what came before that.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        // A reset is an end as well.
        let _ended = soon("the end", self.stream.read_to_end(&mut rest)).await;
        rest
    }
}

impl Answer {
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

    pub(crate) fn served_by(&self) -> &str {
        self.header("x-served-by")
            .expect("every answer says who served it")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `type` of a problem.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        problem["type"].as_str().unwrap().to_owned()
    }
}

/// Reads until a blank line; the bytes after it stay in the buffer.
pub(crate) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> std::io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            let head = std::mem::replace(buffer, rest);
            return Ok(String::from_utf8_lossy(&head[..end]).into_owned());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

pub(crate) fn fields(lines: &str) -> Vec<(String, String)> {
    let fields = lines.split("\r\n").filter_map(|line| line.split_once(':'));
    fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>, is_head: bool) -> std::io::Result<Answer> {
    let head = read_head(stream, buffer).await?;
    let (line, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer {
        status,
        headers: fields(rest),
        body: Vec::new(),
        trailers: Vec::new(),
        is_whole: true,
    };
    if is_head || status / 100 == 1 || matches!(status, 204 | 304) {
        return Ok(answer);
    }
    if answer.header("transfer-encoding") == Some("chunked") {
        match read_chunks(stream, buffer).await {
            Ok((body, trailers)) => (answer.body, answer.trailers) = (body, trailers),
            Err(_) => answer.is_whole = false,
        }
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
                answer.is_whole = false;
                break;
            }
        }
        let rest = buffer.split_off(length.min(buffer.len()));
        answer.body = std::mem::replace(buffer, rest);
    } else {
        stream.read_to_end(buffer).await?;
        answer.body = std::mem::take(buffer);
    }
    Ok(answer)
}

type Chunked = (Vec<u8>, Vec<(String, String)>);

/// Reads a chunked body, from either side.
pub(crate) async fn read_chunks(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> std::io::Result<Chunked> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream, buffer).await?;
        let size = usize::from_str_radix(line.split(';').next().unwrap(), 16)
            .map_err(|_| std::io::Error::other(format!("bad chunk size {line:?}")))?;
        if size == 0 {
            let mut trailers = String::new();
            loop {
                match read_line(stream, buffer).await?.as_str() {
                    "" => return Ok((body, fields(&trailers))),
                    line => trailers.push_str(&format!("{line}\r\n")),
                }
            }
        }
        while buffer.len() < size + 2 {
            if stream.read_buf(buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        body.extend_from_slice(&buffer[..size]);
        assert_eq!(&buffer[size..size + 2], b"\r\n");
        buffer.drain(..size + 2);
    }
}

async fn read_line(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> std::io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") {
            let rest = buffer.split_off(end + 2);
            let line = std::mem::replace(buffer, rest);
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
