//! A service that fails: the monolith answers in its place where it may, and nothing is done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::support::router::{config, owned_by_service, route};
use crate::support::upstream::{Wire, ok};
use crate::support::{Router, Upstream, until};

const BROKEN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull";

async fn failing() -> Upstream {
    Upstream::answering(|_| BROKEN.to_vec()).await
}

fn set_up(monolith: &Upstream, service: &Upstream, more: &str) -> String {
    let routes = route("read", "GET,HEAD /read", "\"service\"");
    config("", monolith.address, service.address, &routes) + more
}

#[tokio::test]
async fn safe_requests_that_the_service_fails_are_answered_by_the_monolith() {
    let (monolith, service) = (Upstream::named("monolith").await, failing().await);
    // The circuit stays closed, so that each request is tried.
    let fallback = "[fallback]\ncircuit_failures = 1000\n";
    let router = Router::start(&set_up(&monolith, &service, fallback));
    let mut client = router.connect().await;
    let answer = client.get("/read").await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.served_by()),
        (200, "monolith", "monolith")
    );
    assert_eq!(
        answer.header("x-served-why"),
        Some("route=read mode=service fallback=server-error")
    );
    let address = service.kill().await;
    let answer = client.get("/read").await;
    assert_eq!(answer.text(), "monolith");
    assert!(
        answer
            .header("x-served-why")
            .unwrap()
            .ends_with("fallback=unreachable")
    );
    // A service that takes the request and is silent.
    let _silent = Upstream::serving_at(address, |stream, _| async move {
        let mut wire = Wire::new(stream);
        while wire.request().await.is_ok() {}
    })
    .await;
    let slow = set_up(
        &monolith,
        &monolith,
        &format!("{fallback}attempt_timeout = \"300ms\"\n"),
    );
    let slow = slow.replace(
        &format!("catalog = \"http://{}\"", monolith.address),
        &format!("catalog = \"http://{address}\""),
    );
    router.write(&slow);
    until("the timeout to be short", || async {
        let asked = Instant::now();
        let answer = router.connect().await.get("/read").await;
        assert_eq!(answer.text(), "monolith");
        asked.elapsed() < Duration::from_secs(3)
            && answer
                .header("x-served-why")
                .unwrap()
                .ends_with("fallback=timeout")
    })
    .await;
}

#[tokio::test]
async fn a_service_that_keeps_failing_is_left_alone_until_a_probe_succeeds() {
    let is_healthy = Arc::new(AtomicUsize::new(0));
    let flag = Arc::clone(&is_healthy);
    let monolith = Upstream::named("monolith").await;
    let service = Upstream::answering(move |_| match flag.load(Ordering::SeqCst) {
        0 => BROKEN.to_vec(),
        _ => ok("service"),
    })
    .await;
    let fallback = "[fallback]\ncircuit_failures = 3\ncircuit_pause = \"400ms\"\n";
    let router = Router::start(&set_up(&monolith, &service, fallback));
    let mut client = router.connect().await;
    for _ in 0..50 {
        assert_eq!(client.get("/read").await.text(), "monolith");
    }
    assert!(
        service.received().len() < 10,
        "asked {} times",
        service.received().len()
    );
    let answer = client.get("/read").await;
    assert!(
        answer
            .header("x-served-why")
            .unwrap()
            .ends_with("fallback=circuit-open")
    );
    is_healthy.store(1, Ordering::SeqCst);
    until("the circuit to close", || async {
        router.connect().await.get("/read").await.text() == "service"
    })
    .await;
    assert_eq!(client.get("/read").await.text(), "service");
}

#[tokio::test]
async fn what_may_not_be_repeated_is_not() {
    let (monolith, service) = (Upstream::named("monolith").await, failing().await);
    let routes = route("read", "GET /read", "\"service\"")
        + &route("write", "POST /write", "\"service\"")
        + &route("opted-out", "GET /out", "\"service\"\nfallback = false");
    let plain = config("", monolith.address, service.address, &routes);
    let router = Router::start(&owned_by_service(&plain));
    let mut client = router.connect().await;
    // The service owns the data: what the monolith has may be old.
    let answer = client.get("/read").await;
    assert_eq!((answer.status, answer.served_by()), (503, "catalog"));
    client
        .send("POST /write HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 503);
    assert_eq!(client.get("/out").await.status, 503);
    assert_eq!(monolith.received().len(), 0);
    assert_eq!(service.received().len(), 3);
}

#[tokio::test]
async fn the_budget_bounds_what_the_monolith_is_asked_for_in_addition() {
    let (monolith, service) = (Upstream::named("monolith").await, failing().await);
    let fallback = "[fallback]\ncircuit_failures = 100000\nretry_ratio = 0\nretry_floor = 2\n";
    let router = Router::start(&set_up(&monolith, &service, fallback));
    let mut client = router.connect().await;
    let began = Instant::now();
    let mut answered = 0;
    for _ in 0..100 {
        match client.get("/read").await.status {
            200 => answered += 1,
            status => assert_eq!(status, 503, "the service's own answer is passed on"),
        }
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    assert!((1..=2 * 2 * seconds).contains(&answered), "{answered} of 100");
}

#[tokio::test]
async fn the_clients_limit_holds_over_both_attempts() {
    let silent = || {
        Upstream::serving(|stream, _| async move {
            let mut wire = Wire::new(stream);
            while wire.request().await.is_ok() {}
            drop(wire.stream.shutdown().await);
        })
    };
    let (monolith, service) = (silent().await, silent().await);
    let routes = route("read", "GET /read", "\"service\"");
    let limits = "response_timeout = \"1s\"";
    let text = config(limits, monolith.address, service.address, &routes);
    let router = Router::start(&(text + "[fallback]\nattempt_timeout = \"500ms\"\n"));
    let asked = Instant::now();
    let answer = router.connect().await.get("/read").await;
    assert_eq!(answer.status, 504);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}
