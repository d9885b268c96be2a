//! TLS: what it carries, and the certificate it shows.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::secure::{Pair, ask, before, request};
use crate::support::{Client, Upstream, soon, until};

#[tokio::test]
async fn http_1_1_over_tls_is_told_to_be_so() {
    let upstream = Upstream::named("ok").await;
    let (router, pair) = before(&upstream, "");
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let mut stream = pair.connect(router.tls.unwrap(), protocols).await.unwrap();
        for _ in 0..2 {
            stream
                .write_all(b"GET /a HTTP/1.1\r\nhost: shop.test\r\n\r\n")
                .await
                .unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\nok") {
                assert!(soon("an answer", stream.read_buf(&mut heard)).await.unwrap() > 0);
            }
        }
        let received = upstream.last();
        assert_eq!(received.all("x-forwarded-proto"), ["https"]);
        assert_eq!(
            received.all("forwarded"),
            ["for=127.0.0.1;proto=https;host=\"shop.test\""]
        );
        assert_eq!(received.header("via"), Some("1.1 banyan"));
    }
    // The plain port says what it is.
    router.connect().await.get("/a").await;
    assert_eq!(upstream.last().all("x-forwarded-proto"), ["http"]);
}

#[tokio::test]
async fn smuggling_is_refused_over_tls_too() {
    let upstream = Upstream::named("ok").await;
    let (router, pair) = before(&upstream, "");
    let mut stream = pair.connect(router.tls.unwrap(), &[]).await.unwrap();
    stream
        .write_all(b"GET /a HTTP/1.1\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut heard = Vec::new();
    soon("the end", stream.read_to_end(&mut heard)).await.unwrap();
    assert!(heard.starts_with(b"HTTP/1.1 400 "), "{}", heard.escape_ascii());
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_bad_one_is_not() {
    let upstream = Upstream::named("ok").await;
    let (router, old) = before(&upstream, "");
    let tls = router.tls.unwrap();
    let mut standing = old.http2(tls).await;
    // A key of another certificate: the pair does not fit.
    let new = Pair::new();
    std::fs::write(router.folder().join("key.pem"), &new.key).unwrap();
    until("the pair to be refused", || async {
        std::fs::read_to_string(router.folder().join("log"))
            .unwrap()
            .contains("the certificate is not taken")
    })
    .await;
    assert!(old.connect(tls, &[]).await.is_ok());
    std::fs::write(router.folder().join("cert.pem"), &new.chain).unwrap();
    until("the new certificate", || async {
        new.connect(tls, &[]).await.is_ok()
    })
    .await;
    assert!(old.connect(tls, &[]).await.is_err(), "the old one is gone");
    std::fs::remove_file(router.folder().join("key.pem")).unwrap();
    let missing = "No such file";
    until("the missing key to be told", || async {
        std::fs::read_to_string(router.folder().join("log"))
            .unwrap()
            .contains(missing)
    })
    .await;
    assert!(new.connect(tls, &[]).await.is_ok());
    let (answer, _, _) = ask(&mut standing, request("GET", "/a")).await;
    assert_eq!(
        answer.status().as_u16(),
        200,
        "a connection that stands is not disturbed"
    );
    let log = std::fs::read_to_string(router.folder().join("log")).unwrap();
    for pair in [&old, &new] {
        for line in pair.key.lines().filter(|line| !line.contains("PRIVATE KEY")) {
            assert!(!log.contains(line), "a key is in the log");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut() {
    let upstream = Upstream::named("ok").await;
    let (router, pair) = before(&upstream, "header_timeout = \"300ms\"");
    let mut mute = Client::connect(router.tls.unwrap()).await;
    let began = Instant::now();
    mute.rest().await;
    // Having shaken hands and then saying nothing is no better.
    let mut stream = pair.connect(router.tls.unwrap(), &[b"h2"]).await.unwrap();
    let mut heard = Vec::new();
    let _ended = soon("the end", stream.read_to_end(&mut heard)).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}
