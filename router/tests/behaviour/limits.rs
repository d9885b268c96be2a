//! Limits on bodies, rates, connections and whole exchanges.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::router::config;
use crate::support::upstream::{Wire, ok};
use crate::support::{Router, Upstream, soon, until};

async fn before(upstream: &Upstream, router: &str) -> Router {
    Router::start(&config(router, upstream.address, upstream.address, ""))
}

/// Reads and reads, and tells that the head has come, then that the connection has ended, and whether that was the proper
/// end of the body.
async fn swallowing() -> (Upstream, tokio::sync::mpsc::UnboundedReceiver<bool>) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::serving(move |stream, _| {
        let sender = sender.clone();
        async move {
            let mut wire = Wire::new(stream);
            if wire.head().await.is_ok() {
                sender.send(true).unwrap();
                let mut bytes = std::mem::take(&mut wire.buffer);
                let _ended = wire.stream.read_to_end(&mut bytes).await;
                sender.send(bytes.ends_with(b"0\r\n\r\n")).unwrap();
            }
        }
    })
    .await;
    (upstream, receiver)
}

#[tokio::test]
async fn a_body_of_more_than_its_limit_is_refused_at_the_head() {
    let upstream = Upstream::named("ok").await;
    let router = before(&upstream, "max_body_bytes = 10").await;
    let mut client = router.connect().await;
    let post = |length: usize| format!("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n");
    client.send(post(10) + "\r\n0123456789").await;
    assert_eq!(client.answer().await.status, 200);
    for expect in ["", "expect: 100-continue\r\n"] {
        let mut client = router.connect().await;
        client.send(post(11) + expect + "\r\n").await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.problem().as_str(), answer.served_by()),
            (413, "urn:banyan:router:content-too-large", "router")
        );
        client.rest().await;
    }
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn chunks_of_more_than_their_limit_are_refused_half_way_and_cancelled() {
    let (upstream, mut ends) = swallowing().await;
    let router = before(&upstream, "max_body_bytes = 10").await;
    let mut client = router.connect().await;
    client
        .send("POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n9\r\n012345678\r\n")
        .await;
    soon("the head to come", ends.recv()).await;
    client.send("2\r\nxy\r\n").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (413, "urn:banyan:router:content-too-large")
    );
    let began = Instant::now();
    client.rest().await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "the connection is closed"
    );
    let is_whole = soon("the upstream's connection to end", ends.recv()).await;
    assert_eq!(is_whole, Some(false), "a part must not look like the whole");
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_back() {
    let upstream = Upstream::named("ok").await;
    let router = before(
        &upstream,
        "rate_limit = \"2/m\"\nrate_burst = 3\ntrusted_proxies = [\"127.0.0.1\"]",
    )
    .await;
    let mut client = router.connect().await;
    let ask = |who: &str| format!("GET /a HTTP/1.1\nhost: a\nx-forwarded-for: {who}");
    for _ in 0..3 {
        assert_eq!(client.request(&ask("1.1.1.1")).await.status, 200);
    }
    for _ in 0..2 {
        let answer = client.request(&ask("1.1.1.1")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str(), answer.served_by()),
            (429, "urn:banyan:router:too-many-requests", "router")
        );
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=31).contains(&wait), "{wait}");
    }
    assert_eq!(
        client.request(&ask("2.2.2.2")).await.status,
        200,
        "another client's limit is its own"
    );
    assert_eq!(upstream.received().len(), 4);
    // The limit is gone with the file that named it.
    router.write(&config("", upstream.address, upstream.address, ""));
    router.signal("HUP");
    until("the limit to be gone", || async {
        router.connect().await.request(&ask("1.1.1.1")).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_peer_has_no_more_connections_than_it_may() {
    let upstream = Upstream::named("ok").await;
    let router = before(&upstream, "max_connections_per_client = 2").await;
    let (mut first, mut second) = (router.connect().await, router.connect().await);
    assert_eq!(first.get("/a").await.status, 200);
    assert_eq!(second.get("/a").await.status, 200);
    let mut third = router.connect().await;
    assert_eq!(soon("the third to be closed", third.rest()).await, b"");
    drop(first);
    until("a place to be free", || async {
        let mut client = router.connect().await;
        let _sent = client
            .stream
            .write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        client.try_answer().await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    assert_eq!(second.get("/a").await.status, 200);
}

#[tokio::test]
async fn an_exchange_that_takes_too_long_is_ended() {
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        while let Ok(request) = wire.request().await {
            match request.target.as_str() {
                "/fast" => wire.stream.write_all(&ok("fast")).await.unwrap(),
                "/drip" => {
                    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                    wire.stream.write_all(head).await.unwrap();
                    // An event now and then, so that nothing ever stands still.
                    while wire.stream.write_all(b"1\r\nx\r\n").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                _ => {}
            }
        }
    })
    .await;
    let router = before(&upstream, "request_timeout = \"500ms\"").await;
    let mut client = router.connect().await;
    assert_eq!(client.get("/fast").await.status, 200);
    let began = Instant::now();
    let answer = client.get("/silent").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (504, "urn:banyan:router:gateway-timeout")
    );
    assert!(
        (500..2000).contains(&began.elapsed().as_millis()),
        "{:?}",
        began.elapsed()
    );
    let began = Instant::now();
    let answer = router.connect().await.get("/drip").await;
    assert_eq!((answer.status, answer.is_whole), (200, false));
    assert!(
        (500..3000).contains(&began.elapsed().as_millis()),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_closed_and_not_sooner() {
    let upstream = Upstream::named("ok").await;
    let router = before(&upstream, "keep_alive = \"1s\"").await;
    let mut client = router.connect().await;
    for _ in 0..2 {
        assert_eq!(client.get("/a").await.status, 200);
    }
    let rested = Instant::now();
    assert_eq!(client.rest().await, b"");
    let after = rested.elapsed();
    assert!(
        (Duration::from_millis(700)..Duration::from_secs(5)).contains(&after),
        "closed after {after:?}"
    );
}
