//! Upstreams and clients that misbehave: refusals, silence, stale connections, slow heads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::router::{config, owned_by_service, route};
use crate::support::upstream::{Wire, ok};
use crate::support::{Client, Received, Router, Upstream, soon, until};

async fn before(upstream: &Upstream, router: &str) -> Router {
    Router::start(&config(router, upstream.address, upstream.address, ""))
}

/// An address where nobody listens.
async fn nowhere() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

#[tokio::test]
async fn a_killed_service_costs_its_share_only_and_comes_back_by_itself() {
    let monolith = Upstream::named("monolith").await;
    let service = Upstream::named("service").await;
    let routes = route(
        "half",
        "GET /half",
        "\"canary\"\npercent = 50\nsticky = \"header:x-customer\"",
    ) + &route("all", "POST /all", "\"service\"");
    // The service owns the data, so the monolith cannot answer in its place.
    let config = config(
        "connect_timeout = \"1s\"",
        monolith.address,
        service.address,
        &routes,
    );
    let router = Router::start(&owned_by_service(&config));
    let mut client = router.connect().await;
    let ask = |n: u32| format!("GET /half HTTP/1.1\nhost: a\nx-customer: {n}");
    let on_service = served_by_catalog(&mut client, ask).await;
    let address = service.kill().await;
    for n in 0..40 {
        let asked = Instant::now();
        let answer = client.request(&ask(n)).await;
        assert!(asked.elapsed() < Duration::from_secs(1));
        if on_service.contains(&n) {
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (502, "urn:banyan:router:bad-gateway")
            );
            assert_eq!(answer.served_by(), "router");
            assert!(
                answer
                    .header("x-served-why")
                    .unwrap()
                    .contains("route=half mode=canary")
            );
            assert!(
                answer.text().contains("`catalog`") && !answer.text().contains("127.0.0.1"),
                "{}",
                answer.text()
            );
        } else {
            assert_eq!((answer.status, answer.served_by()), (200, "monolith"));
        }
    }
    client
        .send("POST /all HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        .await;
    assert_eq!(client.answer().await.status, 502);
    let _service = revived(address).await;
    let mut client = router.connect().await;
    for n in on_service {
        let answer = client.request(&ask(n)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "back"));
    }
}

/// Which of forty customers are on the service's side.
async fn served_by_catalog(client: &mut Client, ask: impl Fn(u32) -> String) -> Vec<u32> {
    let mut customers = Vec::new();
    for n in 0..40 {
        let answer = client.request(&ask(n)).await;
        assert_eq!(answer.status, 200);
        if answer.served_by() == "catalog" {
            customers.push(n);
        }
    }
    assert!((5..35).contains(&customers.len()));
    customers
}

/// Another process at the same address.
async fn revived(address: std::net::SocketAddr) -> Upstream {
    let serve = |stream, _| async move {
        let mut wire = Wire::new(stream);
        while wire.request().await.is_ok() {
            wire.stream.write_all(&ok("back")).await.unwrap();
        }
    };
    Upstream::serving_at(address, serve).await
}

#[tokio::test]
async fn connections_are_used_again() {
    let upstream = Upstream::named("ok").await;
    let router = before(&upstream, "").await;
    let mut client = router.connect().await;
    for _ in 0..20 {
        assert_eq!(client.get("/a").await.status, 200);
    }
    let connections: Vec<usize> = upstream
        .received()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [0; 20]);
}

#[tokio::test]
async fn an_upstream_that_does_not_accept_times_out() {
    // A full accept queue lets no further connection through.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        held.push(stream);
    }
    let router = Router::start(&config("connect_timeout = \"300ms\"", address, address, ""));
    let asked = Instant::now();
    let answer = router.connect().await.get("/a").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (504, "urn:banyan:router:gateway-timeout")
    );
    assert!(
        (300..1500).contains(&asked.elapsed().as_millis()),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a_silent_upstream_times_out_and_a_slow_upload_does_not() {
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        while let Ok(request) = wire.request().await {
            if request.method == "PUT" {
                wire.stream.write_all(&ok("taken")).await.unwrap();
            }
        }
    })
    .await;
    let router = before(&upstream, "response_timeout = \"500ms\"").await;
    let asked = Instant::now();
    let answer = router.connect().await.get("/a").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (504, "urn:banyan:router:gateway-timeout")
    );
    assert!(
        (500..1500).contains(&asked.elapsed().as_millis()),
        "{:?}",
        asked.elapsed()
    );
    let mut client = router.connect().await;
    client
        .send("PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n")
        .await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send("x").await;
    }
    assert_eq!(client.answer().await.text(), "taken");
}

