//! The way back: at once, for pinned users too, without a database, without a valid file, without a router; and the log that
//! survives it all.

use std::time::Duration;

use serde_json::Value;

use crate::support::pair::Pair;
use crate::support::{Router, until};

#[tokio::test]
async fn a_revert_moves_a_pinned_user_with_the_very_next_request() {
    let set_up = Pair::new("\"canary\"\npercent = 50", "").await;
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
    let set_up = Pair::with(state, "\"service\"", "").await;
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
    let told = format!("{said:?}{forward:?}{told}");
    assert!(!told.contains("secret-of-the-database"), "{told}");
}

#[tokio::test]
async fn without_a_router_a_revert_edits_the_file_and_all_else_says_how_to_start_one() {
    let set_up = Pair::new("\"shadow\"", "").await;
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
    let router = Router::start_again(folder);
    until("the log to have the edit", || async {
        let (_, page) = router.ask_admin("/audit?route=read").await;
        page["entries"][0]["action"] == "reload"
    })
    .await;
    drop((set_up.monolith, set_up.service));
}

#[tokio::test]
async fn the_log_survives_a_kill_between_switches_and_its_chain_holds() {
    let set_up = Pair::new("\"monolith\"", "").await;
    let Pair {
        monolith,
        service,
        router,
    } = set_up;
    let mut folder = None;
    let mut router = Some(router);
    for round in 0..4 {
        let running = router
            .take()
            .unwrap_or_else(|| Router::start_again(folder.take().unwrap()));
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
    let running = Router::start_again(folder.unwrap());
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
async fn a_revert_does_not_wait_until_somebody_has_mended_the_file() {
    let set_up = Pair::new("\"service\"", "").await;
    let good = set_up.router.text();
    let refused = |text: String| {
        set_up.router.write(&text);
        until("the refusal", || async {
            set_up.router.ask_admin("/config").await.1["file_is_current"] == false
        })
    };
    refused(good.replace("workers", "wrokers")).await;
    assert_eq!(set_up.served_by("1").await, "s");
    let said = set_up.router.command(&["revert", "read", "--actor", "ann"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out
            .starts_with("revert read: service → monolith; by cli:ann"),
        "{said:?}"
    );
    assert_eq!(set_up.served_by("1").await, "m", "the very next request");
    assert_eq!(
        set_up.router.ask_admin("/config").await.1["file_is_current"],
        false
    );
    let edited = set_up.router.text();
    assert!(
        edited.contains("wrokers"),
        "the mistake stays for whoever made it: {edited}"
    );
    set_up.router.write(&edited.replace("wrokers", "workers"));
    until("the mended file", || async {
        set_up.router.ask_admin("/config").await.1["file_is_current"] == true
    })
    .await;
    assert_eq!(set_up.served_by("1").await, "m", "the mended file says so too");
    // What is no TOML cannot be edited. What is served goes back all the same, until the file is mended.
    set_up.router.write(&good);
    until("the service", || async { set_up.served_by("1").await == "s" }).await;
    refused(good.clone() + "nonsense").await;
    assert_eq!(set_up.router.command(&["revert", "--all"]).await.code, 0);
    assert_eq!(set_up.served_by("1").await, "m");
    assert!(set_up.router.text().ends_with("nonsense"));
    set_up.router.write(&good);
    until("the service", || async { set_up.served_by("1").await == "s" }).await;
    until("the log to have all of it", || async {
        let told: Vec<Value> = set_up.audit("route=read").await;
        let actions: Vec<&str> = told
            .iter()
            .map(|entry| entry["action"].as_str().unwrap())
            .collect();
        actions == ["reload", "revert", "reload", "revert"]
    })
    .await;
}
