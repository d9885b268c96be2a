//! `auto = true`: a healthy service is promoted step by step, one that hurts its clients goes back at once, and what went
//! back stays back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::support::router::{config, route};
use crate::support::upstream::{Wire, ok};
use crate::support::{Client, Router, Upstream, until};

/// Bounds that a few seconds of a test's traffic can meet; what is asked of latencies is left to others.
const SMALL: &str = "[certificate]\nmin_comparisons = 20\nmin_per_class = 5\nmin_span = \"200ms\"\nmin_latencies = 5\n\
    max_mismatch = 20\nmax_errors = 20\nmax_unseen = 50\nlatency_slack = \"10s\"\n\
    [promotion]\ninterval = \"1s\"\nsteps = [25, 50]\n[shadow]\nrecheck_after = \"20ms\"\nnoise_sample = 0\n";

/// The same, but each round asks for the next step and never has the evidence for it. From the monolith to shadow none is
/// asked for, so a route that went back would go there within seconds if it might.
fn patient() -> String {
    SMALL.replace("min_comparisons = 20", "min_comparisons = 1000000")
}

/// How soon a service that hurts must be out of the way.
const SOON: Duration = Duration::from_secs(5);

/// What the service does.
const WELL: usize = 0;
const ILL: usize = 1;
const SLOW: usize = 2;
const GONE: usize = 3;

/// Traffic of many users through a router with one automatic route.
struct SetUp {
    router: Arc<Router>,
    health: Arc<AtomicUsize>,
    sent: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    _upstreams: [Upstream; 2],
}

impl SetUp {
    async fn new(mode: &str, more: &str) -> Self {
        let health = Arc::new(AtomicUsize::new(WELL));
        let monolith = serving("same", Arc::default()).await;
        let service = serving("same", Arc::clone(&health)).await;
        let routes = route("read", "GET /read", mode) + "sticky = \"header:x-user\"\n";
        let text = config("", monolith.address, service.address, &routes) + more;
        let text = text.replace("service = \"catalog\"\n", "service = \"catalog\"\nauto = true\n");
        let set_up = Self {
            router: Arc::new(Router::start(&text)),
            health,
            sent: Arc::default(),
            failed: Arc::default(),
            stop: Arc::default(),
            _upstreams: [monolith, service],
        };
        for lane in 0..4 {
            set_up.send(lane);
        }
        set_up
    }

    /// Sends requests of ever other users on one connection.
    fn send(&self, lane: u64) {
        let (address, sent, failed) = (
            self.router.address,
            Arc::clone(&self.sent),
            Arc::clone(&self.failed),
        );
        let stop = Arc::clone(&self.stop);
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            while !stop.load(Ordering::Relaxed) {
                let user = sent.fetch_add(1, Ordering::Relaxed);
                let head = format!("GET /read HTTP/1.1\r\nhost: a\r\nx-user: {lane}-{user}\r\n\r\n");
                // The router is killed when the test has ended.
                let answered = match client.stream.write_all(head.as_bytes()).await {
                    Ok(()) => client.try_answer().await,
                    Err(error) => Err(error),
                };
                if !answered.is_ok_and(|answer| answer.status == 200 && answer.is_whole) {
                    failed.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(8)).await;
            }
        });
    }

    async fn mode(&self) -> String {
        let (_, routes) = self.router.ask_admin("/routes").await;
        routes["routes"][0]["mode"].as_str().unwrap().to_owned()
    }

    async fn entries(&self) -> Vec<Value> {
        let (_, page) = self.router.ask_admin("/audit?route=read").await;
        page["entries"].as_array().cloned().unwrap_or_default()
    }

    /// The service gets into a state; how long until the route is back at the monolith.
    async fn time_to_go_back(&self, state: usize) -> Duration {
        let before = self.sent.load(Ordering::Relaxed);
        // So much traffic that there is something to tell well from ill by.
        until("traffic", || async {
            self.sent.load(Ordering::Relaxed) > before + 400
        })
        .await;
        self.health.store(state, Ordering::Relaxed);
        let began = Instant::now();
        until("the revert", || async { self.mode().await == "monolith" }).await;
        began.elapsed()
    }

    /// Nothing promotes it again, though the service is well and rounds go by.
    async fn stays_back(&self) {
        self.health.store(WELL, Ordering::Relaxed);
        let before = self.sent.load(Ordering::Relaxed);
        until("much more traffic", || async {
            assert_eq!(self.mode().await, "monolith");
            self.sent.load(Ordering::Relaxed) > before + 2_000
        })
        .await;
        let entries = self.entries().await;
        assert_eq!(entries[0]["action"], "auto-revert", "{entries:#?}");
        assert_eq!(
            self.failed.load(Ordering::Relaxed),
            0,
            "of {}",
            self.sent.load(Ordering::Relaxed)
        );
    }
}

