//! Switching by command: what is held, what is forced, and what is left in the file and in the log.

use serde_json::Value;

use crate::support::pair::Pair;
use crate::support::router::{config, route};
use crate::support::{Router, Upstream, until};

#[tokio::test]
async fn a_promotion_without_evidence_is_held_and_says_what_is_missing() {
    let set_up = Pair::new("\"shadow\"", "").await;
    let before = set_up.router.text();
    for command in [
        &["promote", "read"][..],
        &["plan", "promote", "read"],
        &["set", "read", "service"],
    ] {
        let said = set_up.router.command(command).await;
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
        for part in [
            "comparisons: 0; wanted is at least 1000",
            "service-errors",
            "latency",
            "--force --reason",
        ] {
            assert!(said.complaint.contains(part), "{part}: {said:?}");
        }
    }
    let said = set_up.router.command(&["promote", "read", "--json"]).await;
    let problem: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (said.code, &problem["type"]),
        (3, &"urn:banyan:router:held".into())
    );
    assert_eq!(problem["certificate"]["verdict"], "hold");
    let certificate = set_up.router.command(&["certify", "read"]).await;
    assert_eq!(certificate.code, 3);
    for part in [
        "read: shadow → canary 1 %: hold",
        "CRITERION",
        "mismatch-rate",
        "freshness",
    ] {
        assert!(certificate.out.contains(part), "{part}: {certificate:?}");
    }
    assert_eq!(set_up.router.text(), before, "nothing was changed");
    assert!(set_up.audit("actor=cli:x").await.is_empty());
}

#[tokio::test]
async fn a_step_that_puts_no_trust_in_the_service_needs_no_evidence() {
    let set_up = Pair::new("\"monolith\"", "").await;
    let certificate = set_up.router.command(&["certify", "read"]).await;
    assert_eq!(certificate.code, 0, "{certificate:?}");
    let said = set_up
        .router
        .command(&["promote", "read", "--actor", "ann"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out
            .starts_with("promote read: monolith → shadow; by cli:ann"),
        "{said:?}"
    );
    assert!(
        said.out.contains("the way back: banyan revert read --config"),
        "{said:?}"
    );
    let said = set_up
        .router
        .command(&["set", "other", "canary", "--percent", "12.5"])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        set_up
            .router
            .text()
            .contains("mode = \"canary\" # for weeks\npercent = 12.5\n")
    );
    assert_eq!(set_up.router.command(&["promote", "write"]).await.code, 1);
    assert_eq!(set_up.router.command(&["promote", "nothing"]).await.code, 2);
    assert_eq!(
        set_up
            .router
            .command(&["revert", "--module", "nothing"])
            .await
            .code,
        2
    );
    assert_eq!(set_up.router.command(&["set", "read", "canary"]).await.code, 2);
    assert_eq!(set_up.router.command(&["revert"]).await.code, 2);
}

#[tokio::test]
async fn a_forced_promotion_needs_a_reason_stands_out_in_the_log_and_holds_for_the_very_next_request() {
    let set_up = Pair::new("\"shadow\"", "").await;
    assert_eq!(
        set_up.router.command(&["promote", "read", "--force"]).await.code,
        2
    );
    let body = r#"{"wish":{"promote":"read"},"force":true}"#;
    assert_eq!(set_up.router.operate("POST", "/switch", body).await.status, 422);
    let before = set_up.router.text();
    let forced = [
        "set", "read", "service", "--force", "--reason", "the fair", "--actor", "ann",
    ];
    let planned = set_up.router.command(&[&["plan"], &forced[..]].concat()).await;
    assert_eq!(
        (planned.code, set_up.router.text()),
        (0, before.clone()),
        "{planned:?}"
    );
    assert_eq!(set_up.served_by("1").await, "m");
    let said = set_up.router.command(&forced).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(set_up.served_by("1").await, "s", "the very next request");
    // Each has a certificate of its own moment.
    let plain = |text: &str| text.split("; against certificate ").next().unwrap().to_owned();
    let sentence = said.out.lines().next().unwrap();
    assert_eq!(plain(planned.out.trim()), plain(sentence));
    assert!(
        sentence.starts_with("FORCED: set read: shadow → service; by cli:ann;"),
        "{sentence}"
    );
    let entries = set_up.audit("route=read").await;
    assert_eq!(entries[0]["sentence"], sentence);
    assert_eq!(
        (&entries[0]["forced"], &entries[0]["outcome"]),
        (&true.into(), &"done".into())
    );
    assert_eq!(entries[0]["certificate"]["verdict"], "hold");
    let expected = before.replace("mode = \"shadow\"", "mode = \"service\"");
    assert_eq!(set_up.router.text(), expected, "all else stays, comments too");
    let listed = set_up
        .router
        .command(&["audit", "--route", "read", "--verify"])
        .await;
    assert!(
        listed.out.contains(sentence) && listed.out.contains("the log is as it was written"),
        "{listed:?}"
    );
}

