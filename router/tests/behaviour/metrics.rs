//! The router's numbers: well-formed, true, and only ever rising.

use crate::support::router::{config, owned_by_service, route};
use crate::support::{Router, Upstream, until};

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
    let text = owned_by_service(&text);
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
        assert_counted(&router, f64::from(7 * round)).await;
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
    goes_with_its_route(&router, &text).await;
}

/// Waits until so many requests of each kind are counted, and sees that no more are.
async fn assert_counted(router: &Router, sent: f64) {
    for series in [
        "banyan_answers_total{route=\"read\",side=\"monolith\",class=\"2xx\"}",
        "banyan_answers_total{route=\"(unmatched)\",side=\"monolith\",class=\"2xx\"}",
        "banyan_answers_total{route=\"new\",side=\"service\",class=\"5xx\"}",
        "banyan_answer_seconds_count{route=\"read\",side=\"monolith\"}",
        "banyan_answer_seconds_bucket{route=\"read\",side=\"monolith\",le=\"+Inf\"}",
        "banyan_copies_total{route=\"read\",class=\"5xx\"}",
    ] {
        until(series, || async { metric(router, series).await >= Some(sent) }).await;
        let counted = metric(router, series).await;
        // A difference is asked again, so there may be more copies than requests.
        let is_right = counted == Some(sent) || series.contains("copies");
        assert!(is_right, "{series}: {counted:?}");
    }
}

async fn goes_with_its_route(router: &Router, text: &str) {
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
