//! What operators and coordinators see of a pen, and what they can do with a router.

use serde_json::Value;

use crate::support::router::run;
use crate::support::sides::{Sides, pen_of, tell, until_waiting, write, write_of};
use crate::support::{Router, until};

async fn audited(router: &Router) -> Vec<Value> {
    let (status, page) = router.ask_admin("/audit?limit=100").await;
    assert_eq!(status, 200, "{page}");
    let entries = page["entries"].as_array().unwrap().clone();
    let of_passes = entries.into_iter().filter(|entry| entry["action"] == "handover");
    of_passes.collect()
}

#[tokio::test]
async fn the_pen_and_both_sides_are_shown_as_they_answered() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.monolith.set("catalog", 2, "granted");
    until("the router to see the grant", || async {
        pen_of(&router).await["state"] == "granted"
    })
    .await;
    let pen = pen_of(&router).await;
    assert_eq!(
        (pen["holder"].as_str(), pen["epoch"].as_u64()),
        (Some("monolith"), Some(1)),
        "{pen}"
    );
    assert_eq!(
        (&pen["held"], &pen["monolith"]["epoch"]),
        (&Value::Bool(true), &Value::from(2)),
        "{pen}"
    );
    let (_, status) = router.ask_admin("/status").await;
    let shown = &status["pens"][0];
    assert_eq!(shown["module"], "catalog");
    assert_eq!(shown["service"]["phase"], "following");
    assert_eq!(shown["service"]["lag_seconds"], 0.25);
    sides.service.set("catalog", 2, "held");
    sides.monolith.set("catalog", 2, "held");
    sides.monolith.follows("following", "2-0");
    sides.until_known(&router, "service", 2).await;
    until("the follower to be known", || async {
        pen_of(&router).await["follows"] == true
    })
    .await;
    let said = router.command(&["status"]).await;
    let line = said
        .out
        .lines()
        .find(|line| line.trim_start().starts_with("catalog  service"));
    let line = line.unwrap_or_else(|| panic!("no line for the pen in\n{}", said.out));
    assert!(
        line.contains("following, 0.2 s behind") && line.contains("go on"),
        "{line}"
    );
}

#[tokio::test]
async fn each_change_of_the_holder_is_an_event() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    sides.pass();
    sides.until_known(&router, "service", 2).await;
    sides.pass();
    sides.until_known(&router, "monolith", 3).await;
    let answer = router.operate("GET", "/metrics", "").await.text();
    for line in [
        "banyan_events_total{kind=\"pen-moved\"} 2",
        "banyan_pen_holder{module=\"catalog\",side=\"monolith\"} 1",
        "banyan_pen_holder{module=\"catalog\",side=\"service\"} 0",
        "banyan_pen_epoch{module=\"catalog\"} 3",
        "banyan_writes_held{module=\"catalog\"} 0",
    ] {
        assert!(
            answer.lines().any(|told| told.starts_with(line)),
            "no {line} in\n{answer}"
        );
    }
}

#[tokio::test]
async fn what_a_coordinator_does_at_a_router_is_in_the_audit_log_and_is_counted() {
    let sides = Sides::start().await;
    let router = sides.router("", "hold_requests = 1", "\"monolith\"");
    sides.until_known(&router, "monolith", 1).await;
    tell(&router, "hold", r#"{"ms": 5000, "reason": "pass 7"}"#).await;
    let mut client = router.connect().await;
    client.send(write_of("x")).await;
    until_waiting(&router, 1).await;
    assert_eq!(write(&mut router.connect().await, "y").await.status, 503);
    let step = r#"{"pass": "7", "step": "fence", "detail": "monolith lets nobody write"}"#;
    tell(&router, "journal", step).await;
    tell(&router, "release", r#"{"reason": "pass 7"}"#).await;
    assert_eq!(client.answer().await.status, 200);
    until("the audit log to have it", || async {
        audited(&router).await.len() == 1
    })
    .await;
    let told: Vec<String> = audited(&router)
        .await
        .iter()
        .map(|entry| entry["reason"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(told, ["catalog: fence: monolith lets nobody write (pass 7)"]);
    let metrics = router.operate("GET", "/metrics", "").await.text();
    for line in [
        "banyan_writes_waited_total{module=\"catalog\"} 1",
        "banyan_writes_turned_away_total{module=\"catalog\",reason=\"full\"} 1",
        "banyan_events_total{kind=\"handover\"} 3",
    ] {
        assert!(
            metrics.lines().any(|told| told.starts_with(line)),
            "no {line} in\n{metrics}"
        );
    }
}

#[tokio::test]
async fn why_says_that_the_pen_and_not_the_file_decides_about_a_write() {
    let sides = Sides::start().await;
    let router = sides.router("", "", "\"monolith\"");
    let file = router.file.to_str().unwrap();
    let by_file = run(&["why", "POST", "/things", "--config", file]);
    let by_file = String::from_utf8(by_file.stdout).unwrap();
    assert!(by_file.contains("who may write is told by the pen"), "{by_file}");
    sides.pass();
    sides.until_known(&router, "service", 2).await;
    let said = router.command(&["why", "POST", "/things", "--live"]).await;
    assert!(
        said.out.contains("served by    catalog")
            && said
                .out
                .contains("whatever the file says: this side has it in epoch 2"),
        "{}",
        said.out
    );
}
