//! Looking at a running router: status and events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::router::{config, route};
use crate::support::upstream::ok;
use crate::support::{Client, Router, Upstream, soon, until};

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
