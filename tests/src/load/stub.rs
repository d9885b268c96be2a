//! An upstream that answers at once, late, or not at all.
//!
//! For the load programs, as monolith, service or shadow target. It says its name and the path that it was asked for, so
//! that a mix-up of sides or of answers shows in the body.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use clap::ValueEnum;

/// Bytes of a request's head at the most.
const LONGEST: usize = 64 * 1024;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Manner {
    /// It answers at once.
    Fine,
    /// It answers after ten seconds.
    Late,
    /// It closes the connection when a request has come, with bytes unread, so that the kernel resets it.
    Reset,
    /// It answers with bytes that are no HTTP, and closes the connection.
    Garbage,
    /// It announces 10 GiB, and sends for as long as somebody reads.
    Endless,
}

/// Listens on any port and answers on threads of its own, for as long as the process lives.
pub(super) fn start(name: &'static str, size: usize, manner: Manner) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who cannot be served for want of threads is closed; the router's answer shows it.
            let _spawned = std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || serve(stream, name, size, manner));
        }
    })?;
    Ok(address)
}

/// The body that a stub of this name gives for a path, padded to `size` bytes.
pub(super) fn body(name: &str, path: &str, size: usize) -> String {
    format!("{:x<size$}", format!("{name} {path} "))
}

fn serve(mut stream: TcpStream, name: &str, size: usize, manner: Manner) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if manner == Manner::Reset {
        // One byte is read and the others are left, which makes the close a reset.
        return stream.read_exact(&mut [0]);
    }
    let mut buffer = Vec::new();
    while let Some(path) = next_path(&mut stream, &mut buffer)? {
        match manner {
            Manner::Fine | Manner::Reset => {}
            Manner::Late => std::thread::sleep(Duration::from_secs(10)),
            Manner::Garbage => return stream.write_all(&[0xff; 4096]),
            Manner::Endless => return pour(&mut stream),
        }
        let body = body(name, &path, size);
        let kind = "content-type: text/plain";
        let length = body.len();
        stream.write_all(
            format!("HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
        )?;
    }
    Ok(())
}

fn pour(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n")?;
    let piece = vec![b'x'; 64 * 1024];
    loop {
        stream.write_all(&piece)?;
    }
}

/// The path of the next request, whose body has been read and dropped.
fn next_path(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<String>> {
    let mut piece = [0; 64 * 1024];
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end + 4);
            drop_body(stream, buffer, &head)?;
            return Ok(head.split(' ').nth(1).map(str::to_owned));
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            _ if buffer.len() > LONGEST => return Err(io::Error::other("the head is too long")),
            count => buffer.extend_from_slice(&piece[..count]),
        }
    }
}

/// Bodies come with their length here: the load programs' clients, curl and both proxies send it.
fn drop_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &str) -> io::Result<()> {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths
        .next()
        .and_then(|(_, value)| value.trim().parse::<u64>().ok())
        .unwrap_or(0);
    let here = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
    buffer.drain(..here);
    let mut left = stream.take(length - here as u64);
    match io::copy(&mut left, &mut io::sink())? == length - here as u64 {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
