//! A canary's share, and that nobody is moved about while it grows.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::router::{config, route};
use crate::support::{Client, Router, Upstream, until};

async fn set_up(percent: &str, sticky: &str) -> (Upstream, Upstream, Router) {
    let (monolith, service) = (
        Upstream::named("monolith").await,
        Upstream::named("service").await,
    );
    let router = Router::start(&config(
        "",
        monolith.address,
        service.address,
        &canary(percent, sticky),
    ));
    (monolith, service, router)
}

fn canary(percent: &str, sticky: &str) -> String {
    route(
        "c",
        "GET /a",
        &format!("\"canary\"\npercent = {percent}\nsticky = \"{sticky}\""),
    )
}

async fn sides(router: &Router, customers: usize) -> Vec<bool> {
    let mut client = router.connect().await;
    let mut sides = Vec::new();
    for n in 0..customers {
        let answer = client
            .request(&format!("GET /a HTTP/1.1\nhost: a\nx-customer: c{n}"))
            .await;
        let why = answer.header("x-served-why").unwrap();
        assert!(why.starts_with("route=c mode=canary bucket="), "{why}");
        sides.push(answer.served_by() == "catalog");
    }
    sides
}

#[tokio::test]
async fn the_share_is_as_asked_and_growth_moves_nobody_back() {
    const CUSTOMERS: usize = 1500;
    let (monolith, service, router) = set_up("0", "header:x-customer").await;
    let mut before = vec![false; CUSTOMERS];
    for percent in ["0", "0.5", "5", "20", "50.25", "90", "100"] {
        let text = config(
            "",
            monolith.address,
            service.address,
            &canary(percent, "header:x-customer"),
        );
        router.write(&text);
        until("the new share", || async {
            let (_, routes) = router.ask_admin("/routes").await;
            routes["routes"][0]["percent"].as_f64() == percent.parse().ok()
        })
        .await;
        let now = sides(&router, CUSTOMERS).await;
        assert!(
            before.iter().zip(&now).all(|(before, now)| !before || *now),
            "somebody was moved back at {percent} %"
        );
        let share: f64 = percent.parse::<f64>().unwrap() / 100.0;
        let served = now.iter().filter(|side| **side).count() as f64;
        let expected = CUSTOMERS as f64 * share;
        let sigma = (expected * (1.0 - share)).sqrt();
        assert!(
            (served - expected).abs() <= 3.0 * sigma,
            "{percent} %: {served} of {CUSTOMERS}"
        );
        before = now;
    }
    assert_eq!(sides(&router, 200).await, vec![true; 200]);
}

#[tokio::test]
async fn cookies_and_addresses_stick() {
    let (_monolith, _service, router) = set_up("50", "cookie:sid").await;
    let mut client = router.connect().await;
    for n in 0..30 {
        let cookie = format!("GET /a HTTP/1.1\nhost: a\ncookie: other=1; sid=s{n}; x=2");
        let first = client.request(&cookie).await;
        let again = client
            .request(&format!("GET /a HTTP/1.1\nhost: a\ncookie: sid=s{n}"))
            .await;
        assert_eq!(first.served_by(), again.served_by());
        assert_eq!(
            first.served_by(),
            router.why(&["GET", "/a", "-H", &format!("cookie: sid=s{n}")])["served_by"]
        );
    }
    let without = client.get("/a").await;
    assert!(
        without
            .header("x-served-why")
            .unwrap()
            .ends_with("key=client missing=cookie:sid")
    );
    for _ in 0..10 {
        assert_eq!(client.get("/a").await.served_by(), without.served_by());
    }
    assert_eq!(router.why(&["GET", "/a"])["served_by"], without.served_by());
}

/// What the customers of one connection met with.
#[derive(Debug, Default)]
struct Met {
    answers: u64,
    failures: u64,
    moved_back: u64,
}

/// Browses as 200 customers by turns, whom no other connection serves, so that each one's answers have an order.
async fn browse(address: SocketAddr, connection: usize, stop: Arc<AtomicBool>) -> Met {
    let mut client = Client::connect(address).await;
    let (mut met, mut on_service) = (Met::default(), HashSet::new());
    for customer in (0..200).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("{connection}-{customer}");
        client
            .send(format!(
                "GET /a HTTP/1.1\r\nhost: a\r\nx-customer: {name}\r\n\r\n"
            ))
            .await;
        match client.try_answer().await {
            Ok(answer) if answer.status == 200 && answer.is_whole => {
                met.answers += 1;
                if answer.served_by() == "catalog" {
                    on_service.insert(name);
                } else if on_service.contains(&name) {
                    met.moved_back += 1;
                }
            }
            other => {
                println!("failed: {other:?}");
                met.failures += 1;
                client = Client::connect(address).await;
            }
        }
    }
    met
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_steps_up_under_traffic_lose_nothing_and_move_nobody_back() {
    let (monolith, service, router) = set_up("0", "header:x-customer").await;
    let stop = Arc::<AtomicBool>::default();
    let browsing: Vec<_> = (0..8)
        .map(|connection| tokio::spawn(browse(router.address, connection, Arc::clone(&stop))))
        .collect();
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    for percent in 1..=100 {
        let changed = Instant::now();
        router.write(&config(
            "",
            monolith.address,
            service.address,
            &canary(&percent.to_string(), "header:x-customer"),
        ));
        router.signal("HUP");
        until("the new share", || async {
            let (_, routes) = router.ask_admin("/routes").await;
            routes["routes"][0]["percent"].as_f64() == Some(f64::from(percent))
        })
        .await;
        slowest = slowest.max(changed.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = Met::default();
    for connection in browsing {
        let met = connection.await.unwrap();
        all.answers += met.answers;
        all.failures += met.failures;
        all.moved_back += met.moved_back;
    }
    let rate = all.answers as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0} requests/s, slowest step {slowest:?}, {all:?}");
    assert_eq!(
        (all.failures, all.moved_back),
        (0, 0),
        "of {} answers",
        all.answers
    );
    assert!(rate >= 1000.0, "only {rate:.0} requests/s");
    assert!(slowest <= Duration::from_millis(1500), "a step took {slowest:?}");
}
