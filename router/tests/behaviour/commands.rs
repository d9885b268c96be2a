//! Switching by command: what is held, what is forced, what goes back, and what is left in the file and in the log.

use std::time::Duration;

use serde_json::Value;

use crate::support::router::{config, route};
use crate::support::{Router, Upstream, until};

/// Two upstreams, and a router with two routes and comments in its file.
struct SetUp {
    monolith: Upstream,
    service: Upstream,
    router: Router,
}

impl SetUp {
    async fn new(mode: &str, more: &str) -> Self {
        Self::with("", mode, more).await
    }

    async fn with(router: &str, mode: &str, more: &str) -> Self {
        let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
        let routes = format!(
            "# the route that moves first\n{}sticky = \"header:x-user\" # by user\n{}{}",
            route("read", "GET /read", mode),
            route("other", "GET /other", "\"service\" # for weeks"),
            route("write", "POST /read", "\"monolith\""),
        );
        let text = config(router, monolith.address, service.address, &routes) + more;
        Self {
            router: Router::start(&text),
            monolith,
            service,
        }
    }

    async fn served_by(&self, user: &str) -> String {
        let mut client = self.router.connect().await;
        let answer = client
            .request(&format!("GET /read HTTP/1.1\nhost: a\nx-user: {user}"))
            .await;
        answer.text()
    }

    /// A user whom a canary of so many percent keeps on the service.
    fn pinned(&self) -> String {
        let served_by = |user: &str| {
            let header = format!("x-user: {user}");
            self.router.why(&["GET", "/read", "-H", &header])["served_by"].clone()
        };
        (0..1000)
            .map(|n| n.to_string())
            .find(|user| served_by(user) == "catalog")
            .unwrap()
    }

