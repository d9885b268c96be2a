//! HTTP/2: the same exchanges, told in frames.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::secure::{ask, before, request, text, with_body};
use crate::support::upstream::{Wire, ok};
use crate::support::{Received, Router, Upstream, soon, until};

#[tokio::test]
async fn requests_by_http_2_arrive_as_by_http_1_1() {
    let upstream = Upstream::named("ok").await;
    let (router, pair) = before(&upstream, "");
    let mut sender = pair.http2(router.tls.unwrap()).await;
    let mut asked = request("GET", "/a%20b?c=d");
    for (name, value) in [
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("accept", "x"),
        ("te", "trailers"),
    ] {
        asked.headers_mut().append(name, value.parse().unwrap());
    }
    let (answer, body, _) = ask(&mut sender, asked).await;
    assert_eq!((answer.status().as_u16(), &body[..]), (200, &b"ok"[..]));
    assert_eq!(text(answer.headers(), "x-served-by"), Some("monolith"));
    assert_eq!(text(answer.headers(), "content-length"), Some("2"));
    let received = upstream.last();
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("GET", "/a%20b?c=d")
    );
    assert_eq!(received.all("host"), ["shop.test"]);
    assert_eq!(received.all("cookie"), ["a=1; b=2"]);
    assert_eq!(received.all("te"), ["trailers"]);
    assert_eq!(received.all("x-forwarded-proto"), ["https"]);
    assert_eq!(received.header("via"), Some("2.0 banyan"));
    assert_eq!(
        (
            received.header("content-length"),
            received.header("transfer-encoding")
        ),
        (None, None)
    );
    // A length goes on as one, and a body without one in chunks.
    for (method, path) in [("POST", "/a"), ("GET", "/a")] {
        let mut asked = with_body(method, path, b"hello");
        asked.headers_mut().insert("content-length", "5".parse().unwrap());
        ask(&mut sender, asked).await;
        let received = upstream.last();
        assert_eq!(
            (received.body.as_slice(), received.header("content-length")),
            (&b"hello"[..], Some("5"))
        );
        let pieces =
            stream::iter([&b"hel"[..], b"lo"]).map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
        let asked = request(method, path).map(|_| StreamBody::new(pieces).boxed_unsync());
        ask(&mut sender, asked).await;
        let received = upstream.last();
        assert_eq!(
            (received.body.as_slice(), received.header("content-length")),
            (&b"hello"[..], None)
        );
    }
}

#[tokio::test]
async fn answers_by_http_2_keep_their_shape() {
    let upstream = Upstream::answering(|request: &Received| {
        let head = match request.target.as_str() {
            "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n",
            "/204" => "HTTP/1.1 204 No Content\r\netag: x\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n",
            "/304-of-99" => "HTTP/1.1 304 Not Modified\r\netag: x\r\nContent-Length: 99\r\n\r\n",
            "/empty" => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "/close" => "HTTP/1.1 200 OK\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\ncontent-length: 2\r\n\r\nhi",
            _ => {
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n\
                 3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-sum: 7\r\n\r\n"
            }
        };
        head.as_bytes().to_vec()
    })
    .await;
    let (router, pair) = before(&upstream, "");
    let mut sender = pair.http2(router.tls.unwrap()).await;
    for (method, path, status, length, said) in [
        ("HEAD", "/head", 200, Some("1234"), ""),
        ("GET", "/204", 204, None, ""),
        ("GET", "/304", 304, None, ""),
        ("GET", "/304-of-99", 304, Some("99"), ""),
        ("GET", "/empty", 200, Some("0"), ""),
        ("GET", "/close", 200, Some("2"), "hi"),
        ("GET", "/chunks", 200, None, "abcdefg"),
    ] {
        let (answer, body, trailers) = ask(&mut sender, request(method, path)).await;
        assert_eq!(
            (answer.status().as_u16(), &body[..]),
            (status, said.as_bytes()),
            "{path}"
        );
        assert_eq!(text(answer.headers(), "content-length"), length, "{path}");
        for gone in ["connection", "x-hop", "keep-alive", "transfer-encoding"] {
            assert_eq!(answer.headers().get(gone), None, "{path}");
        }
        if path == "/chunks" {
            assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
            assert_eq!(text(&trailers.unwrap(), "x-sum"), Some("7"));
        }
    }
}

#[tokio::test]
async fn what_http_2_may_not_say_is_refused() {
    let upstream = Upstream::named("ok").await;
    let (router, pair) = before(&upstream, "max_header_bytes = 4096\nmax_body_bytes = 10");
    let mut sender = pair.http2(router.tls.unwrap()).await;
    let with = |name: &'static str, value: &str| {
        let mut asked = request("GET", "/a");
        asked.headers_mut().insert(name, value.parse().unwrap());
        asked
    };
    for (asked, status) in [
        (with("host", "other.test"), 400),
        (with("x-long", &"x".repeat(8000)), 431),
        (with("x-request-id", "fine"), 200),
        (with_body("POST", "/a", b"more than it may"), 413),
        (request("get", "/a"), 400),
        (request("GET", "/a%zz"), 400),
    ] {
        let (answer, _, _) = ask(&mut sender, asked).await;
        assert_eq!(answer.status().as_u16(), status);
    }
    assert_eq!(upstream.received().len(), 1);
}

