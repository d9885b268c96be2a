//! A shadow target that misbehaves hurts nobody: same bytes, same connection, bounded memory, everything counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::support::router::{config, route};
use crate::support::upstream::{Wire, ok};
use crate::support::{Router, Upstream, soon, until};

const PROMPT: Duration = Duration::from_secs(2);

fn body() -> String {
    "0123456789abcdef".repeat(20_000)
}

async fn monolith() -> Upstream {
    let body = body();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Upstream::answering(move |_| answer.clone().into_bytes()).await
}

fn shadowed(monolith: &Upstream, service: &Upstream) -> String {
    let routes = route("read", "GET /read", "\"shadow\"");
    let limits = "[shadow]\nrecheck_after = \"10ms\"\nqueue = 50\nmemory = \"16MiB\"\ntimeout = \"2s\"\n";
    config("", monolith.address, service.address, &routes) + limits
}

/// Requests beside a service that does this with each connection; every answer is whole and prompt.
async fn endure(
    misbehave: impl Fn(Wire) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + Copy + 'static,
) {
    let monolith = monolith().await;
    let service = Upstream::serving(move |stream, _| async move { misbehave(Wire::new(stream)).await }).await;
    // Every copy meets it, however many have before.
    let router = Router::start(&(shadowed(&monolith, &service) + "[fallback]\ncircuit_failures = 1000000\n"));
    let expected = body();
    let mut client = router.connect().await;
    client.get("/read").await;
    let before = router.memory("VmRSS");
    for _ in 0..300 {
        let asked = Instant::now();
        let answer = client.get("/read").await;
        assert_eq!((answer.status, answer.text() == expected), (200, true));
        assert!(asked.elapsed() < PROMPT, "the shadow held up the answer");
    }
    let growth = router.memory("VmRSS").saturating_sub(before) / 1024;
    assert!(growth < 64, "{growth} MiB more");
    until("every copy to be accounted for", || async {
        let known = router.ask_admin("/routes/read/evidence").await.1;
        let comparisons = &known["comparisons"];
        let drops: u64 = comparisons["drops"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(serde_json::Value::as_u64)
            .sum();
        drops + comparisons["incomparable"].as_u64().unwrap() == 301
    })
    .await;
    let known = router.ask_admin("/routes/read/evidence").await.1;
    assert!(
        known["comparisons"]["agreed"]
            .as_array()
            .unwrap()
            .iter()
            .all(|count| count == 0)
    );
}

#[tokio::test]
async fn a_shadow_target_that_never_answers() {
    endure(|mut wire| {
        Box::pin(async move {
            let _asked = wire.head().await;
            std::future::pending::<()>().await;
        })
    })
    .await;
}

#[tokio::test]
async fn a_shadow_target_that_resets() {
    endure(|mut wire| {
        Box::pin(async move {
            let _asked = wire.head().await;
            let _set = wire.stream.set_zero_linger();
        })
    })
    .await;
}

#[tokio::test]
async fn a_shadow_target_that_sends_garbage() {
    endure(|mut wire| {
        Box::pin(async move {
            let _asked = wire.head().await;
            let _sent = wire.stream.write_all(&[0xff; 4096]).await;
        })
    })
    .await;
}

#[tokio::test]
async fn a_shadow_target_that_never_stops() {
    endure(|mut wire| {
        Box::pin(async move {
            let _asked = wire.head().await;
            let _sent = wire
                .stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n")
                .await;
            let piece = vec![b'x'; 1 << 20];
            while wire.stream.write_all(&piece).await.is_ok() {}
        })
    })
    .await;
}

/// On a machine without time to spare, copies wait and what was counted does not.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn copies_are_made_by_a_thread_that_gives_way_and_counts_are_not() {
    let monolith = monolith().await;
    let router = Router::start(&shadowed(&monolith, &monolith));
    until("both threads to have begun as they mean to go on", || async {
        // SCHED_OTHER and SCHED_IDLE, as sched(7) numbers them.
        router.policy("evidence") == Some(0) && router.policy("shadow") == Some(5)
    })
    .await;
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_left_alone_and_tried_again() {
    let monolith = Upstream::named("alike").await;
    let (is_broken, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let service = {
        let (is_broken, asked) = (Arc::clone(&is_broken), Arc::clone(&asked));
        Upstream::serving(move |stream, _| {
            let (is_broken, asked) = (Arc::clone(&is_broken), Arc::clone(&asked));
            async move {
                let mut wire = Wire::new(stream);
                while wire.request().await.is_ok() {
                    asked.fetch_add(1, Ordering::Relaxed);
                    if is_broken.load(Ordering::Relaxed) {
                        let _set = wire.stream.set_zero_linger();
                        return;
                    }
                    let _sent = wire.stream.write_all(&ok("alike")).await;
                }
            }
        })
        .await
    };
    let router = Router::start(
        &(shadowed(&monolith, &service) + "[fallback]\ncircuit_failures = 3\ncircuit_pause = \"1s\"\n"),
    );
    let comparisons = async || {
        let known = router.ask_admin("/routes/read/evidence").await.1;
        known["comparisons"].clone()
    };
    until("copies to be kept from it", || async {
        router.connect().await.get("/read").await;
        comparisons().await["drops"]["circuit-open"].as_u64() > Some(0)
    })
    .await;
    let status = router.ask_admin("/status").await.1;
    assert_eq!(status["upstreams"][1]["circuit"], "open for copies");
    let mut client = router.connect().await;
    let (began, before) = (Instant::now(), asked.load(Ordering::Relaxed));
    for _ in 0..500 {
        assert_eq!(client.get("/read").await.text(), "alike");
    }
    // One copy a pause; what was under way when it began, and a place for a late count.
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() + 10;
    let more = asked.load(Ordering::Relaxed) - before;
    assert!(more <= most, "{more} copies for a service that is away");
    is_broken.store(false, Ordering::Relaxed);
    until("it to be compared again", || async {
        router.connect().await.get("/read").await;
        let agreed = comparisons().await["agreed"].clone();
        agreed
            .as_array()
            .unwrap()
            .iter()
            .any(|count| count.as_u64() > Some(1))
    })
    .await;
}

/// Each such copy takes a connection and what the service manages to send on it, and compares nothing.
#[tokio::test]
async fn a_service_that_answers_with_too_much_is_left_alone_as_well() {
    let monolith = Upstream::named("little").await;
    let service = Upstream::answering(|_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n";
        format!("{head}{}", "x".repeat(4096)).into_bytes()
    })
    .await;
    let router = Router::start(
        &(shadowed(&monolith, &service) + "[fallback]\ncircuit_failures = 3\ncircuit_pause = \"1h\"\n"),
    );
    until("copies to be kept from it", || async {
        router.connect().await.get("/read").await;
        let known = router.ask_admin("/routes/read/evidence").await.1;
        known["comparisons"]["drops"]["circuit-open"].as_u64() > Some(0)
    })
    .await;
    let known = router.ask_admin("/routes/read/evidence").await.1;
    let too_large = &known["comparisons"]["incomparable"];
    assert!(too_large.as_u64() >= Some(3), "{known:#}");
}

#[tokio::test]
async fn a_client_that_leaves_half_way_is_counted() {
    let body = "x".repeat(64 << 20);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let monolith = Upstream::answering(move |_| answer.clone().into_bytes()).await;
    let service = Upstream::named("never asked").await;
    let large =
        shadowed(&monolith, &service).replace("memory = \"16MiB\"", "memory = \"1GiB\"\nmax_body = \"1GiB\"");
    let router = Router::start(&large);
    let mut client = router.connect().await;
    client.send("GET /read HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon("the answer to begin", client.stream.readable())
        .await
        .unwrap();
    drop(client);
    until("the copy to be dropped", || async {
        router.ask_admin("/routes/read/evidence").await.1["comparisons"]["drops"]["incomplete"] == 1
    })
    .await;
    assert_eq!(service.received().len(), 0);
}