    async fn audit(&self, query: &str) -> Vec<Value> {
        let (status, page) = self.router.ask_admin(&format!("/audit?{query}")).await;
        assert_eq!(status, 200, "{page}");
        page["entries"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_promotion_without_evidence_is_held_and_says_what_is_missing() {
    let set_up = SetUp::new("\"shadow\"", "").await;
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
    let set_up = SetUp::new("\"monolith\"", "").await;
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
    let set_up = SetUp::new("\"shadow\"", "").await;
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
async fn a_revert_moves_a_pinned_user_with_the_very_next_request() {
    let set_up = SetUp::new("\"canary\"\npercent = 50", "").await;
    let user = set_up.pinned();
    for _ in 0..5 {
        assert_eq!(set_up.served_by(&user).await, "s");
        let said = set_up
            .router
            .command(&["revert", "read", "--reason", "prices are off"])
            .await;
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(set_up.served_by(&user).await, "m", "the very next request");
        let forward = [
            "set",
            "read",
            "canary",
            "--percent",
            "50",
            "--force",
            "--reason",
            "again",
        ];
        assert_eq!(set_up.router.command(&forward).await.code, 0);
    }
    let said = set_up.router.command(&["revert", "--all"]).await;
    assert!(said.out.contains("read: canary 50 % → monolith"), "{said:?}");
    assert!(said.out.contains("other: service → monolith"), "{said:?}");
    let again = set_up.router.command(&["revert", "--module", "catalog"]).await;
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "nothing to do: the file says so already\n")
    );
    assert_eq!(set_up.served_by(&user).await, "m");
}

#[tokio::test]
async fn a_revert_works_while_the_state_database_cannot_be_reached_and_a_promotion_does_not() {
    let state = "state = \"postgres://shop:secret-of-the-database@127.0.0.1:9/state\"";
    let set_up = SetUp::with(state, "\"service\"", "").await;
    assert_eq!(set_up.served_by("1").await, "s");
    let forward = set_up.router.command(&["set", "other", "service"]).await;
    assert_ne!(forward.code, 3, "{forward:?}");
    let forward = set_up.router.command(&["set", "other", "shadow"]).await;
    assert_eq!(
        forward.code, 1,
        "a step that is not a revert needs the log: {forward:?}"
    );
    let said = set_up.router.command(&["revert", "read"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.complaint.contains("the audit log cannot be written now"),
        "{said:?}"
    );
    assert_eq!(set_up.served_by("1").await, "m");
    assert!(set_up.router.text().contains("mode = \"monolith\""));
    let (status, told) = set_up.router.ask_admin("/audit").await;
    assert_eq!(status, 503, "{told}");
    assert_eq!(set_up.router.ask_admin("/status").await.1["audit_waiting"], 1);
    for told in [format!("{said:?}{forward:?}{told}")] {
        assert!(!told.contains("secret-of-the-database"), "{told}");
    }
}

#[tokio::test]
async fn without_a_router_a_revert_edits_the_file_and_all_else_says_how_to_start_one() {
    let set_up = SetUp::new("\"shadow\"", "").await;
    let forced = ["set", "read", "service", "--force", "--reason", "test"];
    assert_eq!(set_up.router.command(&forced).await.code, 0);
    let (admin, before) = (set_up.router.admin.to_string(), set_up.router.text());
    let folder = set_up.router.kill();
    let file = folder.path().join("banyan.toml");
    let run = |arguments: &[&str]| {
        let file = file.to_str().unwrap();
        crate::support::router::run(&[arguments, &["--config", file, "--admin", &admin]].concat())
    };
    for command in [
        &["status"][..],
        &["promote", "read"],
        &["certify", "read"],
        &["audit"],
        &["events"],
        &["routes", "--live"],
    ] {
        let output = run(command);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(
            complaint.contains(&admin) && complaint.contains("banyan serve --config"),
            "{complaint}"
        );
    }
    let output = run(&["revert", "read", "--reason", "it is down"]);
    let (out, complaint) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    assert!(
        complaint.contains("no router answers at") && out.contains("read: service → monolith"),
        "{out}{complaint}"
    );
    let after = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        after,
        before.replacen("mode = \"service\"\n", "mode = \"monolith\"\n", 1)
    );
    assert_eq!(run(&["revert", "nothing"]).status.code(), Some(2));
    assert_eq!(run(&["revert", "read"]).status.code(), Some(0));
    // The next router has it in its log as an edit of the file.
    let router = Router::start_in(folder, |command| command);
    until("the log to have the edit", || async {
        let (_, page) = router.ask_admin("/audit?route=read").await;
        page["entries"][0]["action"] == "reload"
    })
    .await;
    drop((set_up.monolith, set_up.service));
}

#[tokio::test]
async fn a_wish_that_was_formed_on_another_file_is_refused_and_a_file_with_mistakes_is_named() {
    let set_up = SetUp::new("\"monolith\"", "").await;
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
async fn the_log_survives_a_kill_between_switches_and_its_chain_holds() {
    let set_up = SetUp::new("\"monolith\"", "").await;
    let SetUp {
        monolith,
        service,
        router,
    } = set_up;
    let mut folder = None;
    let mut router = Some(router);
    for round in 0..4 {
        let running = router
            .take()
            .unwrap_or_else(|| Router::start_in(folder.take().unwrap(), |command| command));
        let command = if round % 2 == 0 {
            &["set", "read", "shadow"][..]
        } else {
            &["revert", "read"]
        };
        // Soon after its start the router may still be getting its database ready.
        until("the switch", || async {
            running.command(command).await.code == 0
        })
        .await;
        // In the middle of the next one, perhaps.
        let body =
            r#"{"wish":{"set":{"route":"read","mode":"service"}},"force":true,"reason":"interrupted"}"#;
        let half = running.operate("POST", "/switch", body);
        let _cut_off = tokio::time::timeout(Duration::from_millis(round * 5), half).await;
        folder = Some(running.kill());
    }
    let running = Router::start_in(folder.unwrap(), |command| command);
    until("every entry to have an end", || async {
        let (status, page) = running.ask_admin("/audit?verify=true").await;
        let entries = page["entries"].as_array().cloned().unwrap_or_default();
        status == 200 && !entries.is_empty() && entries.iter().all(|entry| entry["outcome"].is_string())
    })
    .await;
    let (_, page) = running.ask_admin("/audit?verify=true").await;
    let done = |action: &str| {
        let entries = page["entries"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["action"] == action && entry["outcome"] == "done")
            .count()
    };
    assert!(done("set") >= 2 && done("revert") >= 2, "{page:#}");
    assert!(page["verified"]["rows"].as_u64().unwrap() >= 8, "{page:#}");
    drop((monolith, service));
}

#[tokio::test]
async fn the_running_router_tells_what_the_file_alone_cannot() {
    let set_up = SetUp::new(
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
