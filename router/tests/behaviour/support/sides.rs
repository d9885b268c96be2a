//! Two stub sides of a hand-over: each answers clients as the holder or with a 421, and answers `status` on a port of its own.
//!
//! What the pen does is told by the test, one row at a time, so that each state that a router can meet can be made to last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::router::{config, route};
use super::upstream::{Received, ok};
use super::{Client, Router, Upstream};

/// One side, as the test has it.
#[derive(Debug)]
pub(crate) struct Row {
    side: &'static str,
    pub(crate) holder: &'static str,
    pub(crate) epoch: u64,
    pub(crate) state: &'static str,
    /// The phase and what has been reached, while it follows.
    pub(crate) follow: Option<(&'static str, String)>,
    /// The bodies of the writes that were done, in order.
    pub(crate) written: Vec<String>,
    /// Answers reads with 500.
    pub(crate) is_broken: bool,
}

/// One side, running.
pub(crate) struct Side {
    row: Arc<Mutex<Row>>,
    /// Whether it answers `status`.
    is_reachable: Arc<AtomicBool>,
    pub(crate) clients: Upstream,
    status: Upstream,
}

/// Both.
pub(crate) struct Sides {
    pub(crate) monolith: Side,
    pub(crate) service: Side,
}

impl Side {
    async fn start(side: &'static str, follow: Option<(&'static str, String)>) -> Self {
        let row = Arc::new(Mutex::new(Row {
            side,
            holder: "monolith",
            epoch: 1,
            state: "held",
            follow,
            written: Vec::new(),
            is_broken: false,
        }));
        let is_reachable = Arc::new(AtomicBool::new(true));
        let own = Arc::clone(&row);
        let clients = Upstream::answering(move |request| own.lock().unwrap().answer(request)).await;
        let (own, reachable) = (Arc::clone(&row), Arc::clone(&is_reachable));
        let status = Upstream::answering(move |request| {
            assert_eq!(request.header("authorization"), Some("Bearer secret"));
            match reachable.load(Ordering::SeqCst) && request.target == "/handover/v1/catalog/status" {
                true => json_answer(&own.lock().unwrap().status()),
                false => b"HTTP/1.1 500 Down\r\ncontent-length: 0\r\n\r\n".to_vec(),
            }
        })
        .await;
        Self {
            row,
            is_reachable,
            clients,
            status,
        }
    }

    pub(crate) fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap()
    }

    /// Lets it answer `status`, or not.
    pub(crate) fn reachable(&self, is_reachable: bool) {
        self.is_reachable.store(is_reachable, Ordering::SeqCst);
    }

    /// Says what its row is now.
    pub(crate) fn set(&self, holder: &'static str, epoch: u64, state: &'static str) {
        let mut row = self.row();
        (row.holder, row.epoch, row.state) = (holder, epoch, state);
        let is_here = row.holder == row.side && state != "granted";
        if is_here {
            row.follow = None;
        }
    }

    pub(crate) fn follows(&self, phase: &'static str, reached: &str) {
        self.row().follow = Some((phase, reached.to_owned()));
    }

    /// How often it was asked for its status.
    pub(crate) fn status_looks(&self) -> usize {
        self.status.received().len()
    }

    /// How many writes have arrived, done or refused.
    pub(crate) fn asked_to_write(&self) -> usize {
        let received = self.clients.received();
        received.iter().filter(|request| request.method == "POST").count()
    }
}

impl Row {
    fn is_here(&self) -> bool {
        self.holder == self.side && self.state == "held"
    }

    fn answer(&mut self, request: &Received) -> Vec<u8> {
        if request.method == "GET" {
            return match self.is_broken {
                true => b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n".to_vec(),
                false => ok(self.side),
            };
        }
        if !self.is_here() {
            return format!(
                "HTTP/1.1 421 Misdirected Request\r\nx-pen-holder: {}\r\nx-pen-epoch: {}\r\nx-pen-state: {}\r\n\
                 content-length: 0\r\n\r\n",
                self.holder, self.epoch, self.state
            )
            .into_bytes();
        }
        self.written
            .push(String::from_utf8_lossy(&request.body).into_owned());
        format!(
            "HTTP/1.1 200 OK\r\nx-data-position: {}-{}\r\ncontent-length: {}\r\n\r\n{}",
            self.epoch,
            self.written.len(),
            self.side.len(),
            self.side
        )
        .into_bytes()
    }

