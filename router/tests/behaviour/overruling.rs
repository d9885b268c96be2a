//! What has more say than a route's mode: a tester's header, and a client's own last write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::router::{config, owned_by_service, route};
use crate::support::{Client, Router, Upstream};

#[tokio::test]
async fn testers_choose_a_side_if_the_config_lets_them() {
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let routes = route("read", "GET /read", "\"monolith\"") + &route("write", "POST /read", "\"monolith\"");
    let set_up = |router: &str| config(router, monolith.address, service.address, &routes);
    let asks = "GET /read HTTP/1.1\nhost: a\nx-side: service";
    let closed = Router::start(&set_up(""));
    assert_eq!(closed.connect().await.request(asks).await.text(), "m");
    let open = Router::start(&set_up("tester_header = \"X-Side\""));
    let mut client = open.connect().await;
    let answer = client.request(asks).await;
    assert_eq!(answer.text(), "s");
    assert_eq!(
        answer.header("x-served-why"),
        Some("route=read mode=monolith asked-for=service")
    );
    let other = client.request(&asks.replace("service", "nobody")).await;
    assert_eq!(other.text(), "m");
    // A write goes to the owner of the data, whoever asks.
    client
        .send("POST /read HTTP/1.1\r\nhost: a\r\nx-side: service\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.text(), "m");
    assert_eq!(
        open.why(&["GET", "/read", "-H", "x-side: service"])["served_by"],
        "catalog"
    );
}

/// Says its position on every answer.
async fn at(name: &'static str, position: &Arc<AtomicU64>) -> Upstream {
    let position = Arc::clone(position);
    Upstream::answering(move |request| {
        if request.method == "POST" {
            position.fetch_add(1, Ordering::SeqCst);
        }
        let position = position.load(Ordering::SeqCst);
        format!(
            "HTTP/1.1 200 OK\r\nx-data-position: 1-{position}\r\ncontent-length: {}\r\n\r\n{name}",
            name.len()
        )
        .into_bytes()
    })
    .await
}

async fn write(client: &mut Client) -> String {
    client
        .send("POST /things HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .await;
    let answer = client.answer().await;
    let cookie = answer.header("set-cookie").expect("a cookie with the position");
    cookie.split(';').next().unwrap().to_owned()
}

async fn read(client: &mut Client, cookie: &str) -> (String, String) {
    let answer = client
        .request(&format!("GET /things HTTP/1.1\nhost: a\ncookie: {cookie}"))
        .await;
    let why = answer.header("x-served-why").unwrap().to_owned();
    (answer.text(), why)
}

#[tokio::test]
async fn a_client_reads_its_own_writes_whichever_side_follows() {
    let (ahead, follower) = (Arc::new(AtomicU64::new(5)), Arc::new(AtomicU64::new(5)));
    let (monolith, service) = (at("monolith", &ahead).await, at("service", &follower).await);
    let routes =
        route("read", "GET /things", "\"service\"") + &route("write", "POST /things", "\"monolith\"");
    let router = Router::start(&config("", monolith.address, service.address, &routes));
    let mut client = router.connect().await;
    assert_eq!(read(&mut client, "none=1").await.0, "service");
    let cookie = write(&mut client).await;
    assert_eq!(cookie, "banyan-position-catalog=1-6");
    // The service is known to be at 1-5.
    let (body, why) = read(&mut client, &cookie).await;
    assert_eq!(
        (body.as_str(), why.as_str()),
        ("monolith", "route=read mode=service not-yet-at=1-6")
    );
    // Who has written nothing is not affected.
    assert_eq!(read(&mut client, "none=1").await.0, "service");
    follower.store(6, Ordering::SeqCst);
    // Somebody else's read tells the router that the service has caught up.
    assert_eq!(read(&mut client, "none=1").await.0, "service");
    assert_eq!(read(&mut client, &cookie).await.0, "service");
    // A client can send the header itself instead.
    let asks = "GET /things HTTP/1.1\nhost: a\nx-data-position: 1-7";
    assert_eq!(client.request(asks).await.text(), "monolith");
}

#[tokio::test]
async fn reads_left_at_the_monolith_follow_a_service_that_owns_the_data() {
    let (behind, ahead) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(1)));
    let (monolith, service) = (at("monolith", &behind).await, at("service", &ahead).await);
    let routes =
        route("read", "GET /things", "\"monolith\"") + &route("write", "POST /things", "\"service\"");
    let text = config("", monolith.address, service.address, &routes);
    let router = Router::start(&owned_by_service(&text));
    let mut client = router.connect().await;
    let cookie = write(&mut client).await;
    assert_eq!(read(&mut client, &cookie).await.0, "service");
    assert_eq!(read(&mut client, "none=1").await.0, "monolith");
    behind.store(2, Ordering::SeqCst);
    assert_eq!(read(&mut client, "none=1").await.0, "monolith");
    assert_eq!(read(&mut client, &cookie).await.0, "monolith");
}
