//! The pen moves: writes go to whoever holds it, wait while nobody does, and none fails or is done twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::sides::{Sides, pen_of, tell, until_waiting, write, write_of};
use crate::support::{Client, Router, soon, until};

#[tokio::test]
async fn writes_go_to_the_holder_whatever_the_file_says() {
    let sides = Sides::start().await;
    sides.pass();
    let router = sides.router("", "", "\"monolith\"");
    let answer = write(&mut router.connect().await, "first").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "catalog"));
    assert_eq!(answer.served_by(), "catalog");
    assert_eq!(sides.monolith.asked_to_write(), 0);
    sides.until_known(&router, "service", 2).await;
    let answer = write(&mut router.connect().await, "second").await;
    assert_eq!(
        answer.header("x-served-why"),
        Some("route=write mode=monolith pen-epoch=2")
    );
}

#[tokio::test]
async fn a_route_that_goes_where_the_data_is_goes_there_from_the_first_request_on() {
    let sides = Sides::start().await;
    sides.pass();
    let router = sides.router("", "", "\"by-owner\"");
    assert_eq!(router.connect().await.get("/things").await.text(), "catalog");
}

/// Writes again and again, and gives what was acknowledged. Anything else is a failure.
async fn keep_writing(address: std::net::SocketAddr, name: String, is_over: Arc<AtomicBool>) -> Vec<String> {
    let mut client = Client::connect(address).await;
    let mut acknowledged = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let body = format!("{name}-{}", acknowledged.len());
        let answer = write(&mut client, &body).await;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        acknowledged.push(body);
    }
    acknowledged
}

/// A pass in which each state lasts for a moment, long enough for writes to meet it.
async fn slow_pass(sides: &Sides) {
    let epoch = sides.monolith.row().epoch;
    let (giver, taker, from, to) = match epoch % 2 {
        1 => (&sides.monolith, &sides.service, "monolith", "catalog"),
        _ => (&sides.service, &sides.monolith, "catalog", "monolith"),
    };
    let moment = Duration::from_millis(25);
    giver.set(from, epoch, "fenced");
    tokio::time::sleep(moment).await;
    giver.set(to, epoch + 1, "granted");
    tokio::time::sleep(moment).await;
    taker.set(to, epoch + 1, "held");
    tokio::time::sleep(moment).await;
    giver.set(to, epoch + 1, "held");
    giver.follows("following", &format!("{}-0", epoch + 1));
    tokio::time::sleep(moment).await;
}

/// Sixteen clients at these routers, while the pen moves six times; the first router is told, if it is to be.
async fn move_under_load(sides: &Sides, routers: &[&Router], is_told: bool) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for number in 0..16 {
        let address = routers[number % routers.len()].address;
        clients.spawn(keep_writing(
            address,
            format!("{}c{number}", if is_told { "told-" } else { "" }),
            Arc::clone(&is_over),
        ));
    }
    for _ in 0..6 {
        let before = sides.written().len();
        until("some writes", || async { sides.written().len() > before + 50 }).await;
        if is_told {
            tell(routers[0], "hold", r#"{"ms": 2000, "reason": "a pass"}"#).await;
        }
        slow_pass(sides).await;
        if is_told {
            tell(routers[0], "release", "{}").await;
        }
    }
    is_over.store(true, Ordering::SeqCst);
    let acknowledged = soon("all clients", clients.join_all()).await.concat();
    let mut times: HashMap<String, usize> = HashMap::new();
    // Other clients may have been here before these.
    let mine = |body: &String| body.starts_with("told-") == is_told;
    for body in sides.written().into_iter().filter(mine) {
        *times.entry(body).or_default() += 1;
    }
    assert!(times.values().all(|count| *count == 1), "done twice: {times:?}");
    assert_eq!(times.len(), acknowledged.len(), "done and not acknowledged");
    assert!(acknowledged.iter().all(|body| times.contains_key(body)), "lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pen_moves_under_sixteen_clients_and_no_write_fails_or_is_done_twice() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    move_under_load(&sides, &[&router], true).await;
    // The clients notice nothing either if nobody has told the router.
    move_under_load(&sides, &[&router], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_router_that_nobody_tells_fails_no_write_either() {
    let sides = Sides::start().await;
    let (told, untold) = (
        sides.router("", "", "\"monolith\""),
        sides.router("", "", "\"service\""),
    );
    move_under_load(&sides, &[&told, &untold], true).await;
}

#[tokio::test]
async fn a_router_that_has_slept_learns_from_the_first_refusal_and_sends_that_write_once_more() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    // As if it had slept for a minute: no status reaches it.
    sides.monolith.reachable(false);
    sides.service.reachable(false);
    until("the router to be out of touch", || async {
        pen_of(&router).await["state"] == "unknown"
    })
    .await;
    sides.pass();
    let mut client = router.connect().await;
    let answer = write(&mut client, "one").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "catalog"),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("x-served-why"),
        Some("route=write mode=monolith replayed=421 pen-epoch=2")
    );
    assert_eq!(write(&mut client, "two").await.status, 200);
    let asked = (sides.monolith.asked_to_write(), sides.service.asked_to_write());
    assert_eq!(asked, (1, 2));
    assert_eq!(sides.written(), ["one", "two"]);
}

#[tokio::test]
async fn a_write_waits_until_the_new_holder_has_accepted() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.monolith.set("catalog", 2, "granted");
    let mut client = router.connect().await;
    client.send(write_of("x")).await;
    until_waiting(&router, 1).await;
    // The service is asked for its pen again and again, and never to write.
    let looks = sides.service.status_looks();
    until("more looks", || async {
        sides.service.status_looks() > looks + 5
    })
    .await;
    assert_eq!(
        (sides.written().len(), sides.service.asked_to_write()),
        (0, 0),
        "{:?}",
        sides.written()
    );
    sides.service.set("catalog", 2, "held");
    assert_eq!(client.answer().await.text(), "catalog");
    assert_eq!(sides.written(), ["x"]);
}

#[tokio::test]
async fn a_fence_that_is_taken_back_lets_writes_go_on_at_the_same_side() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.monolith.set("monolith", 1, "fenced");
    let mut client = router.connect().await;
    client.send(write_of("x")).await;
    until_waiting(&router, 1).await;
    sides.monolith.set("monolith", 3, "held");
    assert_eq!(client.answer().await.text(), "monolith");
    assert_eq!(
        (sides.written(), sides.service.asked_to_write()),
        (vec!["x".to_owned()], 0)
    );
}

#[tokio::test]
async fn a_write_that_waits_for_its_body_to_be_asked_for_is_sent_once_more_too() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.monolith.reachable(false);
    sides.service.reachable(false);
    sides.pass();
    let mut client = router.connect().await;
    let head = "POST /things HTTP/1.1\nhost: a\ncontent-length: 4\nexpect: 100-continue";
    assert_eq!(client.request(head).await.status, 100);
    client.send("body").await;
    assert_eq!(client.answer().await.text(), "catalog");
    assert_eq!(sides.written(), ["body"]);
}