    fn status(&self) -> Value {
        let nil = "00000000-0000-0000-0000-000000000000";
        let now = "2026-11-25T06:17:51.000000Z";
        let follow = self.follow.as_ref().map(|(phase, reached)| {
            json!({ "source": "other", "feed": nil, "phase": phase, "reached": reached, "lag_seconds": 0.25,
                "copied": null, "parked": null })
        });
        json!({
            "protocol": 1, "module": "catalog", "side": self.side, "peer": "other",
            "pen": { "module": "catalog", "side": self.side, "holder": self.holder, "epoch": self.epoch, "state": self.state,
                "pass": null, "position": null, "feed": nil, "feed_start": null, "expires_at": null, "since": now,
                "sequences": null },
            "feed": { "id": nil, "head": format!("{}-0", self.epoch), "followers": [] },
            "follow": follow, "ready": { "take": true, "missing": [] }, "tables": [], "now": now,
        })
    }
}

impl Sides {
    /// The monolith has the pen, in epoch 1, and the service follows.
    pub(crate) async fn start() -> Self {
        Self {
            monolith: Side::start("monolith", None).await,
            service: Side::start("catalog", Some(("following", "1-0".to_owned()))).await,
        }
    }

    /// A config for them; `handover` goes into the module's section of that name, `router` into `[router]`.
    pub(crate) fn config(&self, router: &str, handover: &str, routes: &str) -> String {
        let text = config(
            router,
            self.monolith.clients.address,
            self.service.clients.address,
            routes,
        );
        let (monolith, service) = (self.monolith.status.address, self.service.status.address);
        text + &format!(
            "[modules.catalog.handover]\nmonolith = \"http://{monolith}\"\nservice = \"http://{service}\"\n{handover}\n"
        )
    }

    /// A router whose file lets writes go to the monolith, and reads as is said.
    pub(crate) fn router(&self, router: &str, handover: &str, reads: &str) -> Router {
        let routes = route("read", "GET /things", reads) + &route("write", "POST /things", "\"monolith\"");
        self.router_with(&self.config(router, handover, &routes))
    }

    /// A router with this config and the token of both sides.
    pub(crate) fn router_with(&self, config: &str) -> Router {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("handover-token"), "secret\n").unwrap();
        Router::start_logging(folder, config, "off")
    }

    /// One whole pass: the pen goes from whoever has it to the other side, at once.
    pub(crate) fn pass(&self) {
        let epoch = self.monolith.row().epoch.max(self.service.row().epoch) + 1;
        let (giver, taker, holder) = match epoch % 2 {
            0 => (&self.monolith, &self.service, "catalog"),
            _ => (&self.service, &self.monolith, "monolith"),
        };
        giver.set(holder, epoch, "granted");
        taker.set(holder, epoch, "held");
        giver.set(holder, epoch, "held");
        giver.follows("following", &format!("{epoch}-0"));
    }

    /// All writes that were done.
    pub(crate) fn written(&self) -> Vec<String> {
        let mut written = self.monolith.row().written.clone();
        written.extend(self.service.row().written.clone());
        written
    }

    /// Waits until a router knows that a side has the pen.
    pub(crate) async fn until_known(&self, router: &Router, holder: &str, epoch: u64) {
        super::until("the router to know the holder", || async {
            let pen = pen_of(router).await;
            pen["holder"] == holder && pen["epoch"] == epoch && pen["held"] == false
        })
        .await;
    }
}

fn json_answer(value: &Value) -> Vec<u8> {
    let body = value.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What the router knows of the pen.
pub(crate) async fn pen_of(router: &Router) -> Value {
    let (status, pen) = router.ask_admin("/modules/catalog/pen").await;
    assert_eq!(status, 200, "{pen}");
    pen
}

/// Waits until so many writes wait at a router.
pub(crate) async fn until_waiting(router: &Router, count: u64) {
    super::until("writes to wait", || async {
        pen_of(router).await["waiting"] == count
    })
    .await;
}

/// The head and the body of a write.
pub(crate) fn write_of(body: &str) -> String {
    format!(
        "POST /things HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Writes something, and gives the answer.
pub(crate) async fn write(client: &mut Client, body: &str) -> super::client::Answer {
    client.send(write_of(body)).await;
    client.answer().await
}

/// Tells a router to let writes wait, or to let them go on.
pub(crate) async fn tell(router: &Router, what: &str, body: &str) {
    let answer = router
        .operate("POST", &format!("/modules/catalog/{what}"), body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
