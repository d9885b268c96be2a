//! An upstream with several addresses: requests are spread, one that fails is left alone, and comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::support::router::{config, route};
use crate::support::upstream::{Wire, ok};
use crate::support::{Router, Upstream, until};

const BROKEN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull";
/// Left alone for a moment at a time.
const BRIEFLY: &str = "[ejection]\npause = \"50ms\"\nmax_pause = \"100ms\"\n";
/// Left alone until the end of the test.
const FOR_LONG: &str = "[ejection]\npause = \"1h\"\nmax_pause = \"1h\"\n";

fn list(addresses: &[SocketAddr]) -> String {
    let urls: Vec<String> = addresses
        .iter()
        .map(|address| format!("\"http://{address}\""))
        .collect();
    format!("[{}]", urls.join(", "))
}

/// A router before a monolith with these addresses, so that nothing else answers in its place.
fn before(addresses: &[SocketAddr], more: &str) -> Router {
    let text = config("", addresses[0], addresses[0], "");
    let one = format!("monolith = \"http://{}\"", addresses[0]);
    Router::start(&(text.replace(&one, &format!("monolith = {}", list(addresses))) + more))
}

/// What the status says of the addresses of an upstream.
async fn addresses(router: &Router, upstream: &str) -> Vec<Value> {
    let (_, status) = router.ask_admin("/status").await;
    let upstreams = status["upstreams"].as_array().unwrap();
    let upstream = upstreams.iter().find(|known| known["name"] == upstream).unwrap();
    upstream["addresses"].as_array().unwrap().clone()
}

async fn is_left_alone(router: &Router, index: usize) -> bool {
    !addresses(router, "monolith").await[index]["left_alone_ms"].is_null()
}

async fn events(router: &Router, kind: &str) -> f64 {
    let text = router.operate("GET", "/metrics", "").await.text();
    let series = format!("banyan_events_total{{kind=\"{kind}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.map_or(0.0, |number| number.parse().unwrap())
}

/// Asks over several connections at once; how many answers there were of each status.
async fn ask_all(router: &Router, clients: usize, each: usize) -> Vec<u16> {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let mut client = router.connect().await;
        asking.spawn(async move {
            let mut statuses = Vec::new();
            for _ in 0..each {
                statuses.push(client.get("/a").await.status);
            }
            statuses
        });
    }
    asking.join_all().await.concat()
}

#[tokio::test]
async fn requests_are_spread_and_a_slow_address_gets_fewer() {
    let quick = Upstream::named("quick").await;
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let slow = Upstream::serving(move |stream, _| {
        let count = Arc::clone(&count);
        async move {
            let mut wire = Wire::new(stream);
            while wire.request().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
                // It is quick to begin: what is under way is so until the end of its answer.
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";
                wire.stream.write_all(head).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                if wire.stream.write_all(b"slow").await.is_err() {
                    break;
                }
            }
        }
    })
    .await;
    let router = before(&[quick.address, slow.address], "");
    // One after the other, nothing is under way: both get their share, within five sigma.
    let statuses = ask_all(&router, 1, 100).await;
    assert!(statuses.iter().all(|status| *status == 200));
    let by_turns = served.load(Ordering::SeqCst);
    assert!((25..=75).contains(&by_turns), "{by_turns} of 100");
    ask_all(&router, 10, 50).await;
    let at_once = served.load(Ordering::SeqCst) - by_turns;
    assert!(at_once < 150, "{at_once} of 500 at one that is slow");
    assert!(at_once > 0);
}

