//! What bounds a write that waits for the pen or is sent once more: number, bytes, time, and one attempt too few rather than one too many.

use std::time::{Duration, Instant};

use crate::support::sides::{Sides, pen_of, tell, until_waiting, write, write_of};
use crate::support::upstream::{Wire, ok};
use crate::support::{Router, Upstream, until};

const HANDED_OVER: &str = "urn:banyan:router:handed-over";

/// Sides that the router can no longer ask, after the pen has moved without its knowledge.
async fn out_of_touch(handover: &str) -> (Sides, Router) {
    let sides = Sides::start().await;
    let router = sides.router("", handover, "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.monolith.reachable(false);
    sides.service.reachable(false);
    until("the router to be out of touch", || async {
        pen_of(&router).await["state"] == "unknown"
    })
    .await;
    sides.pass();
    (sides, router)
}

#[tokio::test]
async fn no_more_writes_wait_than_may_and_those_that_wait_go_on() {
    let sides = Sides::start().await;
    let router = sides.router("", "hold_requests = 2", "\"monolith\"");
    tell(&router, "hold", r#"{"ms": 10000}"#).await;
    let mut waiting = [router.connect().await, router.connect().await];
    for (count, client) in waiting.iter_mut().enumerate() {
        client.send(write_of(&format!("w{count}"))).await;
        until_waiting(&router, count as u64 + 1).await;
    }
    let mut late = router.connect().await;
    let refused = write(&mut late, "late").await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, HANDED_OVER));
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(wait >= 1, "{refused:?}");
    tell(&router, "release", "{}").await;
    for client in &mut waiting {
        assert_eq!(client.answer().await.status, 200);
    }
    let mut written = sides.written();
    written.sort();
    assert_eq!(written, ["w0", "w1"]);
    // The connection is as good as before.
    assert_eq!(write(&mut late, "again").await.status, 200);
}

#[tokio::test]
async fn the_bodies_of_writes_that_wait_take_no_more_room_than_they_may() {
    let sides = Sides::start().await;
    let router = sides.router("", "hold_bytes = \"1KiB\"", "\"monolith\"");
    tell(&router, "hold", r#"{"ms": 10000}"#).await;
    let (mut first, mut second) = (router.connect().await, router.connect().await);
    let body = "b".repeat(800);
    first.send(write_of(&body)).await;
    until_waiting(&router, 1).await;
    let refused = write(&mut second, &body).await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, HANDED_OVER));
    assert!(refused.header("retry-after").is_some());
    tell(&router, "release", "{}").await;
    assert_eq!(first.answer().await.status, 200);
    // What the first one took is there again.
    tell(&router, "hold", r#"{"ms": 10000}"#).await;
    let mut third = router.connect().await;
    third.send(write_of(&body)).await;
    until_waiting(&router, 1).await;
    tell(&router, "release", "{}").await;
    assert_eq!(third.answer().await.status, 200);
}

