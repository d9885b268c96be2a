//! The orderly end, and a successor that takes the ports over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::router::{BANYAN, config};
use crate::support::upstream::{Wire, ok};
use crate::support::{Client, Router, Upstream, soon, until};

/// What the clients of a test have seen so far.
#[derive(Default)]
struct Seen {
    served: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Seen {
    fn fail(&self, what: &str, error: &dyn std::fmt::Debug) {
        self.failures.lock().unwrap().push(format!("{what}: {error:?}"));
    }
}

/// Asks again and again, on connections that are kept as long as the router keeps them, or on a new one each time.
async fn load(address: SocketAddr, keeps: bool, seen: Arc<Seen>) {
    let mut kept: Option<Client> = None;
    while !seen.is_over.load(Ordering::Relaxed) {
        let mut client = match kept.take() {
            Some(client) => client,
            None => match tokio::net::TcpStream::connect(address).await {
                Ok(stream) => Client::over(stream),
                Err(error) => return seen.fail("no connection", &error),
            },
        };
        let sent = client
            .stream
            .write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        if let Err(error) = sent {
            return seen.fail("not sent", &error);
        }
        match client.try_answer().await {
            Ok(answer) if answer.status == 200 && answer.text() == "ok" => {
                seen.served.fetch_add(1, Ordering::Relaxed);
                let is_last = answer.header("connection") == Some("close");
                kept = (keeps && !is_last).then_some(client);
            }
            other => return seen.fail("no answer", &other),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takeovers_under_load_fail_no_request() {
    let upstream = Upstream::named("ok").await;
    let mut router = Router::start(&config("", upstream.address, upstream.address, ""));
    let (address, admin) = (router.address, router.admin);
    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for number in 0..24 {
        clients.spawn(load(address, number % 3 != 0, Arc::clone(&seen)));
    }
    let enough = |count: usize| {
        let seen = Arc::clone(&seen);
        move || {
            let has_enough = seen.served.load(Ordering::Relaxed) >= count;
            let has_failed = !seen.failures.lock().unwrap().is_empty();
            async move { has_enough || has_failed }
        }
    };
    until("the load to begin", enough(100)).await;
    for _ in 0..5 {
        let successor = router.successor();
        assert_eq!((successor.address, successor.admin), (address, admin));
        let before = router;
        router = successor;
        assert!(before.ended().await.success());
        let ready = router.ask_admin("/health/ready").await;
        assert_eq!(ready.0, 200);
        until("more requests", enough(seen.served.load(Ordering::Relaxed) + 100)).await;
    }
    seen.is_over.store(true, Ordering::Relaxed);
    soon("the clients to end", async {
        while clients.join_next().await.is_some() {}
    })
    .await;
    let failures = seen.failures.lock().unwrap();
    println!(
        "{} requests over five takeovers",
        seen.served.load(Ordering::Relaxed)
    );
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn a_successor_that_cannot_start_changes_nothing() {
    let upstream = Upstream::named("ok").await;
    let good = config("", upstream.address, upstream.address, "");
    let router = Router::start(&good);
    let mut client = router.connect().await;
    assert_eq!(client.get("/a").await.status, 200);
    for bad in [
        "nonsense".to_owned(),
        config(
            "[router.tls]\nlisten = \"127.0.0.1:0\"\ncertificate = \"/nowhere\"\nkey = \"/nowhere\"",
            upstream.address,
            upstream.address,
            "",
        ),
        // Somebody else's port, found out when the sockets have been handed over already.
        config("", upstream.address, upstream.address, "").replace(
            "[router]",
            &format!("[router]\nlisten = \"{}\"", upstream.address),
        ),
    ] {
        router.write(&bad);
        let output = tokio::process::Command::new(BANYAN)
            .args(["serve", "--takeover", "--config"])
            .arg(&router.file)
            .output();
        let output = soon("the successor to give up", output).await.unwrap();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer = client.get("/a").await;
        assert_eq!((answer.status, answer.header("connection")), (200, None));
        assert_eq!(router.connect().await.get("/a").await.status, 200);
        assert_eq!(router.ask_admin("/health/ready").await.0, 200);
    }
    // And it can still be taken over from.
    router.write(&good);
    let successor = router.successor();
    assert_eq!(successor.address, router.address);
    assert!(router.ended().await.success());
    assert_eq!(successor.connect().await.get("/a").await.status, 200);
}

#[tokio::test]
async fn a_long_exchange_outlives_the_takeover() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let upstream = Upstream::serving(move |stream, _| {
        let mut wait = wait.clone();
        async move {
            let mut wire = Wire::new(stream);
            while let Ok(request) = wire.request().await {
                if request.target == "/slow" {
                    wait.wait_for(|go| *go).await.unwrap();
                }
                wire.stream.write_all(&ok(&request.target)).await.unwrap();
            }
        }
    })
    .await;
    let router = Router::start(&config("", upstream.address, upstream.address, ""));
    let mut slow = router.connect().await;
    slow.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // The other connection is answered after it, so the slow one is on its way.
    assert_eq!(router.connect().await.get("/fast").await.text(), "/fast");
    let successor = router.successor();
    assert_eq!(successor.connect().await.get("/fast").await.text(), "/fast");
    go.send(true).unwrap();
    assert_eq!(slow.answer().await.text(), "/slow");
    assert!(router.ended().await.success());
}

#[tokio::test]
async fn a_stop_is_announced_before_it_happens() {
    let upstream = Upstream::named("ok").await;
    let router = Router::start(&config(
        "drain_delay = \"1s\"",
        upstream.address,
        upstream.address,
        "",
    ));
    let mut kept = router.connect().await;
    assert_eq!(kept.get("/a").await.header("connection"), None);
    let began = Instant::now();
    router.signal("TERM");
    until("the router to say that it is not ready", || async {
        router.ask_admin("/health/ready").await.0 == 503
    })
    .await;
    // New connections are still taken, and told not to stay; those that stand are told as well.
    let answer = router.connect().await.get("/a").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(kept.get("/a").await.header("connection"), Some("close"));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "too slow a machine to tell"
    );
    let address = router.address;
    assert!(router.ended().await.success());
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
