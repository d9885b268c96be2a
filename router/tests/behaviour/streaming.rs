//! Bodies pass piece by piece: bounded memory, back-pressure, and an end on one side is an end on the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::support::router::config;
use crate::support::upstream::Wire;
use crate::support::{Router, Upstream, soon, until};

const GIB: u64 = 1 << 30;
const PIECE: usize = 256 * 1024;

async fn before(upstream: &Upstream) -> Router {
    Router::start(&config("", upstream.address, upstream.address, ""))
}

/// Reads `length` bytes and forgets them.
async fn swallow(stream: &mut tokio::net::TcpStream, mut length: u64) {
    let mut piece = vec![0; PIECE];
    while length > 0 {
        let count = stream.read(&mut piece).await.unwrap();
        assert_ne!(count, 0, "the stream ended {length} bytes too early");
        length -= count as u64;
    }
}

async fn pour(stream: &mut tokio::net::TcpStream, length: u64) {
    let piece = vec![b'x'; PIECE];
    for _ in 0..length / PIECE as u64 {
        stream.write_all(&piece).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_each_way_leaves_memory_alone() {
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        while let Ok(request) = wire.head().await {
            if request.method == "PUT" {
                swallow(&mut wire.stream, GIB - wire.buffer.len() as u64).await;
                wire.buffer.clear();
                wire.stream
                    .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                    .await
                    .unwrap();
            } else {
                wire.stream
                    .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n").as_bytes())
                    .await
                    .unwrap();
                pour(&mut wire.stream, GIB).await;
            }
        }
    })
    .await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    client
        .send("PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nx: warm\r\n\r\n")
        .await;
    drop(client);
    // Opening the state database takes memory as well, once.
    until("the state database", || async {
        router.ask_admin("/config").await.1["state_database"] == "ready"
    })
    .await;
    let resting = router.memory("VmRSS");
    let mut client = router.connect().await;
    client
        .send(format!(
            "PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: {GIB}\r\n\r\n"
        ))
        .await;
    pour(&mut client.stream, GIB).await;
    assert_eq!(client.answer().await.status, 204);
    client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.stream.read_u8().await.unwrap());
    }
    swallow(&mut client.stream, GIB).await;
    // The highest it has ever been.
    let grown = router.memory("VmHWM").saturating_sub(resting);
    println!("memory grew by {grown} KiB over {resting} KiB");
    assert!(grown < 32 * 1024, "memory grew by {grown} KiB");
}

#[tokio::test]
async fn a_slow_reader_slows_the_writer_down() {
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    let upstream = Upstream::serving(move |stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            let mut wire = Wire::new(stream);
            wire.head().await.unwrap();
            wire.stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await
                .unwrap();
            let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            while wire.stream.write_all(&chunk).await.is_ok() {
                counter.fetch_add(0x10000, Ordering::Relaxed);
            }
        }
    })
    .await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // The client reads nothing: the upstream must come to a halt once all buffers are full.
    let mut last = 0;
    until("the upstream to halt", || {
        let (now, before) = (written.load(Ordering::Relaxed), last);
        last = now;
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            now > 0 && now == before
        }
    })
    .await;
    assert!(
        last < 64 << 20,
        "{last} bytes were taken for a client that reads none"
    );
    assert!(router.memory("VmRSS") < 128 << 10);
}

/// An upstream that tells when a request has arrived, and when its connection has been closed by the other side.
async fn watching(answer_first: bool) -> (Upstream, Arc<Notify>, Arc<Notify>) {
    let (arrived, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (heard, notify) = (Arc::clone(&arrived), Arc::clone(&closed));
    let upstream = Upstream::serving(move |stream, _| {
        let (heard, notify) = (Arc::clone(&heard), Arc::clone(&notify));
        async move {
            let mut wire = Wire::new(stream);
            wire.head().await.unwrap();
            heard.notify_one();
            if answer_first {
                wire.stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nsome")
                    .await
                    .unwrap();
            }
            let mut rest = vec![0; PIECE];
            while matches!(wire.stream.read(&mut rest).await, Ok(1..)) {}
            notify.notify_one();
        }
    })
    .await;
    (upstream, arrived, closed)
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_upstreams_request() {
    // While it waits for an answer, while it takes one, while it sends a body.
    for (answer_first, request) in [
        (false, "GET /a HTTP/1.1\r\nhost: a\r\n\r\n"),
        (true, "GET /a HTTP/1.1\r\nhost: a\r\n\r\n"),
        (
            false,
            "PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\npart",
        ),
        (
            false,
            "PUT /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
        ),
        (
            false,
            "PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n",
        ),
    ] {
        let (upstream, arrived, closed) = watching(answer_first).await;
        let router = before(&upstream).await;
        let mut client = router.connect().await;
        client.send(request).await;
        // The request must have come through, or there is nothing to cancel.
        soon("the request to arrive", arrived.notified()).await;
        if answer_first {
            client.stream.readable().await.unwrap();
        }
        let left = Instant::now();
        drop(client);
        soon("the upstream's connection to be closed", closed.notified()).await;
        assert!(
            left.elapsed() < Duration::from_secs(2),
            "{request}: cancelled after {:?}",
            left.elapsed()
        );
    }
}

#[tokio::test]
async fn an_upstream_that_dies_in_the_middle_cuts_the_client_off() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nsome",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n",
    ] {
        let upstream = Upstream::serving(move |stream, _| async move {
            let mut wire = Wire::new(stream);
            wire.head().await.unwrap();
            wire.stream.write_all(head.as_bytes()).await.unwrap();
        })
        .await;
        let router = before(&upstream).await;
        let mut client = router.connect().await;
        client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert!(!answer.is_whole, "{head}: a part was passed off as the whole");
        assert_eq!(client.rest().await, b"");
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_has_gone() {
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        wire.head().await.unwrap();
        wire.stream
            .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
            .await
            .unwrap();
        let mut rest = vec![0; PIECE];
        while matches!(wire.stream.read(&mut rest).await, Ok(1..)) {}
    })
    .await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    client
        .send("PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\nbegin")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    // The rest of the body was never wanted, so the connection cannot go on.
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn pieces_pass_as_they_come() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let upstream = Upstream::serving(move |stream, _| {
        let wait = Arc::clone(&wait);
        async move {
            let mut wire = Wire::new(stream);
            wire.head().await.unwrap();
            wire.stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
                .await
                .unwrap();
            wait.notified().await;
            wire.stream.write_all(b"data: 2\n\n").await.unwrap();
        }
    })
    .await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut seen = Vec::new();
    soon("the first event", async {
        while !seen.ends_with(b"data: 1\n\n") && !seen.ends_with(b"data: 1\n\n\r\n") {
            client.stream.read_buf(&mut seen).await.unwrap();
        }
    })
    .await;
    go.notify_one();
    soon("the second event and the end", async {
        while !seen.ends_with(b"data: 2\n\n\r\n0\r\n\r\n") {
            client.stream.read_buf(&mut seen).await.unwrap();
        }
    })
    .await;
}
