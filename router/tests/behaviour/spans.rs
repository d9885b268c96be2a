//! What a collector is told of requests, and that it cannot hurt them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::support::collector::{Collector, Span};
use crate::support::router::{config, route};
use crate::support::upstream::{Wire, ok};
use crate::support::{Client, Router, Upstream, soon, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// What an upstream takes whose time shows.
const SLOW: Duration = Duration::from_millis(60);

fn routes() -> String {
    route("read", "GET /read/{id}", "\"service\"") + &route("write", "POST /write", "\"monolith\"")
}

fn server(spans: &[Span]) -> &Span {
    spans.iter().find(|span| span.kind == 2).expect("a server's span")
}

fn clients(spans: &[Span]) -> Vec<&Span> {
    let mut clients: Vec<&Span> = spans.iter().filter(|span| span.kind == 3).collect();
    clients.sort_by_key(|span| span.start);
    clients
}

/// The last two fields of the `traceparent` that an upstream was sent, and the trace.
fn parent(upstream: &Upstream) -> (String, String, String) {
    let received = upstream.last();
    assert_eq!(received.all("traceparent").len(), 1);
    let mut parts = received.header("traceparent").unwrap().split('-').skip(1);
    let mut next = || parts.next().unwrap().to_owned();
    (next(), next(), next())
}

async fn metric(router: &Router, outcome: &str) -> f64 {
    let text = router.operate("GET", "/metrics", "").await.text();
    let series = format!("banyan_spans_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.map_or(0.0, |number| number.parse().unwrap())
}

/// Says its name after a while.
async fn slow() -> Upstream {
    Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        while wire.request().await.is_ok() {
            tokio::time::sleep(SLOW).await;
            wire.stream.write_all(&ok("s")).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn a_request_is_told_with_its_decision_and_the_time_that_its_upstream_took() {
    let collector = Collector::new().await;
    let monolith = Upstream::named("m").await;
    let service = slow().await;
    let text = config("", monolith.address, service.address, &routes()) + &collector.section();
    let router = Router::start(&(text + "service_name = \"edge\"\n"));
    let head = "GET /read/7?token=hidden HTTP/1.1\nhost: shop.test:8443\ncookie: session=hidden\nauthorization: Bearer hidden";
    assert_eq!(router.connect().await.request(head).await.text(), "s");
    let spans = collector.wait_for(2).await;
    let (server, client) = (server(&spans), clients(&spans)[0]);
    assert_eq!(
        (server.name.as_str(), client.name.as_str()),
        ("GET /read/{id}", "GET")
    );
    assert_eq!(
        (server.parent.as_str(), client.parent.as_str()),
        ("", server.id.as_str())
    );
    assert_eq!(server.trace, client.trace);
    let port = service.address.port().to_string();
    server.says(&[
        ("http.request.method", "GET"),
        ("url.path", "/read/7"),
        ("url.scheme", "http"),
        ("http.route", "/read/{id}"),
        ("http.response.status_code", "200"),
        ("server.address", "shop.test"),
        ("server.port", "8443"),
        ("network.protocol.version", "1.1"),
        ("banyan.route", "read"),
        ("banyan.module", "catalog"),
        ("banyan.mode", "service"),
        ("banyan.side", "service"),
        ("banyan.why", "route=read mode=service"),
        ("banyan.request_id", &server.trace),
    ]);
    client.says(&[
        ("banyan.upstream", "catalog"),
        ("banyan.fallback", "false"),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("url.full", &format!("http://127.0.0.1:{port}/read/7")),
    ]);
    assert!(client.took() >= SLOW, "{client:?}");
    assert!(
        server.start <= client.start && client.end <= server.end,
        "{spans:?}"
    );
    let (event, decided) = &server.events[0];
    assert_eq!(event, "decided");
    assert!((server.start..=client.start).contains(decided), "{server:?}");
    assert!(!format!("{spans:?}").contains("hidden"), "{spans:?}");
    assert_eq!(collector.resource()["service.name"], "edge");
    until("the count", || async { metric(&router, "sent").await == 2.0 }).await;
}

#[tokio::test]
async fn upstreams_stand_below_the_span_of_the_attempt_and_the_caller_above_the_routers() {
    let collector = Collector::new().await;
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let text = config("", monolith.address, service.address, &routes()) + &collector.section();
    let router = Router::start(&text);
    let head = format!(
        "GET /read/7 HTTP/1.1\nhost: a\ntraceparent: 00-{TRACE}-{CALLER}-01\ntracestate: one=1\ntracestate: two=2"
    );
    assert_eq!(router.connect().await.request(&head).await.text(), "s");
    let spans = collector.wait_for(2).await;
    let (server, client) = (server(&spans), clients(&spans)[0]);
    assert_eq!(
        (
            server.trace.as_str(),
            server.parent.as_str(),
            server.state.as_str()
        ),
        (TRACE, CALLER, "one=1,two=2")
    );
    assert_eq!(
        parent(&service),
        (TRACE.to_owned(), client.id.clone(), "01".to_owned())
    );
    assert_eq!(service.last().all("tracestate"), ["one=1", "two=2"]);
    // A caller that does not record is followed as well: nothing is told, and its parent stays the parent.
    let unsampled = format!("00-{TRACE}-{CALLER}-00");
    let head = format!("GET /read/7 HTTP/1.1\nhost: a\ntraceparent: {unsampled}\ntracestate: one=1");
    assert_eq!(router.connect().await.request(&head).await.text(), "s");
    assert_eq!(service.last().header("traceparent"), Some(unsampled.as_str()));
    assert_eq!(service.last().header("tracestate"), Some("one=1"));
    // Without a caller, the trace begins here; what it claims of a state belongs to none.
    let head = "GET /read/7 HTTP/1.1\nhost: a\ntraceparent: nonsense\ntracestate: one=1";
    assert_eq!(router.connect().await.request(head).await.text(), "s");
    let spans = collector.wait_for(4).await;
    let (trace, span, flags) = parent(&service);
    assert_eq!(service.last().header("tracestate"), None);
    assert_eq!(flags, "01");
    assert!(spans[2..].iter().all(|told| told.trace == trace));
    assert_eq!(clients(&spans[2..])[0].id, span);
}

#[tokio::test]
async fn a_fallback_is_a_second_attempt_and_an_answer_of_the_routers_own_is_told_too() {
    let collector = Collector::new().await;
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let text =
        config("max_body_bytes = 3", monolith.address, service.address, &routes()) + &collector.section();
    let router = Router::start(&text);
    service.kill().await;
    assert_eq!(router.connect().await.get("/read/7").await.text(), "m");
    let spans = collector.wait_for(3).await;
    let attempts = clients(&spans);
    assert_eq!(
        attempts
            .iter()
            .map(|span| (span.get("banyan.upstream"), span.get("banyan.fallback")))
            .collect::<Vec<_>>(),
        [("catalog", "false"), ("monolith", "true")]
    );
    assert_eq!(
        (attempts[0].get("error.type"), attempts[0].status),
        ("unreachable", 2)
    );
    assert_eq!(attempts[1].get("http.request.resend_count"), "1");
    assert_eq!(parent(&monolith).1, attempts[1].id);
    let told = server(&spans);
    assert_eq!((told.get("banyan.side"), told.status), ("monolith", 0));
    assert!(told.get("banyan.why").ends_with("fallback=unreachable"));
    // Refused before anybody was asked.
    let mut client = router.connect().await;
    client
        .send("POST /write HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 413);
    let spans = collector.wait_for(4).await;
    let refused = &spans[3];
    assert_eq!(
        (
            refused.get("http.response.status_code"),
            refused.get("error.type")
        ),
        ("413", "")
    );
    assert_eq!(refused.get("banyan.why"), "refused=body-too-large");
}

#[tokio::test]
async fn a_client_that_leaves_is_told_of_as_one() {
    let collector = Collector::new().await;
    let monolith = Upstream::named("m").await;
    let silent = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        while wire.request().await.is_ok() {}
    })
    .await;
    let text = config("", monolith.address, silent.address, &routes()) + &collector.section();
    let router = Router::start(&text);
    let mut client = router.connect().await;
    client.send("GET /read/7 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.stream.shutdown().await.unwrap();
    let spans = collector.wait_for(2).await;
    assert_eq!(server(&spans).get("banyan.client_left"), "true");
    assert_eq!(server(&spans).status, 0);
    assert_eq!(clients(&spans)[0].get("error.type"), "cancelled");
}

#[tokio::test]
async fn by_default_nothing_is_sent_and_what_names_the_trace_passes_unchanged() {
    let collector = Collector::new().await;
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let text = config("", monolith.address, service.address, &routes());
    let router = Router::start(&text);
    let names = format!("00-{TRACE}-{CALLER}-01");
    let head = format!("GET /read/7 HTTP/1.1\nhost: a\ntraceparent: {names}\ntracestate: one=1");
    assert_eq!(router.connect().await.request(&head).await.text(), "s");
    assert_eq!(service.last().header("traceparent"), Some(names.as_str()));
    assert_eq!(service.last().header("tracestate"), Some("one=1"));
    assert_eq!(router.connect().await.get("/read/7").await.text(), "s");
    assert_eq!(parent(&service).2, "00");
    let threads = std::fs::read_dir(format!("/proc/{}/task", router.pid())).unwrap();
    let names = threads.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    assert!(!names.into_iter().any(|name| name.trim() == "spans"));
    // Turned on by a reload it waits for the next start, and says so; turned off by one it is off.
    router.write(&(text.clone() + &collector.section()));
    until("the reload", || async {
        router
            .operate("GET", "/metrics", "")
            .await
            .text()
            .contains("kind=\"reload\"} 1")
    })
    .await;
    assert_eq!(router.connect().await.get("/read/7").await.text(), "s");
    let tracing = Router::start(&(text.clone() + &collector.section()));
    assert_eq!(tracing.connect().await.get("/read/7").await.text(), "s");
    let spans = collector.wait_for(2).await;
    assert_eq!(
        spans[0].trace,
        parent(&service).0,
        "of the second router's request"
    );
    tracing.write(&text);
    until("no more spans", || async {
        tracing.connect().await.get("/read/7").await;
        parent(&service).2 == "00"
    })
    .await;
}

#[tokio::test]
async fn a_share_of_the_traces_that_begin_here_is_told() {
    let collector = Collector::new().await;
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let text = config("", monolith.address, service.address, &routes()) + &collector.section();
    let router = Router::start(&(text + "sample = 25\n"));
    let mut client = router.connect().await;
    let mut sampled = 0;
    for _ in 0..400 {
        assert_eq!(client.get("/read/7").await.text(), "s");
        sampled += usize::from(parent(&service).2 == "01");
    }
    // Five sigma of 400 draws at one in four.
    assert!((57..=143).contains(&sampled), "{sampled}");
    collector.wait_for(2 * sampled).await;
}

/// Sends so many requests, one after the other, and tells how long the slowest took.
async fn ask(client: &mut Client, count: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..count {
        let began = Instant::now();
        let answer = client.get("/read/7").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "s"));
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

#[tokio::test]
async fn a_collector_that_hangs_or_is_gone_changes_neither_answers_nor_memory() {
    let hanging = Upstream::serving(|stream, _| async move {
        let mut wire = Wire::new(stream);
        while wire.request().await.is_ok() {}
    })
    .await;
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let queue = 1000;
    let text = config("", monolith.address, service.address, &routes())
        + &format!(
            "[telemetry]\notlp = \"http://{}\"\nbatch_delay = \"10ms\"\ntimeout = \"5s\"\nqueue = {queue}\n",
            hanging.address
        );
    let router = Router::start(&text);
    let mut client = router.connect().await;
    ask(&mut client, 500).await;
    let before = router.memory("VmRSS");
    // The paths are long, so that what waits would be seen. Each batch that is given up makes room for another one, so they are given up
    // slowly, or on a slow machine nothing would be dropped.
    let path = format!("/read/{}", "7".repeat(20_000));
    for _ in 0..2_000 {
        let answer = client.get(&path).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "s"));
    }
    let grown = router.memory("VmRSS").saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
    assert!(metric(&router, "queue-full").await > 500.0);
    until("a batch to be given up", || async {
        metric(&router, "collector-failed").await > 0.0
    })
    .await;
    hanging.kill().await;
    let slowest = ask(&mut client, 500).await;
    assert!(slowest < Duration::from_millis(900), "{slowest:?}");
    assert_eq!(metric(&router, "sent").await, 0.0);
    // The end does not wait for it either: three seconds for the last words, no more.
    drop(client);
    let told = Instant::now();
    router.signal("TERM");
    assert!(router.ended().await.success());
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
}

#[tokio::test]
async fn what_waits_to_be_sent_is_sent_before_the_end() {
    let collector = Arc::new(Collector::new().await);
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let section = collector.section().replace("10ms", "1h");
    let text = config("", monolith.address, service.address, &routes()) + &section;
    let router = Router::start(&text);
    let mut client = router.connect().await;
    ask(&mut client, 10).await;
    drop(client);
    assert!(collector.spans().is_empty());
    router.signal("TERM");
    assert!(soon("the end", router.ended()).await.success());
    assert_eq!(collector.spans().len(), 20);
}