/// Takes heads, says nothing, and tells when a connection begins to wait and when it has ended.
async fn silent() -> (Upstream, UnboundedReceiver<&'static str>) {
    let (sender, receiver) = unbounded_channel();
    let upstream = Upstream::serving(move |stream, _| {
        let sender = sender.clone();
        async move {
            let mut wire = Wire::new(stream);
            if wire.head().await.is_ok() {
                let _told = sender.send("waits");
                let mut rest = [0; 4096];
                while matches!(wire.stream.read(&mut rest).await, Ok(1..)) {}
                let _told = sender.send("ended");
            }
        }
    })
    .await;
    (upstream, receiver)
}

#[tokio::test]
async fn a_cancelled_stream_cancels_the_upstreams_request_and_no_other() {
    let (upstream, mut told) = silent().await;
    let (router, pair) = before(&upstream, "");
    let mut sender = pair.http2(router.tls.unwrap()).await;
    let kept = tokio::spawn(sender.send_request(request("GET", "/kept")));
    assert_eq!(soon("the first", told.recv()).await, Some("waits"));
    let cancelled = tokio::spawn(sender.send_request(request("GET", "/cancelled")));
    assert_eq!(soon("the second", told.recv()).await, Some("waits"));
    let began = Instant::now();
    cancelled.abort();
    assert_eq!(soon("the end of one", told.recv()).await, Some("ended"));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(told.try_recv().is_err(), "the other one goes on");
    drop((kept, sender));
}

#[tokio::test]
async fn no_more_than_a_hundred_exchanges_run_on_a_connection() {
    let (upstream, mut told) = silent().await;
    let (router, pair) = before(&upstream, "");
    let mut sender = pair.http2(router.tls.unwrap()).await;
    let asked: Vec<_> = (0..150)
        .map(|_| tokio::spawn(sender.send_request(request("GET", "/a"))))
        .collect();
    for _ in 0..100 {
        assert_eq!(soon("a hundred requests", told.recv()).await, Some("waits"));
    }
    let more = tokio::time::timeout(Duration::from_millis(300), told.recv()).await;
    assert!(more.is_err(), "{more:?}");
    drop(asked);
}

#[tokio::test]
async fn a_flood_of_resets_costs_the_flooder_its_connection() {
    let (upstream, _told) = silent().await;
    let (router, pair) = before(&upstream, "");
    let mut sender = pair.http2(router.tls.unwrap()).await;
    let mut count = 0;
    let before = router.memory("VmRSS");
    while sender.ready().await.is_ok() && count < 100_000 {
        // Dropped before it has been answered, which resets the stream.
        let asked = sender.send_request(request("GET", "/a"));
        let _left = tokio::time::timeout(Duration::from_micros(50), asked).await;
        count += 1;
    }
    println!("ended after {count} resets");
    assert!(router.memory("VmRSS") < before + 32 * 1024);
    let mut other = pair.http2(router.tls.unwrap()).await;
    let health = router.ask_admin("/health/live").await;
    assert_eq!(health.0, 200);
    assert!(other.ready().await.is_ok());
}

#[tokio::test]
async fn a_slow_client_and_a_slow_upstream_cost_little_memory() {
    const SIZE: usize = 64 << 20;
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        let request = wire.head().await.unwrap();
        if request.method == "GET" {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
            wire.stream.write_all(head.as_bytes()).await.unwrap();
            let piece = vec![b'x'; 1 << 20];
            while wire.stream.write_all(&piece).await.is_ok() {}
        }
        std::future::pending::<()>().await;
    })
    .await;
    let (router, pair) = before(&upstream, "");
    let mut sender = pair.http2(router.tls.unwrap()).await;
    ask_nothing(&router).await;
    let before = router.memory("VmRSS");
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(
            soon("a head", sender.send_request(request("GET", "/big")))
                .await
                .unwrap(),
        );
    }
    let pieces = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'x'; 1 << 16]))));
    let upload = request("PUT", "/big").map(|_| StreamBody::new(pieces.take(SIZE >> 16)).boxed_unsync());
    let uploading = tokio::spawn(sender.send_request(upload));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = router.memory("VmRSS");
    println!("{before} KiB, then {after} KiB");
    assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
    drop((held, uploading));
}

async fn ask_nothing(router: &Router) {
    router.ask_admin("/health/live").await;
}

#[tokio::test]
async fn a_stop_lets_streams_end() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let (sender, mut told) = unbounded_channel();
    let upstream = Upstream::serving(move |stream, _| {
        let (mut wait, sender) = (wait.clone(), sender.clone());
        async move {
            let mut wire = Wire::new(stream);
            if wire.request().await.is_ok() {
                sender.send(()).unwrap();
                wait.wait_for(|go| *go).await.unwrap();
                wire.stream.write_all(&ok("late")).await.unwrap();
            }
        }
    })
    .await;
    let (router, pair) = before(&upstream, "");
    let mut sender = pair.http2(router.tls.unwrap()).await;
    let waiting = tokio::spawn(sender.send_request(request("GET", "/a")));
    soon("the request to be on its way", told.recv()).await;
    router.signal("TERM");
    until("the router to drain", || async {
        router.ask_admin("/health/ready").await.0 == 503
    })
    .await;
    go.send(true).unwrap();
    let answer = soon("the answer", waiting).await.unwrap().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "late");
    assert!(router.ended().await.success());
}