#[tokio::test]
async fn a_force_that_was_not_needed_stands_in_the_log_too() {
    let (monolith, service) = (Upstream::named("same").await, Upstream::named("same").await);
    let lax = "[certificate]\nmin_comparisons = 3\nmin_per_class = 3\nmin_span = \"1ms\"\nmin_latencies = 3\n\
        max_mismatch = 70\nmax_errors = 70\nlatency_slack = \"5s\"\n";
    let routes = route("read", "GET /read", "\"monolith\"");
    let router = Router::start(&(config("", monolith.address, service.address, &routes) + lax));
    let force = [
        "promote",
        "read",
        "--force",
        "--reason",
        "to be sure",
        "--actor",
        "ann",
    ];
    let said = router.command(&force).await;
    let told = "FORCED: promote read: monolith → shadow; by cli:ann; without need, for this step takes no certificate; \
        reason: to be sure\n";
    assert!(said.out.starts_with(told), "{said:?}");
    until("evidence that is enough", || async {
        router.connect().await.get("/read").await;
        router.command(&["certify", "read"]).await.code == 0
    })
    .await;
    let said = router.command(&force).await;
    assert_eq!(said.code, 0, "{said:?}");
    let (_, page) = router.ask_admin("/audit?route=read").await;
    let entry = &page["entries"][0];
    assert_eq!(
        (&entry["forced"], &entry["certificate"]["verdict"]),
        (&true.into(), &"pass".into())
    );
    let sentence = entry["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("FORCED: promote read: shadow → canary"),
        "{sentence}"
    );
    assert!(
        sentence.contains("; without need, for certificate "),
        "{sentence}"
    );
    // Whoever forces says why, whether it is needed or not.
    let body = r#"{"wish":{"promote":"read"},"force":true}"#;
    assert_eq!(router.operate("POST", "/switch", body).await.status, 422);
}

#[tokio::test]
async fn a_wish_that_was_formed_on_another_file_is_refused_and_a_file_with_mistakes_is_named() {
    let set_up = Pair::new("\"monolith\"", "").await;
    let (_, config) = set_up.router.ask_admin("/config").await;
    let wish = |hash: &str| format!(r#"{{"wish":{{"promote":"read"}},"expected":"{hash}"}}"#);
    let stale = set_up.router.operate("POST", "/switch", &wish("0123")).await;
    assert_eq!(
        (stale.status, stale.problem().as_str()),
        (409, "urn:banyan:router:file-changed")
    );
    // Edited by hand a moment ago, and not taken yet: the command is about a file that nobody has seen.
    let edited = set_up.router.text() + "# by hand\n";
    set_up.router.write(&edited);
    let raced = set_up
        .router
        .operate("POST", "/switch", &wish(config["hash"].as_str().unwrap()))
        .await;
    assert_eq!(
        (raced.status, raced.problem().as_str()),
        (409, "urn:banyan:router:file-changed")
    );
    assert_eq!(set_up.router.text(), edited, "what was edited by hand stays");
    let broken = edited.replace("workers", "wrokers");
    set_up.router.write(&broken);
    until("the refusal", || async {
        set_up.router.ask_admin("/config").await.1["file_is_current"] == false
    })
    .await;
    let refused = set_up
        .router
        .operate("POST", "/switch", r#"{"wish":{"promote":"read"}}"#)
        .await;
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(refused.status, 409, "{problem}");
    assert_eq!(problem["faults"][0]["line"], 2, "{problem}");
    assert_eq!(set_up.router.text(), broken);
}

#[tokio::test]
async fn the_running_router_tells_what_the_file_alone_cannot() {
    let set_up = Pair::new(
        "\"service\"",
        "[fallback]\ncircuit_failures = 1\ncircuit_pause = \"1h\"\n",
    )
    .await;
    let why = |live: &'static str| {
        let router = &set_up.router;
        async move { router.command(&["why", "GET", "/read", "--json", live]).await }
    };
    let told: Value = serde_json::from_str(&why("--live").await.out).unwrap();
    assert_eq!(
        (&told["served_by"], &told["circuit"]),
        (&"catalog".into(), &Value::Null)
    );
    let router = &set_up.router;
    let routes = router.command(&["routes", "--live"]).await;
    assert_eq!(routes.out, router_routes(router).await);
    let status = router.command(&["status"]).await;
    for part in ["UPSTREAM", "catalog", "closed", "read", "service"] {
        assert!(status.out.contains(part), "{part}: {status:?}");
    }
}

async fn router_routes(router: &Router) -> String {
    let output = crate::support::router::run(&["routes", "--config", router.file.to_str().unwrap()]);
    String::from_utf8(output.stdout).unwrap()
}
