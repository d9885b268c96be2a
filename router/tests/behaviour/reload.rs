//! The config file changes under traffic: nothing is lost, nothing invalid is taken, and soon.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::support::router::{config, route};
use crate::support::upstream::{Wire, ok};
use crate::support::{Client, Router, Upstream, soon, until};

/// How soon a change must be effective.
const SOON: Duration = Duration::from_millis(1500);

struct SetUp {
    monolith: Upstream,
    service: Upstream,
    router: Router,
}

impl SetUp {
    async fn new(mode: &str) -> Self {
        let (monolith, service) = (
            Upstream::named("monolith").await,
            Upstream::named("service").await,
        );
        let router = Router::start(&text(&monolith, &service, mode));
        Self {
            monolith,
            service,
            router,
        }
    }

    fn text(&self, mode: &str) -> String {
        text(&self.monolith, &self.service, mode)
    }

    async fn served_by(&self) -> String {
        self.router.connect().await.get("/a").await.served_by().to_owned()
    }

    /// Waits for a side to serve, and says how long that took.
    async fn time_until(&self, side: &str) -> Duration {
        let began = Instant::now();
        until(side, || async { self.served_by().await == side }).await;
        began.elapsed()
    }
}

fn text(monolith: &Upstream, service: &Upstream, mode: &str) -> String {
    config("", monolith.address, service.address, &route("r", "GET /a", mode))
}