#[tokio::test]
async fn a_write_waits_for_its_time_and_not_longer() {
    let sides = Sides::start().await;
    let router = sides.router("", "hold = \"300ms\"", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.monolith.set("monolith", 1, "fenced");
    let began = Instant::now();
    let refused = write(&mut router.connect().await, "x").await;
    let took = began.elapsed();
    assert_eq!((refused.status, refused.problem().as_str()), (503, HANDED_OVER));
    assert!(refused.header("retry-after").is_some());
    assert!(
        refused
            .header("x-served-why")
            .is_some_and(|why| why.ends_with("error=handed-over")),
        "{refused:?}"
    );
    assert!(
        (Duration::from_millis(280)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
    assert!(sides.written().is_empty());
    assert_eq!(pen_of(&router).await["waiting"], 0);
}

#[tokio::test]
async fn an_operators_hold_ends_by_itself() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    tell(&router, "hold", r#"{"ms": 300}"#).await;
    let began = Instant::now();
    assert_eq!(write(&mut router.connect().await, "x").await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(200), "it did not wait");
    let too_long = router
        .operate("POST", "/modules/catalog/hold", r#"{"ms": 10001}"#)
        .await;
    assert_eq!(too_long.status, 422);
    let unknown = router
        .operate("POST", "/modules/orders/hold", r#"{"ms": 1}"#)
        .await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn the_time_for_the_whole_exchange_holds_over_the_waiting() {
    let sides = Sides::start().await;
    let router = sides.router("request_timeout = \"500ms\"", "hold = \"10s\"", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.monolith.set("monolith", 1, "fenced");
    let began = Instant::now();
    let refused = write(&mut router.connect().await, "x").await;
    assert!(matches!(refused.status, 503 | 504), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    until_waiting(&router, 0).await;
    let asked = sides.monolith.asked_to_write();
    sides.monolith.set("monolith", 3, "held");
    sides.until_known(&router, "monolith", 3).await;
    assert_eq!(
        (sides.monolith.asked_to_write(), sides.written().len()),
        (asked, 0)
    );
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back_and_its_write_is_not_sent() {
    let sides = Sides::start().await;
    let router = sides.router("", "hold_requests = 1", "\"monolith\"");
    tell(&router, "hold", r#"{"ms": 10000}"#).await;
    let mut leaving = router.connect().await;
    leaving.send(write_of("left")).await;
    until_waiting(&router, 1).await;
    drop(leaving);
    until_waiting(&router, 0).await;
    let mut next = router.connect().await;
    next.send(write_of("next")).await;
    until_waiting(&router, 1).await;
    tell(&router, "release", "{}").await;
    assert_eq!(next.answer().await.status, 200);
    assert_eq!(sides.written(), ["next"]);
}

#[tokio::test]
async fn a_body_that_is_kept_arrives_whole_the_second_time() {
    let (sides, router) = out_of_touch("replay_bytes = \"64KiB\"").await;
    let body = "0123456789abcdef".repeat(4096);
    assert_eq!(write(&mut router.connect().await, &body).await.text(), "catalog");
    assert_eq!(sides.written(), [body]);
}

#[tokio::test]
async fn a_chunked_body_that_is_kept_arrives_whole_the_second_time() {
    let (sides, router) = out_of_touch("").await;
    let mut client = router.connect().await;
    client
        .send("POST /things HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.text(), "catalog");
    assert_eq!(sides.written(), ["abcde"]);
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_kept_is_sent_once() {
    let (sides, router) = out_of_touch("replay_bytes = \"1KiB\"").await;
    let body = "x".repeat(4 << 10);
    let refused = write(&mut router.connect().await, &body).await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, HANDED_OVER));
    assert!(refused.header("retry-after").is_some());
    assert_eq!((sides.written().len(), sides.service.asked_to_write()), (0, 0));
    // The router has learned from it, so when the client sends it again it goes to the right side, whole.
    let answer = write(&mut router.connect().await, &body).await;
    assert_eq!((answer.status, sides.written()), (200, vec![body]));
}

#[tokio::test]
async fn a_second_refusal_is_the_last() {
    let (sides, router) = out_of_touch("").await;
    // Each names the other, as it may be when the pen moves again in between.
    sides.monolith.set("catalog", 2, "held");
    sides.service.set("monolith", 3, "held");
    let refused = write(&mut router.connect().await, "x").await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, HANDED_OVER));
    assert!(refused.header("retry-after").is_some());
    let asked = (sides.monolith.asked_to_write(), sides.service.asked_to_write());
    assert_eq!((asked, sides.written().len()), ((1, 1), 0));
}

/// A monolith that does to each write what it is told, and how often it was asked.
async fn after_one_write(answer: Option<&'static [u8]>) -> (u16, usize) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncWriteExt;
    let sides = Sides::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let monolith = Upstream::serving(move |stream, _| {
        let count = Arc::clone(&count);
        async move {
            let mut wire = Wire::new(stream);
            while let Ok(_request) = wire.request().await {
                count.fetch_add(1, Ordering::SeqCst);
                let Some(answer) = answer else { return };
                if wire.stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let service = Upstream::answering(|_| ok("catalog")).await;
    let text = sides.config(
        "",
        "",
        &crate::support::router::route("write", "POST /things", "\"monolith\""),
    );
    let text = text
        .replace(
            &sides.monolith.clients.address.to_string(),
            &monolith.address.to_string(),
        )
        .replace(
            &sides.service.clients.address.to_string(),
            &service.address.to_string(),
        );
    let router = sides.router_with(&text);
    sides.until_known(&router, "monolith", 1).await;
    let answer = write(&mut router.connect().await, "x").await;
    assert_eq!(service.received().len(), 0);
    (answer.status, asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn no_other_answer_and_no_missing_one_makes_a_write_be_sent_again() {
    assert_eq!(after_one_write(None).await, (502, 1));
    let broken = b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(after_one_write(Some(broken)).await, (500, 1));
    // A 421 that does not speak of a pen is somebody else's, and promises nothing that we know.
    let other = b"HTTP/1.1 421 Misdirected Request\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(after_one_write(Some(other)).await, (421, 1));
}
