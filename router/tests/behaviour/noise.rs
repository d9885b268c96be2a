//! Noise: what is learnt of fields that differ by themselves, and what it is not taken for.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::router::{config, route};
use crate::support::{Router, Upstream, until};

/// An upstream whose answer has another time in it each time, from this one on.
async fn ticking(begin: usize) -> Upstream {
    let count = AtomicUsize::new(begin);
    Upstream::answering(move |_| json(&format!("{{\"now\": {}}}", count.fetch_add(1, Ordering::SeqCst))))
        .await
}

fn json(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn shadowed(monolith: &Upstream, service: &Upstream, more: &str) -> String {
    let routes = route("read", "GET /read/{id}", "\"shadow\"");
    config("", monolith.address, service.address, &routes) + more
}

async fn comparisons(router: &Router) -> Value {
    let (_, evidence) = router.ask_admin("/routes/read/evidence").await;
    evidence["comparisons"].clone()
}

/// Asks one after the other, each when the copy before has been accounted for.
async fn ask(router: &Router, times: std::ops::Range<u64>) -> Value {
    let mut client = router.connect().await;
    for done in times {
        client.get("/read/1").await;
        until("the copy to be accounted for", || async {
            let known = comparisons(router).await;
            let sum = |key: &str| {
                known[key]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(Value::as_u64)
                    .sum::<u64>()
            };
            sum("agreed") + sum("differed") + known["incomparable"].as_u64().unwrap() > done
        })
        .await;
    }
    comparisons(router).await
}

#[tokio::test]
async fn a_field_that_is_known_to_differ_by_itself_is_not_asked_again() {
    let (monolith, service) = (ticking(0).await, ticking(1_000_000).await);
    let quick = "[shadow]\nrecheck_after = \"10ms\"\nnoise_sample = 100\n";
    let router = Router::start(&shadowed(&monolith, &service, quick));
    let known = ask(&router, 0..20).await;
    assert_eq!(
        (&known["noisy"], &known["doubled"]),
        (&20.into(), &20.into()),
        "{known:#}"
    );
    let before = (monolith.received().len(), service.received().len());
    let known = ask(&router, 20..40).await;
    assert_eq!(known["noisy"], 40, "{known:#}");
    // For the client and for the sample, and not to look again.
    let after = (monolith.received().len(), service.received().len());
    assert_eq!((after.0 - before.0, after.1 - before.1), (40, 20));
}

#[tokio::test]
async fn what_stands_behind_more_noise_than_is_listed_is_not_taken_for_noise() {
    let count = AtomicUsize::new(0);
    let fields = |value: &dyn Fn() -> String, last: &str| {
        let noisy: Vec<String> = (0..60).map(|n| format!("\"a{n:02}\": {}", value())).collect();
        json(&format!("{{{}, \"z\": {last}}}", noisy.join(", ")))
    };
    let monolith =
        Upstream::answering(move |_| fields(&|| count.fetch_add(1, Ordering::SeqCst).to_string(), "1")).await;
    let service = Upstream::answering(move |_| fields(&|| "-1".to_owned(), "2")).await;
    let quick = "[shadow]\nrecheck_after = \"10ms\"\nnoise_sample = 0\n";
    let router = Router::start(&shadowed(&monolith, &service, quick));
    let known = ask(&router, 0..1).await;
    assert_eq!(known["agreed"], serde_json::json!([0, 0, 0, 0, 0]), "{known:#}");
    assert_eq!(
        known["reasons"]["more-differences-than-are-listed"], 1,
        "{known:#}"
    );
}