/// Sends requests on one connection until told to stop; counts them, and those that failed.
async fn traffic(
    address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
) {
    let mut client = Client::connect(address).await;
    while !stop.load(Ordering::Relaxed) {
        client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        match client.try_answer().await {
            Ok(answer) if answer.status == 200 && answer.is_whole => {}
            other => {
                println!("failed: {other:?}");
                failed.fetch_add(1, Ordering::Relaxed);
                client = Client::connect(address).await;
            }
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_switches_under_traffic_lose_nothing() {
    switch_a_hundred_times(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes 40 s, since each change waits to be found; tests/run runs it"]
async fn a_hundred_switches_found_by_the_router_itself_lose_nothing() {
    switch_a_hundred_times(false).await;
}

async fn switch_a_hundred_times(is_hurried: bool) {
    let set_up = SetUp::new("\"monolith\"").await;
    let (stop, sent, failed) = (
        Arc::<AtomicBool>::default(),
        Arc::<AtomicU64>::default(),
        Arc::<AtomicU64>::default(),
    );
    let connections: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(traffic(
                set_up.router.address,
                stop.clone(),
                sent.clone(),
                failed.clone(),
            ))
        })
        .collect();
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for n in 0..100 {
        let (mode, side) = [("\"service\"", "catalog"), ("\"monolith\"", "monolith")][n % 2];
        set_up.router.write(&set_up.text(mode));
        // On the word for nine in ten, to keep the test short; the others are found by the router itself.
        if is_hurried && n % 10 != 0 {
            set_up.router.signal("HUP");
        }
        slowest = slowest.max(set_up.time_until(side).await);
    }
    stop.store(true, Ordering::Relaxed);
    let rate = sent.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    for connection in connections {
        connection.await.unwrap();
    }
    println!("{rate:.0} requests/s, slowest switch {slowest:?}");
    assert_eq!(
        failed.load(Ordering::Relaxed),
        0,
        "of {} requests",
        sent.load(Ordering::Relaxed)
    );
    assert!(rate >= 1000.0, "only {rate:.0} requests/s");
    assert!(slowest <= SOON, "a switch took {slowest:?}");
}

#[tokio::test]
async fn a_file_with_a_mistake_changes_nothing_and_the_next_good_one_is_taken() {
    let set_up = SetUp::new("\"service\"").await;
    let good = set_up.text("\"service\"");
    for bad in [
        good.replace("workers", "wrokers"),
        good.replace("service = \"catalog\"", "service = \"other\""),
        good.replace("\"service\"\n", "\"canary\"\npercent = 101\n"),
        good.clone() + &route("again", "GET /a", "\"monolith\""),
        good.replace("GET /a", "GET /{a"),
        String::new(),
        good[..good.len() / 2].to_owned(),
    ] {
        set_up.router.write(&bad);
        until("the refusal", || async {
            let (_, config) = set_up.router.ask_admin("/config").await;
            config["file_is_current"] == false && config["refused"]["faults"][0]["line"].as_u64().is_some()
        })
        .await;
        assert_eq!(set_up.served_by().await, "catalog");
        set_up.router.write(&good);
        until("the good file", || async {
            set_up.router.ask_admin("/config").await.1["file_is_current"] == true
        })
        .await;
    }
    set_up.router.write(&set_up.text("\"monolith\""));
    assert!(set_up.time_until("monolith").await <= SOON);
}

#[tokio::test]
async fn a_file_that_goes_away_and_comes_back() {
    let set_up = SetUp::new("\"service\"").await;
    std::fs::remove_file(&set_up.router.file).unwrap();
    until("the refusal", || async {
        let (_, config) = set_up.router.ask_admin("/config").await;
        config["refused"]["faults"][0]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("cannot read"))
    })
    .await;
    assert_eq!(set_up.served_by().await, "catalog");
    set_up.router.write(&set_up.text("\"monolith\""));
    assert!(set_up.time_until("monolith").await <= SOON);
}

#[tokio::test]
async fn what_is_no_plain_file_is_refused_and_the_next_good_one_is_taken() {
    // Whoever opens a pipe waits for its writer, whoever reads a device to its end waits for ever, and a huge file is a
    // mistake as well.
    let pipe = |path: &Path| Command::new("mkfifo").arg(path).status().map(drop);
    let device = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path);
    let folder = |path: &Path| std::fs::create_dir(path);
    let huge = |path: &Path| std::fs::File::create(path)?.set_len(1 << 40);
    type Make<'m> = &'m dyn Fn(&Path) -> std::io::Result<()>;
    let all: [(Make<'_>, &str); 4] = [
        (&pipe, "no plain file"),
        (&device, "no plain file"),
        (&folder, "no plain file"),
        (&huge, "larger than"),
    ];
    let set_up = SetUp::new("\"service\"").await;
    let file = &set_up.router.file;
    for (make, reason) in all {
        std::fs::remove_file(file).unwrap();
        make(file).unwrap();
        until(reason, || async {
            let (_, config) = set_up.router.ask_admin("/config").await;
            config["refused"]["faults"][0]["reason"]
                .as_str()
                .is_some_and(|said| said.contains(reason))
        })
        .await;
        assert_eq!(set_up.served_by().await, "catalog");
        let _was_a_folder = std::fs::remove_dir(file);
        set_up.router.write(&set_up.text("\"service\""));
        until("the good file", || async {
            set_up.router.ask_admin("/config").await.1["file_is_current"] == true
        })
        .await;
    }
    set_up.router.signal("TERM");
    assert!(set_up.router.ended().await.success());
}

#[tokio::test]
async fn a_symlink_that_is_swapped_is_followed() {
    // As Kubernetes replaces a ConfigMap: the file's name stays a link, what it leads to changes.
    let set_up = SetUp::new("\"service\"").await;
    let (file, folder) = (&set_up.router.file, set_up.router.file.parent().unwrap());
    for (name, mode) in [("one", "\"service\""), ("two", "\"monolith\"")] {
        std::fs::create_dir(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("banyan.toml"), set_up.text(mode)).unwrap();
    }
    let swap = |to: &str| {
        let link = folder.join("next");
        std::os::unix::fs::symlink(folder.join(to).join("banyan.toml"), &link).unwrap();
        std::fs::rename(link, file).unwrap();
    };
    swap("one");
    assert!(set_up.time_until("catalog").await <= SOON);
    swap("two");
    assert!(set_up.time_until("monolith").await <= SOON);
}

#[tokio::test]
async fn an_upstream_that_moves_is_followed_and_its_old_connections_are_closed() {
    let closed = Arc::new(Notify::new());
    let notify = Arc::clone(&closed);
    let old = Upstream::serving(move |stream, _| {
        let notify = Arc::clone(&notify);
        async move {
            let mut wire = Wire::new(stream);
            while wire.request().await.is_ok() {
                wire.stream.write_all(&ok("old")).await.unwrap();
            }
            notify.notify_one();
        }
    })
    .await;
    let monolith = Upstream::named("monolith").await;
    // Idle connections would be closed anyway after a while; not here.
    let patient = |text: String| text.replace("workers = 2", "workers = 1\npool_idle_timeout = \"1h\"");
    let router = Router::start(&patient(text(&monolith, &old, "\"service\"")));
    assert_eq!(router.connect().await.get("/a").await.text(), "old");
    let next = Upstream::named("next").await;
    router.write(&patient(text(&monolith, &next, "\"service\"")));
    until("the next service", || async {
        router.connect().await.get("/a").await.text() == "next"
    })
    .await;
    soon("the old connection to be closed", closed.notified()).await;
}
