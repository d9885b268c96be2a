//! Which header fields pass, which stay behind, and which the router says itself.

use crate::support::router::{config, route};
use crate::support::{Received, Router, Upstream};

async fn set_up(router: &str) -> (Upstream, Router) {
    let monolith = Upstream::answering(answer).await;
    let text = config(
        router,
        monolith.address,
        monolith.address,
        &route("any", "GET /a", "\"monolith\""),
    );
    (monolith, Router::start(&text))
}

fn answer(_: &Received) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nset-cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nconnection: keep-alive, X-Hop\r\nx-hop: 1\r\n\
                keep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nupgrade: h2c\r\nx-served-by: liar\r\nx-served-why: lies\r\n\
                x-keep: yes\r\ncontent-length: 2\r\nset-cookie: c=3\r\n\r\nok";
    head.as_bytes().to_vec()
}

#[tokio::test]
async fn answers_keep_end_to_end_fields_only() {
    let (_monolith, router) = set_up("").await;
    let answer = router.connect().await.get("/a").await;
    assert_eq!(answer.all("set-cookie"), ["a=1; Path=/", "b=2", "c=3"]);
    assert_eq!(answer.header("x-keep"), Some("yes"));
    for gone in [
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
        "connection",
    ] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.all("x-served-by"), ["monolith"]);
    assert_eq!(answer.all("x-served-why"), ["route=any mode=monolith"]);
}

/// What nobody needs to understand is passed on as it stands.
#[tokio::test]
async fn an_answers_fields_keep_their_order_and_their_letters() {
    let (_monolith, router) = set_up("").await;
    let mut client = router.connect().await;
    client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.head().await;
    let passed = "set-cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nx-keep: yes\r\nset-cookie: c=3\r\n";
    assert!(head.contains(passed), "{head}");
}

#[tokio::test]
async fn requests_keep_end_to_end_fields_only() {
    let (monolith, router) = set_up("").await;
    let head = "GET /a HTTP/1.1\nhost: shop.test\nconnection: keep-alive, x-secret, Host\nx-secret: 1\nkeep-alive: 5\n\
                proxy-authorization: Basic x\nte: trailers, gzip\nupgrade: h2c\nproxy-connection: close\naccept: a\naccept: b\n\
                cookie: a=1\nauthorization: Bearer t";
    router.connect().await.request(head).await;
    let received = monolith.last();
    for gone in [
        "x-secret",
        "keep-alive",
        "proxy-authorization",
        "upgrade",
        "proxy-connection",
        "connection",
    ] {
        assert_eq!(received.header(gone), None, "{gone}");
    }
    assert_eq!(received.header("host"), Some("shop.test"));
    assert_eq!(received.header("te"), Some("trailers"));
    assert_eq!(received.all("accept"), ["a", "b"]);
    assert_eq!(received.header("authorization"), Some("Bearer t"));
    assert_eq!(received.header("cookie"), Some("a=1"));
    assert_eq!(received.header("via"), Some("1.1 banyan"));
}

const SPOOFED: &str = "GET /a HTTP/1.1\nhost: shop.test\nx-forwarded-for: 6.6.6.6\nx-forwarded-for: 7.7.7.7\nx-forwarded-proto: https\n\
                       x-forwarded-host: evil.test\nx-forwarded-port: 1\nx-forwarded-prefix: /x\nx-real-ip: 6.6.6.6\nforwarded: for=6.6.6.6";

#[tokio::test]
async fn a_stranger_cannot_say_where_it_comes_from() {
    let (monolith, router) = set_up("").await;
    router.connect().await.request(SPOOFED).await;
    let received = monolith.last();
    assert_eq!(received.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.all("x-forwarded-proto"), ["http"]);
    assert_eq!(received.all("x-forwarded-host"), ["shop.test"]);
    assert_eq!(
        received.all("forwarded"),
        ["for=127.0.0.1;proto=http;host=\"shop.test\""]
    );
    for gone in ["x-forwarded-port", "x-forwarded-prefix", "x-real-ip"] {
        assert_eq!(received.header(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_continued() {
    let (monolith, router) = set_up("trusted_proxies = [\"127.0.0.0/8\"]").await;
    router.connect().await.request(SPOOFED).await;
    let received = monolith.last();
    assert_eq!(received.all("x-forwarded-for"), ["6.6.6.6, 7.7.7.7, 127.0.0.1"]);
    assert_eq!(received.all("x-forwarded-proto"), ["https"]);
    assert_eq!(received.all("x-forwarded-host"), ["evil.test"]);
    assert_eq!(
        received.all("forwarded"),
        ["for=6.6.6.6, for=127.0.0.1;proto=http;host=\"shop.test\""]
    );
    assert_eq!(received.header("x-real-ip"), Some("6.6.6.6"));
    assert_eq!(received.header("x-forwarded-port"), Some("1"));
    router
        .connect()
        .await
        .request("GET /a HTTP/1.1\nhost: shop.test\nx-forwarded-for: 2001:db8::1")
        .await;
    assert_eq!(
        monolith.last().all("forwarded"),
        ["for=\"[2001:db8::1]\", for=127.0.0.1;proto=http;host=\"shop.test\""]
    );
}

#[tokio::test]
async fn the_host_is_the_clients_or_the_upstreams() {
    let (monolith, router) = set_up("host = \"upstream\"").await;
    router.connect().await.get("/a").await;
    assert_eq!(
        monolith.last().header("host"),
        Some(monolith.address.to_string().as_str())
    );
    assert_eq!(monolith.last().header("x-forwarded-host"), Some("shop.test"));
}

#[tokio::test]
async fn names_of_a_request_pass_if_they_are_well_formed() {
    let (monolith, router) = set_up("").await;
    let mut client = router.connect().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let head =
        format!("GET /a HTTP/1.1\nhost: a\nx-request-id: abc-1\ntraceparent: {trace}\ntracestate: k=v");
    client.request(&head).await;
    let received = monolith.last();
    assert_eq!(received.all("x-request-id"), ["abc-1"]);
    assert_eq!(received.all("traceparent"), [trace]);
    assert_eq!(received.header("tracestate"), Some("k=v"));
    client
        .request("GET /a HTTP/1.1\nhost: a\nx-request-id: a b\ntraceparent: 00-zz\ntracestate: k=v")
        .await;
    let received = monolith.last();
    let id = received.header("x-request-id").unwrap();
    assert_eq!(id.len(), 32);
    assert!(
        received
            .header("traceparent")
            .unwrap()
            .starts_with(&format!("00-{id}-"))
    );
    assert_eq!(received.header("tracestate"), None);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let (monolith, router) = set_up("max_header_bytes = 2048").await;
    let long = format!("GET /a HTTP/1.1\nhost: a\nx-long: {}", "x".repeat(3000));
    let answer = router.connect().await.request(&long).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (431, "urn:banyan:router:header-too-large")
    );
    let endless = format!("GET /a HTTP/1.1\nhost: a\nx-long: {}", "x".repeat(200_000));
    let answer = router.connect().await.request(&endless).await;
    assert_eq!((answer.status, answer.served_by()), (431, "router"));
    assert!(monolith.received().is_empty());
}
