//! Messages keep their shape: lengths, chunks, trailers, answers without a body, `100 Continue`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::router::config;
use crate::support::upstream::{Wire, ok};
use crate::support::{Client, Received, Router, Upstream, soon};

async fn before(upstream: &Upstream) -> Router {
    Router::start(&config("", upstream.address, upstream.address, ""))
}

async fn saying(answer: &'static str) -> (Upstream, Router) {
    let upstream = Upstream::answering(move |_: &Received| answer.as_bytes().to_vec()).await;
    let router = before(&upstream).await;
    (upstream, router)
}

#[tokio::test]
async fn head_keeps_the_length_and_the_connection() {
    let (_upstream, router) = saying("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n").await;
    let mut client = router.connect().await;
    for _ in 0..3 {
        let answer = client.request("HEAD /a HTTP/1.1\nhost: a").await;
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (200, Some("1234"))
        );
    }
}

#[tokio::test]
async fn head_without_length_gets_none() {
    let (_upstream, router) = saying("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let mut client = router.connect().await;
    for _ in 0..2 {
        let answer = client.request("HEAD /a HTTP/1.1\nhost: a").await;
        assert_eq!((answer.status, answer.header("content-length")), (200, None));
    }
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_in_order() {
    for (head, length) in [
        ("HTTP/1.1 204 No Content\r\netag: \"1\"\r\n\r\n", None),
        ("HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n", None),
        (
            "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncontent-length: 99\r\n\r\n",
            Some("99"),
        ),
        (
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\n\r\n",
            Some("0"),
        ),
    ] {
        let (_upstream, router) = saying(head).await;
        let mut client = router.connect().await;
        for _ in 0..2 {
            let answer = client.get("/a").await;
            assert!(head.contains(&answer.status.to_string()), "{answer:?}");
            assert_eq!(answer.header("content-length"), length, "{head}");
            assert_eq!(answer.header("transfer-encoding"), None);
            assert_eq!(answer.header("etag"), Some("\"1\""));
        }
    }
}

#[tokio::test]
async fn chunks_and_trailers_of_an_answer_pass() {
    let (_upstream, router) = saying(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nx-sum: 7\r\n\r\n",
    )
    .await;
    let mut client = router.connect().await;
    for _ in 0..2 {
        let answer = client.get("/a").await;
        assert_eq!(answer.text(), "abcdefg");
        assert_eq!(answer.header("trailer"), Some("x-sum"));
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
        assert_eq!(answer.header("content-length"), None);
    }
}

#[tokio::test]
async fn an_empty_chunked_answer_stays_one() {
    let (_upstream, router) = saying("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").await;
    let mut client = router.connect().await;
    for _ in 0..2 {
        let answer = client.get("/a").await;
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.is_whole),
            (200, "", true)
        );
    }
}