#[tokio::test]
async fn a_stale_connection_is_replaced_without_the_client_noticing() {
    // The upstream hangs up after every answer without having said so.
    let count = Arc::new(AtomicUsize::new(0));
    let served = Arc::clone(&count);
    let upstream = Upstream::serving(move |stream, _| {
        let served = Arc::clone(&served);
        async move {
            let mut wire = Wire::new(stream);
            if wire.request().await.is_ok() {
                served.fetch_add(1, Ordering::SeqCst);
                wire.stream.write_all(&ok("fine")).await.unwrap();
            }
        }
    })
    .await;
    let router = before(&upstream, "").await;
    let mut client = router.connect().await;
    for n in 0..100 {
        let method = ["GET", "POST", "DELETE"][n % 3];
        let body = if method == "POST" {
            "\r\ncontent-length: 2\r\n\r\nhi"
        } else {
            "\r\n\r\n"
        };
        client
            .send(format!("{method} /a HTTP/1.1\r\nhost: a{body}"))
            .await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "fine"),
            "{method} number {n}"
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 100, "every request was served once");
}

/// Serves one request on a connection and breaks off during the next, having read it.
async fn breaking() -> (Upstream, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let upstream = Upstream::serving(move |stream, _| {
        let seen = Arc::clone(&seen);
        async move {
            let mut wire = Wire::new(stream);
            if wire.request().await.is_ok() {
                seen.fetch_add(1, Ordering::SeqCst);
                wire.stream.write_all(&ok("first")).await.unwrap();
            }
            if wire.request().await.is_ok() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (upstream, count)
}

#[tokio::test]
async fn only_what_is_harmless_is_sent_twice() {
    for (request, status, seen) in [
        // Sent on the old connection, then once more on a fresh one.
        ("GET /a HTTP/1.1\r\nhost: a\r\n\r\n", 200, 3),
        ("DELETE /a HTTP/1.1\r\nhost: a\r\n\r\n", 200, 3),
        (
            "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
            502,
            2,
        ),
        (
            "PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
            502,
            2,
        ),
        ("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 502, 2),
    ] {
        let (upstream, count) = breaking().await;
        let router = Router::start(
            &config("", upstream.address, upstream.address, "").replace("workers = 2", "workers = 1"),
        );
        let mut client = router.connect().await;
        assert_eq!(client.get("/a").await.status, 200);
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, count.load(Ordering::SeqCst)),
            (status, seen),
            "{request}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_always_breaks_off_is_asked_once_per_request() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let upstream = Upstream::serving(move |stream, _| {
        let seen = Arc::clone(&seen);
        async move {
            if Wire::new(stream).request().await.is_ok() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let router = before(&upstream, "").await;
    let answer = router.connect().await.get("/a").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (502, "urn:banyan:router:bad-gateway")
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nonsense_from_an_upstream_is_a_bad_gateway() {
    for nonsense in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let upstream = Upstream::answering(move |_: &Received| nonsense.as_bytes().to_vec()).await;
        let router = before(&upstream, "").await;
        let answer = router.connect().await.get("/a").await;
        assert_eq!((answer.status, answer.served_by()), (502, "router"), "{nonsense}");
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_on_the_first_and_on_later_requests() {
    let upstream = Upstream::named("ok").await;
    let router = before(&upstream, "header_timeout = \"500ms\"").await;
    let mut first = router.connect().await;
    first.send("GET /a HTTP/1.1\r\nhost:").await;
    let answer = first.answer().await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (408, "urn:banyan:router:request-timeout")
    );
    let mut later = router.connect().await;
    assert_eq!(later.get("/a").await.status, 200);
    let began = Instant::now();
    later.send("GET /a HTTP/1.1\r\n").await;
    // One byte now and then must not buy more time.
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if later.stream.write_all(b"x").await.is_err() {
                break;
            }
            let mut byte = [0];
            if matches!(later.stream.try_read(&mut byte), Ok(0)) {
                break;
            }
        }
    };
    soon("the slow head to be cut", drip).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_stands_still_is_cut() {
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        wire.head().await.unwrap();
        let mut rest = vec![0; 1024];
        while matches!(wire.stream.read(&mut rest).await, Ok(1..)) {}
    })
    .await;
    let router = before(
        &upstream,
        "idle_timeout = \"300ms\"\nresponse_timeout = \"300ms\"\nconnect_timeout = \"100ms\"",
    )
    .await;
    let mut client = router.connect().await;
    client
        .send("PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
        .await;
    let began = Instant::now();
    client.rest().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn no_upstream_at_all_is_told_as_such() {
    let address = nowhere().await;
    let router = Router::start(&config("", address, address, ""));
    let answer = Client::connect(router.address).await.get("/a").await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (502, "urn:banyan:router:bad-gateway")
    );
    assert!(
        answer
            .text()
            .contains("the upstream `monolith` could not be reached"),
        "{}",
        answer.text()
    );
    until("the admin port to answer", || async {
        router.ask_admin("/health/live").await.0 == 200
    })
    .await;
}
