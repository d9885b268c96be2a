//! The shadow: what is copied, what is compared, and what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::router::{config, route};
use crate::support::{Received, Router, Upstream, until};

const QUICK: &str = "[shadow]\nrecheck_after = \"20ms\"\nnoise_sample = 0\n";

fn shadowed(monolith: &Upstream, service: &Upstream, more: &str) -> String {
    let routes =
        route("read", "GET /read/{id}", "\"shadow\"") + &route("write", "POST /read/{id}", "\"monolith\"");
    config("", monolith.address, service.address, &routes) + more
}

fn json(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

async fn evidence(router: &Router) -> Value {
    router.ask_admin("/routes/read/evidence").await.1
}

/// Sums the numbers of a list or of an object.
fn sum(value: &Value) -> u64 {
    let numbers = |values: Vec<&Value>| values.into_iter().filter_map(Value::as_u64).sum();
    match value {
        Value::Array(list) => numbers(list.iter().collect()),
        Value::Object(object) => numbers(object.values().collect()),
        other => other.as_u64().unwrap_or_default(),
    }
}

/// Waits until so many copies have been accounted for, and gives what is known then.
async fn accounted(router: &Router, copies: u64) -> Value {
    until("the copies to be accounted for", || async {
        let comparisons = &evidence(router).await["comparisons"];
        let done = ["agreed", "differed", "lagged", "incomparable", "drops"];
        done.iter().map(|key| sum(&comparisons[*key])).sum::<u64>() >= copies
    })
    .await;
    evidence(router).await
}

#[tokio::test]
async fn safe_requests_are_copied_and_compared_and_the_client_gets_the_monoliths_answer() {
    let monolith = Upstream::answering(|_| json(r#"{"price": 10, "name": "mug"}"#)).await;
    let service = Upstream::answering(|_| json(r#"{"name":"mug","price":10.0}"#)).await;
    let router = Router::start(&shadowed(&monolith, &service, QUICK));
    let mut client = router.connect().await;
    for n in 0..20 {
        let answer = client.get(&format!("/read/{n}?q=%2e%2E")).await;
        assert_eq!(
            (answer.served_by(), answer.text().as_str()),
            ("monolith", r#"{"price": 10, "name": "mug"}"#)
        );
        assert_eq!(answer.header("x-served-why"), Some("route=read mode=shadow"));
    }
    let known = accounted(&router, 20).await;
    assert_eq!(sum(&known["comparisons"]["agreed"]), 20, "{known:#}");
    assert_eq!(sum(&known["comparisons"]["differed"]), 0);
    let copies = service.received();
    assert_eq!(copies.len(), 20);
    assert!(
        copies
            .iter()
            .all(|copy| copy.header("x-banyan-shadow") == Some("1"))
    );
    // The same bytes, and the client's own id, so that logs can be put side by side.
    assert!(copies.iter().all(|copy| copy.target.ends_with("?q=%2e%2E")));
    let ids = |requests: Vec<Received>| {
        let mut ids: Vec<_> = requests
            .iter()
            .map(|request| request.header("x-request-id").unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(copies), ids(monolith.received()));
    assert!(
        monolith
            .received()
            .iter()
            .all(|request| request.header("x-banyan-shadow").is_none())
    );
}

#[tokio::test]
async fn a_difference_is_asked_again_and_then_named_by_its_path_with_an_example() {
    let monolith = Upstream::answering(|_| json(r#"{"items": [{"price": 10, "token": "t0p"}]}"#)).await;
    let service = Upstream::answering(|_| json(r#"{"items": [{"price": 11, "token": "s3cret"}]}"#)).await;
    let router = Router::start(&shadowed(&monolith, &service, QUICK));
    router
        .connect()
        .await
        .get("/read/7?access_token=abc&page=2")
        .await;
    let known = accounted(&router, 1).await;
    assert_eq!(sum(&known["comparisons"]["differed"]), 1, "{known:#}");
    assert_eq!(known["comparisons"]["groups"]["body $.items[*].price"], 1);
    let group = known["mismatches"].as_array().unwrap();
    let price = group
        .iter()
        .find(|group| group["field"] == "body $.items[*].price")
        .unwrap();
    let sample = &price["seen"]["samples"][0];
    assert_eq!(
        (&sample["at"], &sample["left"], &sample["right"]),
        (&"$.items[0].price".into(), &"10".into(), &"11".into())
    );
    let told = known.to_string();
    assert!(
        !told.contains("t0p") && !told.contains("s3cret") && !told.contains("abc"),
        "{told}"
    );
    // Once for the client, and again before and after the service was asked again.
    assert_eq!((monolith.received().len(), service.received().len()), (3, 2));
}

#[tokio::test]
async fn lag_is_no_mismatch_and_what_differs_by_itself_is_noise() {
    let (count, lagging) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let monolith = Upstream::answering(move |request| match request.target.as_str() {
        "/read/noisy" => json(&format!("{{\"now\": {}}}", count.fetch_add(1, Ordering::SeqCst))),
        _ => json(r#"{"stock": 5}"#),
    })
    .await;
    let asked = Arc::clone(&lagging);
    let service = Upstream::answering(move |request| match request.target.as_str() {
        "/read/noisy" => json(r#"{"now": "never"}"#),
        _ if asked.fetch_add(1, Ordering::SeqCst) == 0 => json(r#"{"stock": 6}"#),
        _ => json(r#"{"stock": 5}"#),
    })
    .await;
    let router = Router::start(&shadowed(&monolith, &service, QUICK));
    let mut client = router.connect().await;
    client.get("/read/lagging").await;
    let known = accounted(&router, 1).await;
    assert_eq!(known["comparisons"]["lagged"], 1, "{known:#}");
    client.get("/read/noisy").await;
    let known = accounted(&router, 2).await;
    assert_eq!(known["comparisons"]["noisy"], 1, "{known:#}");
    assert_eq!(sum(&known["comparisons"]["differed"]), 0);
}

#[tokio::test]
async fn declared_rules_decide_what_counts() {
    let monolith =
        Upstream::answering(|_| json(r#"{"at": 1, "tags": ["a", "b"], "price": 1.00, "note": null}"#)).await;
    let service = Upstream::answering(|_| json(r#"{"at": 2, "tags": ["b", "a"], "price": 1.01}"#)).await;
    let rules = "compare = { ignore = [\"$.at\"], unordered = [\"$.tags\"], null_is_absent = true, tolerance = { \"$.price\" = 0.01 } }";
    let ruled = route("read", "GET /read/{id}", &format!("\"shadow\"\n{rules}"));
    let text = config("", monolith.address, service.address, &ruled) + QUICK;
    let router = Router::start(&text);
    router.connect().await.get("/read/1").await;
    let known = accounted(&router, 1).await;
    assert_eq!(sum(&known["comparisons"]["agreed"]), 1, "{known:#}");
    // Without them, all four differ. The evidence begins anew, since it would be about something else.
    router.write(&text.replace(rules, ""));
    until("the rules to be gone", || async {
        router.connect().await.get("/read/1").await;
        evidence(&router).await["comparisons"]["groups"]
            .as_object()
            .unwrap()
            .len()
            == 4
    })
    .await;
    assert_eq!(sum(&evidence(&router).await["comparisons"]["agreed"]), 0);
}

/// A length is a field of the head that the router takes apart, and puts back where the config asks for it.
#[tokio::test]
async fn a_length_can_be_compared_like_any_field() {
    let monolith = Upstream::answering(|_| json(r#"{"price":10}"#)).await;
    let service = Upstream::answering(|request| match request.target.as_str() {
        "/read/1" => json(r#"{"price":10}"#),
        _ => json(r#"{"price": 10}"#),
    })
    .await;
    let ruled = "\"shadow\"\ncompare = { headers = [\"content-length\"] }";
    let ruled = route("read", "GET /read/{id}", ruled);
    let router = Router::start(&(config("", monolith.address, service.address, &ruled) + QUICK));
    for id in [1, 2] {
        router.connect().await.get(&format!("/read/{id}")).await;
    }
    let known = accounted(&router, 2).await;
    let counts = ["agreed", "differed"].map(|key| sum(&known["comparisons"][key]));
    assert_eq!(counts, [1, 1], "{known:#}");
}

#[tokio::test]
async fn what_is_not_compared_is_counted_by_reason() {
    let monolith = Upstream::answering(|request| match request.target.as_str() {
        "/read/large" => json(&format!("\"{}\"", "x".repeat(100_000))),
        _ => json("1"),
    })
    .await;
    let service = Upstream::answering(|request| match request.target.as_str() {
        "/read/large-there" => json(&format!("\"{}\"", "x".repeat(100_000))),
        _ => json("1"),
    })
    .await;
    let small = format!("{QUICK}max_body = \"64KiB\"\n");
    let router = Router::start(&shadowed(&monolith, &service, &small));
    let mut client = router.connect().await;
    assert_eq!(client.get("/read/large").await.body.len(), 100_002);
    client.get("/read/large-there").await;
    client
        .send("GET /read/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        .await;
    assert_eq!(client.answer().await.status, 200);
    let known = accounted(&router, 3).await;
    assert_eq!(known["comparisons"]["drops"]["too-large"], 1, "{known:#}");
    assert_eq!(known["comparisons"]["drops"]["has-body"], 1);
    assert_eq!(known["comparisons"]["reasons"]["service-too-large"], 1);
    // A write in the same place is answered by the monolith, and the service never hears of it.
    let before = service.received().len();
    client
        .send("POST /read/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.served_by()), (200, "monolith"));
    client.get("/read/2").await;
    accounted(&router, 4).await;
    assert_eq!(service.received().len(), before + 1);
    assert!(service.received().iter().all(|copy| copy.method == "GET"));
}

#[tokio::test]
async fn a_sample_is_drawn_and_the_rest_counted() {
    let (monolith, service) = (
        Upstream::answering(|_| json("1")).await,
        Upstream::answering(|_| json("1")).await,
    );
    let routes = route("read", "GET /read/{id}", "\"shadow\"\nsample = 25");
    let router = Router::start(&(config("", monolith.address, service.address, &routes) + QUICK));
    let mut client = router.connect().await;
    for n in 0..400 {
        client.get(&format!("/read/{n}")).await;
    }
    let known = accounted(&router, 400).await;
    let sampled = sum(&known["comparisons"]["agreed"]);
    assert!((60..=140).contains(&sampled), "{sampled} of 400 at 25 %");
    assert_eq!(sum(&known["comparisons"]["drops"]["sampling"]), 400 - sampled);
}

#[tokio::test]
async fn the_first_answer_of_a_service_counts_for_the_build_that_it_names() {
    let built = |build: &'static str| {
        move |_: &Received| {
            let head = format!("HTTP/1.1 200 OK\r\nx-build-id: {build}\r\ncontent-length: 1\r\n\r\n1");
            head.into_bytes()
        }
    };
    let (monolith, service) = (
        Upstream::answering(built("m7")).await,
        Upstream::answering(built("s7")).await,
    );
    let router = Router::start(&shadowed(&monolith, &service, QUICK));
    router.connect().await.get("/read/1").await;
    accounted(&router, 1).await;
    until("what the worker counted", || async {
        evidence(&router).await["monolith"]["answers"] == 1
    })
    .await;
    let known = evidence(&router).await;
    assert_eq!(known["builds"]["service"], "s7", "{known:#}");
    assert_eq!(known["service"]["answers"], 1, "{known:#}");
}

#[tokio::test]
async fn what_was_shown_is_hidden_as_soon_as_a_reload_redacts_it() {
    let monolith = Upstream::answering(|_| json(r#"{"note": "Ann"}"#)).await;
    let service = Upstream::answering(|_| json(r#"{"note": "Bob"}"#)).await;
    let text = shadowed(&monolith, &service, QUICK);
    let router = Router::start(&text);
    router.connect().await.get("/read/1").await;
    let before = accounted(&router, 1).await;
    assert!(before["mismatches"].to_string().contains("Ann"), "{before:#}");
    let hiding = "\"shadow\"\ncompare = { redact = [\"$.note\"] }";
    router.write(&text.replacen("\"shadow\"", hiding, 1));
    until("the new rules", || async {
        evidence(&router).await["subject"] != before["subject"]
    })
    .await;
    // Nobody has asked anything since.
    let known = evidence(&router).await;
    assert_eq!(known["mismatches"].as_array().map(Vec::len), Some(0), "{known:#}");
}
