//! Looking at a running router: status, metrics, events, and that no log line gives a secret away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::router::{config, route};
use crate::support::upstream::ok;
use crate::support::{Client, Router, Upstream, soon, until};

/// A number of the metrics; labels in the order in which they are written.
async fn metric(router: &Router, series: &str) -> Option<f64> {
    let text = router.operate("GET", "/metrics", "").await.text();
    let line = text.lines().find(|line| line.split(' ').next() == Some(series))?;
    line.split(' ').nth(1)?.parse().ok()
}

/// Whether this is Prometheus' text format: a type before each series, and a number in each line.
fn assert_well_formed(text: &str) {
    let mut names: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            names.push(rest.split(' ').next().unwrap());
            continue;
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let (series, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        assert!(
            names.iter().any(|known| name.starts_with(known)),
            "{line}: no type"
        );
        assert!(name.starts_with("banyan_"), "{line}");
    }
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "a metric is there twice");
}

#[tokio::test]
async fn metrics_count_what_was_sent_and_only_rise_over_reloads() {
    let monolith = Upstream::named("m").await;
    let service = Upstream::answering(|_| b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let routes = route("read", "GET /read", "\"shadow\"") + &route("new", "POST /new", "\"service\"");
    let text =
        config("", monolith.address, service.address, &routes) + "[shadow]\nrecheck_after = \"20ms\"\n";
    let text = crate::support::router::owned_by_service(&text);
    let router = Router::start(&text);
    let mut client = router.connect().await;
    for round in 1..=2 {
        for _ in 0..7 {
            assert_eq!(client.get("/read").await.text(), "m");
            assert_eq!(client.get("/none").await.text(), "m");
            client
                .send("POST /new HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
                .await;
            assert_eq!(client.answer().await.status, 503);
        }
        let sent = f64::from(7 * round);
        for (series, number) in [
            (
                "banyan_answers_total{route=\"read\",side=\"monolith\",class=\"2xx\"}",
                sent,
            ),
            (
                "banyan_answers_total{route=\"(unmatched)\",side=\"monolith\",class=\"2xx\"}",
                sent,
            ),
            (
                "banyan_answers_total{route=\"new\",side=\"service\",class=\"5xx\"}",
                sent,
            ),
            (
                "banyan_answer_seconds_count{route=\"read\",side=\"monolith\"}",
                sent,
            ),
            (
                "banyan_answer_seconds_bucket{route=\"read\",side=\"monolith\",le=\"+Inf\"}",
                sent,
            ),
            ("banyan_copies_total{route=\"read\",class=\"5xx\"}", sent),
        ] {
            until(series, || async { metric(&router, series).await >= Some(number) }).await;
            let counted = metric(&router, series).await;
            // A difference is asked again, so there may be more copies than requests.
            assert!(
                counted == Some(number) || series.contains("copies"),
                "{series}: {counted:?}"
            );
        }
        router.write(&(text.clone() + &format!("# round {round}\n")));
        let reloads = "banyan_events_total{kind=\"reload\"}";
        until("the reload", || async {
            metric(&router, reloads).await == Some(f64::from(round))
        })
        .await;
    }
    let differing = "banyan_comparisons_total{route=\"read\",outcome=\"mismatch\"}";
    until("a mismatch", || async {
        metric(&router, differing).await > Some(0.0)
    })
    .await;
    let answer = router.operate("GET", "/metrics", "").await;
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert_well_formed(&answer.text());
    // A route that goes takes its numbers with it: label sets are those of the config.
    let (kept, _) = text
        .split_once("[[modules.catalog.routes]]\nname = \"new\"")
        .unwrap();
    router.write(kept);
    until("the route to go", || async {
        !router
            .operate("GET", "/metrics", "")
            .await
            .text()
            .contains("route=\"new\"")
    })
    .await;
}

#[tokio::test]
async fn status_tells_builds_positions_traffic_and_a_refused_file() {
    let answer = b"HTTP/1.1 200 OK\r\nx-build-id: b7\r\nx-data-position: 3-9\r\ncontent-length: 1\r\n\r\nx";
    let monolith = Upstream::answering(|_| answer.to_vec()).await;
    let text = config(
        "",
        monolith.address,
        monolith.address,
        &route("read", "GET /read", "\"canary\"\npercent = 0"),
    );
    let router = Router::start(&text);
    for _ in 0..5 {
        router.connect().await.get("/read").await;
    }
    until("the traffic to show", || async {
        router.ask_admin("/status").await.1["routes"][0]["monolith"]["requests"] == 5
    })
    .await;
    let (_, status) = router.ask_admin("/status").await;
    assert_eq!(status["upstreams"][0]["build"], "b7", "{status:#}");
    assert_eq!(status["upstreams"][0]["positions"]["catalog"], "3-9");
    assert_eq!(status["upstreams"][0]["circuit"], "closed");
    let read = &status["routes"][0];
    assert_eq!(
        (&read["mode"], &read["percent"], &read["next"]),
        (&"canary".into(), &0.0.into(), &"canary 1 %".into())
    );
    assert!(read["monolith"]["p99_ms"].as_f64().unwrap() > 0.0 && read["breach"].is_null());
    router.write(&text.replace("workers", "wrokers"));
    until("the refusal", || async {
        router.ask_admin("/status").await.1["file_is_current"] == false
    })
    .await;
    let said = router.command(&["status"]).await;
    assert!(
        said.out.contains("THE FILE IS NOT TAKEN") && said.out.contains("wrokers"),
        "{said:?}"
    );
    let events = router.command(&["events"]).await;
    assert!(events.out.contains("refused-reload"), "{events:?}");
    router.write(&text.replace("percent = 0", "percent = 3"));
    until("the good file", || async {
        router.ask_admin("/status").await.1["file_is_current"] == true
    })
    .await;
    assert_eq!(router.ask_admin("/status").await.1["routes"][0]["percent"], 3.0);
}

/// A reader of server-sent events.
struct Follower {
    client: Client,
    buffer: String,
}

impl Follower {
    async fn begin(router: &Router, seen: Option<u64>) -> Self {
        let mut client = Client::connect(router.admin).await;
        let seen = seen.map(|id| format!("last-event-id: {id}\r\n"));
        let (admin, token) = (router.admin, router.token());
        let head = format!("GET /events HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {token}\r\n");
        client
            .send(format!("{head}{}\r\n", seen.unwrap_or_default()))
            .await;
        let mut follower = Self {
            client,
            buffer: String::new(),
        };
        follower.until(": following").await;
        follower
    }

    async fn until(&mut self, text: &str) {
        soon(text, async {
            let mut piece = vec![0; 4096];
            while !self.buffer.contains(text) {
                let read = tokio::io::AsyncReadExt::read(&mut self.client.stream, &mut piece)
                    .await
                    .unwrap();
                assert!(read > 0, "the stream has ended: {}", self.buffer);
                self.buffer += &String::from_utf8_lossy(&piece[..read]);
            }
        })
        .await;
    }

    /// The next event of a kind.
    async fn next(&mut self, kind: &str) -> Value {
        let mark = format!("event: {kind}\ndata: ");
        self.until(&mark).await;
        let start = self.buffer.find(&mark).unwrap() + mark.len();
        while !self.buffer[start..].contains("\n\n") {
            self.until("\n\n").await;
        }
        let data = self.buffer[start..].split("\n\n").next().unwrap().to_owned();
        self.buffer = self.buffer[start + data.len()..].to_owned();
        serde_json::from_str(&data).unwrap()
    }
}

#[tokio::test]
async fn events_arrive_as_they_happen_and_a_reader_who_comes_back_misses_none() {
    let is_ill = Arc::new(AtomicBool::new(false));
    let (monolith, ill) = (Upstream::named("m").await, Arc::clone(&is_ill));
    let service = Upstream::answering(move |_| match ill.load(Ordering::Relaxed) {
        true => b"HTTP/1.1 500 Ill\r\ncontent-length: 0\r\n\r\n".to_vec(),
        false => ok("s"),
    })
    .await;
    let fallback = "[fallback]\ncircuit_failures = 2\ncircuit_pause = \"50ms\"\n";
    let routes = route("read", "GET /read", "\"service\"");
    let text = config("", monolith.address, service.address, &routes) + fallback;
    let router = Router::start(&text);
    let mut follower = Follower::begin(&router, None).await;
    is_ill.store(true, Ordering::Relaxed);
    let mut client = router.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/read").await.text(), "m");
    }
    let opened = follower.next("circuit-opened").await;
    assert_eq!(opened["upstream"], "catalog");
    is_ill.store(false, Ordering::Relaxed);
    until("the service to be asked again", || async {
        router.connect().await.get("/read").await.text() == "s"
    })
    .await;
    follower.next("circuit-closed").await;
    let set = r#"{"wish":{"set":{"route":"read","mode":"shadow"}},"reason":"test"}"#;
    assert_eq!(router.operate("POST", "/switch", set).await.status, 200);
    let switched = follower.next("switch").await;
    assert_eq!(
        (&switched["routes"], &switched["action"]),
        (&serde_json::json!(["read"]), &"set".into())
    );
    drop(follower);
    router.write(&(text.clone() + "nonsense"));
    until("the refusal", || async {
        router.ask_admin("/status").await.1["file_is_current"] == false
    })
    .await;
    let mut back = Follower::begin(&router, switched["id"].as_u64()).await;
    let missed = back.next("refused-reload").await;
    assert_eq!(
        missed["id"].as_u64().unwrap(),
        switched["id"].as_u64().unwrap() + 1
    );
    router.write(&text);
    let told = back.next("reload").await;
    assert!(
        told["text"].as_str().unwrap().contains("read: shadow → service"),
        "{told}"
    );
    let mut old = Follower::begin(&router, Some(1)).await;
    old.until("event: gap").await;
}

#[tokio::test]
async fn no_line_of_the_log_holds_a_secret_however_much_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let routes = route("read", "GET /read", "\"shadow\"") + "sticky = \"cookie:session\"\n";
    let state = "state = \"postgres://shop:Xsecret-database@127.0.0.1:9/state\"";
    let text =
        config(state, monolith.address, service.address, &routes) + "[shadow]\nrecheck_after = \"20ms\"\n";
    std::fs::write(folder.path().join("banyan.toml"), text).unwrap();
    let token = "Xsecret-token-0123456789abcdef0123456789";
    std::fs::write(folder.path().join("banyan-token"), token).unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let router = Router::start_in(folder, |command| command.env("RUST_LOG", "trace").stderr(log));
    let secrets =
        "cookie: session=Xsecret-cookie\nauthorization: Bearer Xsecret-authorization\nx-api-key: Xsecret-key";
    let mut client = router.connect().await;
    for _ in 0..5 {
        let answer = client
            .request(&format!(
                "GET /read?token=Xsecret-query HTTP/1.1\nhost: a\n{secrets}"
            ))
            .await;
        assert_eq!(answer.status, 200);
        let answer = client
            .request(&format!("GET /%zz HTTP/1.1\nhost: a\n{secrets}"))
            .await;
        assert_eq!(answer.status, 400);
    }
    let mut cut_off = router.connect().await;
    cut_off
        .send(format!(
            "POST /x HTTP/1.1\r\n{}\r\n",
            secrets.replace('\n', "\r\n")
        ))
        .await;
    drop(cut_off);
    for command in [
        &["status"][..],
        &["certify", "read"],
        &["promote", "read"],
        &["revert", "read"],
        &["audit"],
    ] {
        let said = router.command(command).await;
        assert!(!format!("{said:?}").contains("Xsecret"), "{said:?}");
    }
    let wrong =
        "GET /status HTTP/1.1\nhost: localhost\nauthorization: Bearer Xsecret-guess-0123456789abcdef01234567";
    assert_eq!(
        Client::connect(router.admin).await.request(wrong).await.status,
        401
    );
    let file = router.file.with_file_name("log");
    let read = || std::fs::read_to_string(&file).unwrap();
    until("the copies and the database to be in the log", || async {
        let log = read();
        log.contains("going back without the audit log") && service.received().len() >= 5
    })
    .await;
    let log = read();
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("Xsecret"))
        .take(3)
        .collect();
    assert!(told.is_empty(), "{told:#?}");
    assert!(
        log.lines().count() > 100,
        "the log is trace: {}",
        log.lines().count()
    );
}