#[tokio::test]
async fn chunks_of_a_request_pass_and_its_length_does_not_appear() {
    let upstream = Upstream::named("ok").await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    client
        .send("POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    client.send("2\r\nde\r\n0\r\nx-trailer: dropped\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    let received = upstream.last();
    assert_eq!(
        (received.body.as_slice(), received.header("content-length")),
        (&b"abcde"[..], None)
    );
    client
        .send("PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nxyz")
        .await;
    assert_eq!(client.answer().await.status, 200);
    let received = upstream.last();
    assert_eq!(
        (received.body.as_slice(), received.header("transfer-encoding")),
        (&b"xyz"[..], None)
    );
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks() {
    let (upstream, router) =
        saying("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    let answer = router.connect().await.request("GET /a HTTP/1.0\nhost: a").await;
    assert_eq!(
        (answer.text().as_str(), answer.header("transfer-encoding")),
        ("abc", None)
    );
    assert_eq!(upstream.last().header("via"), Some("1.0 banyan"));
    let without_host = router.connect().await.request("GET /a HTTP/1.0").await;
    assert_eq!(without_host.text(), "abc");
    assert_eq!(
        upstream.last().header("host"),
        Some(upstream.address.to_string().as_str())
    );
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_passes() {
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        wire.request().await.unwrap();
        wire.stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
            .await
            .unwrap();
    })
    .await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    for _ in 0..2 {
        assert_eq!(client.get("/a").await.text(), "until the end");
    }
}

#[tokio::test]
async fn unknown_statuses_and_methods_pass() {
    let (upstream, router) = saying("HTTP/1.1 299 Fine\r\ncontent-length: 0\r\n\r\n").await;
    let answer = router
        .connect()
        .await
        .request("PROPFIND /a HTTP/1.1\nhost: a")
        .await;
    assert_eq!(
        (answer.status, upstream.last().method.as_str()),
        (299, "PROPFIND")
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::answering(|request: &Received| ok(&request.target)).await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    let requests: String = (0..10)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    client.send(requests).await;
    for n in 0..10 {
        assert_eq!(client.answer().await.text(), format!("/{n}"));
    }
}

#[tokio::test]
async fn smuggling_is_refused() {
    let upstream = Upstream::named("ok").await;
    let router = before(&upstream).await;
    for head in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
        "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    ] {
        let mut client = Client::connect(router.address).await;
        client.send(head).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.served_by()), (400, "router"), "{head}");
        assert_eq!(answer.problem(), "urn:banyan:router:bad-request");
        client.rest().await;
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn malformed_requests_after_good_ones_are_told_apart() {
    let upstream = Upstream::named("ok").await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    assert_eq!(client.get("/a").await.served_by(), "monolith");
    assert_eq!(client.get("/a").await.served_by(), "monolith");
    client.send("nonsense\r\n\r\n").await;
    assert_eq!(client.answer().await.problem(), "urn:banyan:router:bad-request");
}

/// Says `100 Continue`, or refuses, depending on the path.
async fn expecting() -> Upstream {
    Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        while let Ok(request) = wire.head().await {
            assert!(wire.buffer.is_empty(), "the body came unasked");
            assert_eq!(request.header("expect"), Some("100-continue"));
            if request.target == "/refuse" {
                let refusal = b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 4\r\n\r\nnope";
                return wire.stream.write_all(refusal).await.unwrap();
            }
            if request.target == "/ask" {
                wire.stream
                    .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                    .await
                    .unwrap();
            }
            let mut body = vec![0; request.header("content-length").unwrap().parse().unwrap()];
            wire.stream.read_exact(&mut body).await.unwrap();
            wire.stream
                .write_all(&ok(&String::from_utf8(body).unwrap()))
                .await
                .unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn continue_is_the_upstreams_to_say() {
    let upstream = expecting().await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    for _ in 0..2 {
        client
            .send("PUT /ask HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 100);
        client.send("hello").await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.served_by()),
            (200, "hello", "monolith")
        );
    }
    let mut client = router.connect().await;
    client
        .send("PUT /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.served_by()),
        (417, "nope", "monolith")
    );
}

#[tokio::test]
async fn an_upstream_that_does_not_know_continue_still_gets_the_body() {
    let upstream = expecting().await;
    let router = before(&upstream).await;
    let mut client = router.connect().await;
    client
        .send("PUT /silent HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 100);
    client.send("hello").await;
    assert_eq!(client.answer().await.text(), "hello");
}

#[tokio::test]
async fn websockets_pass_both_ways() {
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        let request = wire.head().await.unwrap();
        if request.target == "/no" {
            return wire.stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        }
        assert_eq!(request.header("connection"), Some("upgrade"));
        assert_eq!(request.header("upgrade"), Some("websocket"));
        assert_eq!(request.header("sec-websocket-key"), Some("k"));
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: v\r\n\r\n";
        wire.stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = std::mem::take(&mut wire.buffer);
        loop {
            wire.stream.write_all(&bytes).await.unwrap();
            bytes.clear();
            if wire.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                break;
            }
        }
    })
    .await;
    let router = before(&upstream).await;
    let upgrade = "HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n";
    let mut client = router.connect().await;
    client.send(format!("GET /ws {upgrade}early")).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.header("sec-websocket-accept")),
        (101, Some("v"))
    );
    assert_eq!(
        (answer.served_by(), answer.header("upgrade")),
        ("monolith", Some("websocket"))
    );
    client.send(" and late").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"early and late");
    let mut client = router.connect().await;
    client.send(format!("GET /no {upgrade}")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    soon("the end", client.rest()).await;
}