#[tokio::test]
async fn an_address_that_dies_costs_no_error_is_left_alone_and_comes_back() {
    let (first, second) = (Upstream::named("one").await, Upstream::named("two").await);
    let router = before(&[first.address, second.address], BRIEFLY);
    ask_all(&router, 8, 20).await;
    assert!(!first.received().is_empty() && !second.received().is_empty());
    assert_eq!(addresses(&router, "catalog").await, [] as [Value; 0]);
    let asking = async { ask_all(&router, 8, 100).await };
    let killing = async {
        until("some requests", || async { second.received().len() > 150 }).await;
        first.kill().await
    };
    let (statuses, address) = tokio::join!(asking, killing);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 800);
    until("its ejection", || async {
        assert!(ask_all(&router, 4, 10).await.iter().all(|status| *status == 200));
        is_left_alone(&router, 0).await
    })
    .await;
    assert_eq!(events(&router, "address-ejected").await, 1.0);
    let said = router.command(&["status"]).await;
    assert!(said.out.contains("LEFT ALONE"), "{}", said.out);
    let text = router.operate("GET", "/metrics", "").await.text();
    for line in [
        "banyan_address_ejected{upstream=\"monolith\",address=\"0\"} 1.0",
        "banyan_address_ejected{upstream=\"monolith\",address=\"1\"} 0.0",
        "banyan_address_ejections_total{upstream=\"monolith\",address=\"0\"} 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    // It stays dead for some tries, which cost nothing either.
    let statuses = ask_all(&router, 4, 200).await;
    assert!(statuses.iter().all(|status| *status == 200));
    let again = Upstream::serving_at(address, |stream, _| async move {
        let mut wire = Wire::new(stream);
        while wire.request().await.is_ok() {
            wire.stream.write_all(&ok("again")).await.unwrap();
        }
    })
    .await;
    until("its return", || async {
        router.connect().await.get("/a").await.text() == "again"
    })
    .await;
    assert!(!is_left_alone(&router, 0).await);
    assert_eq!(events(&router, "address-returned").await, 1.0);
    drop(again);
}

#[tokio::test]
async fn what_was_never_sent_goes_to_another_address_whole_and_the_reason_says_so() {
    let (first, second) = (Upstream::named("one").await, Upstream::named("two").await);
    let router = before(&[first.address, second.address], FOR_LONG);
    let mut client = router.connect().await;
    ask_all(&router, 4, 20).await;
    first.kill().await;
    let body = "x".repeat(100_000);
    let mut retried = 0;
    until("some requests to be sent elsewhere", || async {
        let head = format!(
            "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n",
            body.len()
        );
        let expect = ["", "expect: 100-continue\r\n"];
        for expect in expect {
            let mut client = router.connect().await;
            client.send(format!("{head}{expect}\r\n{body}")).await;
            let mut answer = client.answer().await;
            if answer.status == 100 {
                answer = client.answer().await;
            }
            assert_eq!((answer.status, answer.text().as_str()), (200, "two"));
            assert_eq!(second.last().body.len(), body.len());
        }
        is_left_alone(&router, 0).await
    })
    .await;
    // From now on nothing is tried in vain.
    for _ in 0..20 {
        let answer = client.get("/a").await;
        retried += usize::from(answer.header("x-served-why").unwrap().contains("other-address"));
    }
    assert_eq!(retried, 0);
}

#[tokio::test]
async fn an_upgrade_goes_to_the_address_that_can_be_reached() {
    let dead = Upstream::named("dead").await.kill().await;
    let alive = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        wire.request().await.unwrap();
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
        wire.stream.write_all(head.as_bytes()).await.unwrap();
    })
    .await;
    let router = before(&[dead, alive.address], FOR_LONG);
    let mut moved = 0;
    for _ in 0..20 {
        let mut client = router.connect().await;
        let head = "GET /ws HTTP/1.1\nhost: a\nconnection: Upgrade\nupgrade: websocket";
        let answer = client.request(head).await;
        assert_eq!(answer.status, 101);
        let why = answer.header("x-served-why").unwrap().to_owned();
        moved += usize::from(why.ends_with("other-address=unreachable"));
    }
    // It is left alone after five.
    assert_eq!(moved, 5);
}

#[tokio::test]
async fn an_address_that_answers_errors_is_left_alone_and_what_finds_out_about_it_costs_nothing() {
    let is_well = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_well);
    let sick = Upstream::answering(move |_| match flag.load(Ordering::SeqCst) {
        true => ok("well"),
        false => BROKEN.to_vec(),
    })
    .await;
    let healthy = Upstream::named("healthy").await;
    let router = before(&[sick.address, healthy.address], BRIEFLY);
    let mut client = router.connect().await;
    let mut errors = 0;
    while !is_left_alone(&router, 0).await {
        errors += usize::from(client.get("/a").await.status == 503);
    }
    assert_eq!(
        errors, 5,
        "an answer is an answer, until there have been five in a row"
    );
    let before = sick.received().len();
    until("some tries", || async {
        let answer = router.connect().await.get("/a").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "healthy"));
        sick.received().len() >= before + 4
    })
    .await;
    assert_eq!(events(&router, "address-ejected").await, 1.0, "tries are no news");
    is_well.store(true, Ordering::SeqCst);
    until("its return", || async {
        router.connect().await.get("/a").await.text() == "well"
    })
    .await;
}

