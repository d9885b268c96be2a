//! Reads of a module that is handed over: they go on while writes wait, and never see less than their client has written.

use crate::support::router::route;
use crate::support::sides::{Sides, pen_of, tell, until_waiting, write, write_of};
use crate::support::{Client, until};

/// Who answers a read, and why.
async fn read(client: &mut Client, more: &str) -> (String, String) {
    let answer = client
        .request(&format!("GET /things HTTP/1.1\nhost: a{more}"))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let why = answer.header("x-served-why").unwrap().to_owned();
    (answer.text(), why)
}

/// Waits until the router knows whether the follower follows.
async fn until_follows(router: &crate::support::Router, follows: bool) {
    until("the router to know the follower", || async {
        pen_of(router).await["follows"] == follows
    })
    .await;
}

#[tokio::test]
async fn reads_go_on_while_writes_wait() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"service\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.monolith.set("monolith", 1, "fenced");
    let mut writer = router.connect().await;
    writer.send(write_of("x")).await;
    until_waiting(&router, 1).await;
    let mut reader = router.connect().await;
    assert_eq!(read(&mut reader, "").await.0, "catalog");
    sides.monolith.set("monolith", 3, "held");
    assert_eq!(writer.answer().await.status, 200);
}

#[tokio::test]
async fn the_side_that_does_not_hold_the_pen_answers_only_while_it_follows() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.pass();
    sides.until_known(&router, "service", 2).await;
    let mut client = router.connect().await;
    assert_eq!(read(&mut client, "").await.0, "monolith");
    sides.monolith.follows("catching-up", "2-0");
    until_follows(&router, false).await;
    let (served_by, why) = read(&mut client, "").await;
    assert_eq!(
        (served_by.as_str(), why.as_str()),
        ("catalog", "route=read mode=monolith other-side=not-following")
    );
    // Nor while it does not say what it does.
    sides.monolith.follows("following", "2-0");
    until_follows(&router, true).await;
    sides.monolith.reachable(false);
    until_follows(&router, false).await;
    assert_eq!(read(&mut client, "").await.0, "catalog");
}

#[tokio::test]
async fn a_client_reads_its_own_writes_whoever_holds_the_pen() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.pass();
    sides.until_known(&router, "service", 2).await;
    let mut client = router.connect().await;
    let written = write(&mut client, "x").await;
    let position = written.header("x-data-position").unwrap().to_owned();
    assert_eq!(position, "2-1");
    let own = format!("\nx-data-position: {position}");
    let (served_by, why) = read(&mut client, &own).await;
    assert_eq!(
        (served_by.as_str(), why.as_str()),
        ("catalog", "route=read mode=monolith not-yet-at=2-1")
    );
    sides.monolith.follows("following", "2-1");
    until("the router to know how far the monolith is", || async {
        pen_of(&router).await["monolith"]["reached"] == "2-1"
    })
    .await;
    assert_eq!(read(&mut client, &own).await.0, "monolith");
}

#[tokio::test]
async fn who_has_written_through_another_router_is_read_where_that_went() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    let mut client = router.connect().await;
    sides.pass();
    // Between two looks of this router: it asks first.
    let (served_by, why) = read(&mut client, "\nx-data-position: 2-5").await;
    assert_eq!(served_by, "catalog", "{why}");
    assert_eq!(pen_of(&router).await["holder"], "service");
    // No side can be asked any more: the epoch says whose the write was.
    sides.monolith.reachable(false);
    sides.service.reachable(false);
    until("the router to be out of touch", || async {
        pen_of(&router).await["state"] == "unknown"
    })
    .await;
    sides.pass();
    let (served_by, why) = read(&mut client, "\nx-data-position: 3-5").await;
    assert_eq!(
        (served_by.as_str(), why.as_str()),
        ("monolith", "route=read mode=monolith written-at=3-5")
    );
}

#[tokio::test]
async fn a_position_that_nobody_gave_does_not_choose_a_side() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    let mut client = router.connect().await;
    assert_eq!(read(&mut client, "\nx-data-position: 8-1").await.0, "monolith");
}

#[tokio::test]
async fn a_read_that_the_service_fails_goes_to_the_monolith_only_while_that_is_in_sync() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"service\"");
    sides.pass();
    sides.until_known(&router, "service", 2).await;
    until_follows(&router, true).await;
    sides.service.row().is_broken = true;
    let mut client = router.connect().await;
    assert_eq!(client.get("/things").await.text(), "monolith");
    let own = client
        .request("GET /things HTTP/1.1\nhost: a\nx-data-position: 2-7")
        .await;
    assert_eq!((own.status, own.served_by()), (500, "catalog"), "{own:?}");
    sides.monolith.follows("parked", "2-0");
    until_follows(&router, false).await;
    let answer = client.get("/things").await;
    assert_eq!(
        (answer.status, answer.served_by()),
        (500, "catalog"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn nothing_of_the_hand_over_is_passed_on_however_it_is_spelt() {
    let sides = Sides::start().await;
    let routes = route("all", "* /{*rest}", "\"monolith\"");
    let router = sides.router_with(&sides.config("", "", &routes));
    let mut client = router.connect().await;
    for path in [
        "/handover/v1/catalog/status",
        "/handover/",
        "//handover/v1/catalog/fence",
        "/x/../handover/v1/catalog/fence",
        "/%68andover/v1/catalog/grant",
        "/x/..%2Fhandover/v1/catalog/grant",
        "/./handover/v1/x",
    ] {
        let answer = client
            .request(&format!("POST {path} HTTP/1.1\nhost: a\ncontent-length: 0"))
            .await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert_eq!(answer.served_by(), "router", "{path}");
    }
    assert_eq!(sides.monolith.clients.received().len(), 0);
    // What only begins alike is somebody's own.
    assert_eq!(client.get("/handovers/1").await.status, 200);
    assert_eq!(client.get("/handover").await.status, 200);
    tell(&router, "release", "{}").await;
}
