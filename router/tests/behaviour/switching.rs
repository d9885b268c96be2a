//! Starting and stopping: health, the line on standard output, an orderly end.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::router::{BANYAN, config};
use crate::support::upstream::Wire;
use crate::support::{Router, Upstream, soon, until};

#[tokio::test]
async fn health_and_routes_are_told_on_the_admin_port() {
    let upstream = Upstream::named("ok").await;
    let router = Router::start(&config("", upstream.address, upstream.address, ""));
    assert_eq!(router.ask_admin("/health/live").await.0, 200);
    assert_eq!(router.ask_admin("/health/ready").await.0, 200);
    let (status, routes) = router.ask_admin("/routes").await;
    assert_eq!(
        (status, routes["upstreams"][0]["name"].as_str()),
        (200, Some("monolith"))
    );
    assert_eq!(router.ask_admin("/config").await.1["file_is_current"], true);
    assert_eq!(router.ask_admin("/nothing").await.0, 404);
    // The clients' port knows nothing of it: such a path is the monolith's.
    assert_eq!(router.connect().await.get("/health/ready").await.text(), "ok");
}

#[tokio::test]
async fn running_exchanges_may_end_after_the_stop_signal() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&arrived), Arc::clone(&go));
    let upstream = Upstream::serving(move |stream, _| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            let mut wire = Wire::new(stream);
            wire.head().await.unwrap();
            tell.notify_one();
            wait.notified().await;
            wire.stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
                .await
                .unwrap();
        }
    })
    .await;
    let router = Router::start(&config("", upstream.address, upstream.address, ""));
    let (mut client, _idle) = (router.connect().await, router.connect().await);
    client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon("the request", arrived.notified()).await;
    router.signal("TERM");
    until("not ready", || async {
        router.ask_admin("/health/ready").await.0 == 503
    })
    .await;
    until("no new connections", || async {
        TcpStream::connect(router.address).await.is_err()
    })
    .await;
    go.notify_one();
    let answer = client.answer().await;
    assert_eq!(
        (answer.text().as_str(), answer.header("connection")),
        ("late", Some("close"))
    );
    assert!(router.ended().await.success());
}

#[tokio::test]
async fn an_interrupt_stops_it_as_well_and_a_drain_has_a_limit() {
    let upstream = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        wire.head().await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let router = Router::start(&config(
        "shutdown_timeout = \"1s\"",
        upstream.address,
        upstream.address,
        "",
    ));
    let mut client = router.connect().await;
    client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    router.signal("INT");
    assert!(router.ended().await.success());
}

#[tokio::test]
async fn a_port_in_use_is_an_error_with_a_name() {
    let upstream = Upstream::named("ok").await;
    let router = Router::start(&config("", upstream.address, upstream.address, ""));
    let output = std::process::Command::new(BANYAN)
        .args([
            "serve",
            "--config",
            router.file.to_str().unwrap(),
            "--admin",
            "127.0.0.1:0",
            "--listen",
        ])
        .arg(router.address.to_string())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaint.contains(&format!("cannot listen on {}", router.address)),
        "{complaint}"
    );
    assert_eq!(output.stdout, b"");
}