impl Drop for SetUp {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// An upstream that answers after five milliseconds, with errors, ten times as slowly, or not at all.
async fn serving(body: &'static str, health: Arc<AtomicUsize>) -> Upstream {
    Upstream::serving(move |stream, _| {
        let health = Arc::clone(&health);
        async move {
            let mut wire = Wire::new(stream);
            while wire.request().await.is_ok() {
                let state = health.load(Ordering::Relaxed);
                let pause = if state == SLOW { 50 } else { 5 };
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if state == GONE {
                    let _set = wire.stream.set_zero_linger();
                    break;
                }
                let answer = match state {
                    ILL => b"HTTP/1.1 500 Ill\r\ncontent-length: 0\r\n\r\n".to_vec(),
                    _ => ok(body),
                };
                if wire.stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_pair_is_promoted_step_by_step_up_to_the_service() {
    let set_up = SetUp::new("\"monolith\"", SMALL).await;
    let began = Instant::now();
    while set_up.mode().await != "service" {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{:#?}",
            set_up.entries().await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("promoted in {:?}", began.elapsed());
    let moves: Vec<String> = set_up
        .entries()
        .await
        .iter()
        .rev()
        .map(|entry| {
            assert_eq!(entry["action"], "auto-promote");
            let step = &entry["moves"][0];
            format!(
                "{} → {}",
                step["before"].as_str().unwrap(),
                step["after"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        moves,
        [
            "monolith → shadow",
            "shadow → canary 25 %",
            "canary 25 % → canary 50 %",
            "canary 50 % → service"
        ]
    );
    assert_eq!(set_up.failed.load(Ordering::Relaxed), 0);
    // A person's revert has the last word as well.
    assert_eq!(set_up.router.command(&["revert", "read"]).await.code, 0);
    let before = set_up.sent.load(Ordering::Relaxed);
    until("much more traffic", || async {
        assert_eq!(set_up.mode().await, "monolith");
        set_up.sent.load(Ordering::Relaxed) > before + 2_000
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_begins_to_fail_goes_back_within_five_seconds_and_no_client_sees_it() {
    let set_up = SetUp::new("\"canary\"\npercent = 25", &patient()).await;
    let took = set_up.time_to_go_back(ILL).await;
    println!("5xx: back after {took:?}");
    assert!(took <= SOON, "{took:?}");
    set_up.stays_back().await;
    let events = set_up.router.command(&["events"]).await;
    assert!(
        events.out.contains("breach") && events.out.contains("revert by itself"),
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_becomes_ten_times_slower_goes_back_within_five_seconds() {
    let set_up = SetUp::new("\"canary\"\npercent = 25", &patient()).await;
    let took = set_up.time_to_go_back(SLOW).await;
    println!("slow: back after {took:?}");
    assert!(took <= SOON, "{took:?}");
    set_up.stays_back().await;
    let reason = set_up.entries().await[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("latency:"), "{reason}");
}

/// Nearly nothing but copies meets the service, and those are kept from it once it cannot be reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_dies_under_a_tiny_canary_goes_back_within_five_seconds() {
    let set_up = SetUp::new("\"canary\"\npercent = 0.01", &patient()).await;
    let took = set_up.time_to_go_back(GONE).await;
    println!("gone: back after {took:?}");
    assert!(took <= SOON, "{took:?}");
    set_up.stays_back().await;
    let reason = set_up.entries().await[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("health:"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breach_goes_back_while_a_promotion_waits_for_its_evidence() {
    let set_up = SetUp::new("\"canary\"\npercent = 25", &patient()).await;
    let held = set_up.router.command(&["promote", "read"]).await;
    assert_eq!(held.code, 3, "{held:?}");
    let took = set_up.time_to_go_back(ILL).await;
    assert!(took <= SOON, "{took:?}");
    set_up.stays_back().await;
}