#[tokio::test]
async fn when_all_addresses_of_a_service_are_dead_its_circuit_opens_as_with_one() {
    let monolith = Upstream::named("monolith").await;
    let (first, second) = (Upstream::named("one").await, Upstream::named("two").await);
    let routes = route("read", "GET /a", "\"service\"");
    let text = config("", monolith.address, first.address, &routes).replace(
        &format!("catalog = \"http://{}\"", first.address),
        &format!("catalog = {}", list(&[first.address, second.address])),
    );
    let router = Router::start(&(text + FOR_LONG + "[fallback]\ncircuit_pause = \"1h\"\n"));
    let mut client = router.connect().await;
    assert_eq!(client.get("/a").await.served_by(), "catalog");
    // One is dead: nobody notices, and the circuit stays closed.
    first.kill().await;
    for _ in 0..100 {
        let answer = client.get("/a").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "two"));
    }
    let circuit = async || {
        let (_, status) = router.ask_admin("/status").await;
        status["upstreams"][1]["circuit"].as_str().unwrap().to_owned()
    };
    assert_eq!(circuit().await, "closed");
    second.kill().await;
    let mut whys = Vec::new();
    for _ in 0..20 {
        let answer = client.get("/a").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "monolith"));
        whys.push(answer.header("x-served-why").unwrap().to_owned());
    }
    assert!(whys[0].ends_with("fallback=unreachable"), "{whys:?}");
    assert!(whys[19].ends_with("fallback=circuit-open"), "{whys:?}");
    assert_eq!(circuit().await, "open");
    let left_alone = addresses(&router, "catalog").await;
    let left_alone = left_alone
        .iter()
        .filter(|address| !address["left_alone_ms"].is_null());
    assert_eq!(left_alone.count(), 1, "the last one never is");
}

#[tokio::test]
async fn an_address_that_answers_errors_is_no_reason_to_leave_its_service_alone() {
    let monolith = Upstream::named("monolith").await;
    let sick = Upstream::answering(|_| BROKEN.to_vec()).await;
    let healthy = Upstream::named("healthy").await;
    let routes = route("read", "GET /a", "\"service\"");
    let text = config("", monolith.address, sick.address, &routes).replace(
        &format!("catalog = \"http://{}\"", sick.address),
        &format!("catalog = {}", list(&[sick.address, healthy.address])),
    );
    // One failure that counts would open the circuit.
    let router = Router::start(&(text + FOR_LONG + "[fallback]\ncircuit_failures = 1\n"));
    let mut client = router.connect().await;
    let mut by_monolith = 0;
    for _ in 0..100 {
        let answer = client.get("/a").await;
        assert_eq!(answer.status, 200);
        by_monolith += usize::from(answer.text() == "monolith");
    }
    assert_eq!(by_monolith, 5, "until it is left alone");
}

#[tokio::test]
async fn without_a_budget_nothing_is_asked_elsewhere() {
    let dead = Upstream::named("dead").await.kill().await;
    let alive = Upstream::named("alive").await;
    let none = "[fallback]\nretry_ratio = 0\nretry_floor = 0\n";
    let router = before(&[dead, alive.address], &(FOR_LONG.to_owned() + none));
    let statuses = ask_all(&router, 1, 100).await;
    let failed = statuses.iter().filter(|status| **status == 502).count();
    assert_eq!(failed, 5);
    assert!(is_left_alone(&router, 0).await);
}

#[tokio::test]
async fn what_is_known_of_an_address_outlives_a_reload_that_adds_another() {
    let dead = Upstream::named("dead").await.kill().await;
    let (alive, added) = (Upstream::named("alive").await, Upstream::named("added").await);
    let router = before(&[dead, alive.address], FOR_LONG);
    ask_all(&router, 1, 40).await;
    assert!(is_left_alone(&router, 0).await);
    let text = router.text();
    router.write(&text.replace(
        &list(&[dead, alive.address]),
        &list(&[added.address, alive.address, dead]),
    ));
    until("the new address", || async {
        router.connect().await.get("/a").await.text() == "added"
    })
    .await;
    assert!(is_left_alone(&router, 2).await);
    assert!(!is_left_alone(&router, 0).await);
    let statuses = ask_all(&router, 2, 50).await;
    assert!(statuses.iter().all(|status| *status == 200));
    assert!(
        router.why(&["GET", "/a"])["address"]
            .as_str()
            .unwrap()
            .contains(", ")
    );
}
