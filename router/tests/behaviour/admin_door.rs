//! The door of the admin port: who gets in, who does not, and what they are told.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::router::{config, route};
use crate::support::{Client, Router, Upstream};

async fn set_up(router: &str) -> (Upstream, Router) {
    let upstream = Upstream::named("ok").await;
    let routes = route("read", "GET /read", "\"monolith\"");
    let router = Router::start(&config(router, upstream.address, upstream.address, &routes));
    (upstream, router)
}

async fn ask(router: &Router, head: &str) -> (u16, String) {
    let mut client = Client::connect(router.admin).await;
    let answer = client.request(head).await;
    let kind = if answer.status == 200 {
        String::new()
    } else {
        answer.problem()
    };
    if answer.status == 401 {
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    (answer.status, kind.replace("urn:banyan:router:", ""))
}

#[tokio::test]
async fn nobody_gets_in_without_the_token_and_with_it_not_by_a_foreign_name_or_from_a_foreign_page() {
    let (_upstream, router) = set_up("admin_hosts = [\"Banyan.internal\"]").await;
    let token = router.token();
    let with = |host: &str, more: &str| format!("GET /status HTTP/1.1\nhost: {host}{more}");
    let bearer = format!("\nauthorization: Bearer {token}");
    let own = router.admin.to_string();
    let unauthorized = (401, "unauthorized".to_owned());
    for wrong in [
        String::new(),
        "\nauthorization: Bearer 0123456789abcdef0123456789abcdef".to_owned(),
        "\nauthorization: Bearer".to_owned(),
        format!("\nauthorization: Basic {token}"),
        format!("\nauthorization: Bearer {}", &token[..63]),
        format!("\nauthorization: Bearer {token}0"),
        format!("{bearer}{bearer}"),
        format!("\ncookie: token={token}"),
    ] {
        assert_eq!(ask(&router, &with(&own, &wrong)).await, unauthorized, "{wrong}");
    }
    for host in [
        "evil.test",
        "localhost.evil.test",
        "banyan.internal.evil.test:80",
        "",
    ] {
        let told = ask(&router, &with(host, &bearer)).await;
        assert_eq!(told, (403, "foreign-host".to_owned()), "{host}");
    }
    for origin in [
        "http://evil.test",
        "null",
        "http://localhost:1",
        &format!("ftp://{own}"),
    ] {
        let told = ask(&router, &with(&own, &format!("\norigin: {origin}{bearer}"))).await;
        assert_eq!(told, (403, "foreign-origin".to_owned()), "{origin}");
    }
    let same = format!("\norigin: http://{own}{bearer}");
    for (host, more) in [
        (own.as_str(), &bearer),
        ("localhost:8081", &bearer),
        ("[::1]", &bearer),
        ("banyan.internal", &bearer),
        (&own, &same),
        (&own, &bearer.replace("Bearer", "bearer")),
    ] {
        assert_eq!(ask(&router, &with(host, more)).await.0, 200, "{host} {more}");
    }
}

#[tokio::test]
async fn health_is_told_to_everybody_and_nothing_else_is() {
    let (_upstream, router) = set_up("").await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(
            ask(&router, &format!("GET {path} HTTP/1.1\nhost: pod.test"))
                .await
                .0,
            200
        );
    }
    let (_, document) = router.ask_admin("/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 14, "{paths:?}");
    let own = router.admin;
    for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("/health/")) {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let path = path.replace("{name}", "read");
            let told = ask(&router, &format!("{method} {path} HTTP/1.1\nhost: {own}")).await;
            assert_eq!(told.0, 401, "{method} {path}");
        }
    }
    assert_eq!(
        ask(&router, &format!("GET /nothing HTTP/1.1\nhost: {own}"))
            .await
            .0,
        401
    );
    assert_eq!(
        router.operate("GET", "/nothing", "").await.problem(),
        "urn:banyan:router:not-found"
    );
    let wrong_method = router.operate("DELETE", "/status", "").await;
    assert_eq!(
        (wrong_method.status, wrong_method.header("allow")),
        (405, Some("GET"))
    );
    let head = router.operate("HEAD", "/status", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn the_first_start_makes_a_token_for_its_user_alone_and_the_next_one_keeps_it() {
    let (upstream, router) = set_up("").await;
    let file = router.file.with_file_name("banyan-token");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let (token, text) = (router.token(), router.text());
    assert_eq!(token.len(), 64);
    let folder = router.kill();
    let again = Router::start_again(folder);
    assert_eq!((again.token(), again.text()), (token, text));
    assert_eq!(again.ask_admin("/status").await.0, 200);
    drop(upstream);
}

#[tokio::test]
async fn a_token_that_is_none_keeps_the_router_from_starting_and_the_environment_goes_before_the_file() {
    let (_upstream, router) = set_up("").await;
    std::fs::write(router.file.with_file_name("banyan-token"), "secret\n").unwrap();
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        router.file.to_str().unwrap(),
    ];
    let start = |token: &str| {
        let mut command = std::process::Command::new(crate::support::router::BANYAN);
        command
            .args(arguments)
            .args(["--admin", "127.0.0.1:0"])
            .env("BANYAN_ADMIN_TOKEN", token);
        command.output().unwrap()
    };
    for token in ["", "short"] {
        let output = start(token);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
        assert!(
            complaint.contains("holds no token") && !complaint.contains("secret"),
            "{complaint}"
        );
    }
    let said = router.command(&["status"]).await;
    assert_eq!(said.code, 1);
    assert!(said.complaint.contains("banyan-token"), "{said:?}");
}

#[tokio::test]
async fn a_token_that_others_may_read_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::named("ok").await;
    let token = folder.path().join("banyan-token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let router = Router::start_logging(
        folder,
        &config("", upstream.address, upstream.address, ""),
        "warn",
    );
    let log = std::fs::read_to_string(router.file.with_file_name("log")).unwrap();
    assert!(
        log.contains("chmod 600") && !log.contains("0123456789abcdef"),
        "{log}"
    );
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_with_the_name_of_its_field() {
    let (_upstream, router) = set_up("").await;
    let field = |answer: crate::support::client::Answer| {
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        (
            answer.status,
            problem["field"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for (body, status, name) in [
        ("", 400, "body"),
        ("{", 400, "body"),
        ("{}", 400, "wish"),
        (r#"{"wish":{"promote":"read"},"forced":true}"#, 400, "forced"),
        (r#"{"wish":{"demote":"read"}}"#, 400, "wish"),
        (
            r#"{"wish":{"set":{"route":"read","mode":"off"}}}"#,
            400,
            "wish.set.mode",
        ),
        (
            r#"{"wish":{"set":{"route":"read","mode":"canary"}}}"#,
            422,
            "wish.set.percent",
        ),
        (
            r#"{"wish":{"set":{"route":"read","mode":"canary","percent":101}}}"#,
            422,
            "wish.set.percent",
        ),
        (
            r#"{"wish":{"set":{"route":"read","mode":"canary","percent":"1"}}}"#,
            400,
            "wish.set.percent",
        ),
        (r#"{"wish":{"revert":{}}}"#, 422, "wish.revert"),
        (
            r#"{"wish":{"revert":{"route":"read","all":true}}}"#,
            422,
            "wish.revert",
        ),
        (r#"{"wish":{"promote":"read"},"reason":7}"#, 400, "reason"),
    ] {
        for path in ["/plan", "/switch"] {
            let (told, field) = field(router.operate("POST", path, body).await);
            assert_eq!(
                (told, field.trim_start_matches('.')),
                (status, name),
                "{path} {body}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_too_long_unknown_or_nowhere_is_refused() {
    let (_upstream, router) = set_up("").await;
    let long = format!(r#"{{"wish":{{"promote":"{}"}}}}"#, "x".repeat(100_000));
    assert_eq!(router.operate("POST", "/switch", &long).await.status, 413);
    for query in ["limit=0", "limit=x", "since=yesterday", "who=me", "route=%00"] {
        assert_eq!(
            router.operate("GET", &format!("/audit?{query}"), "").await.status,
            400,
            "{query}"
        );
    }
    let unknown = router
        .operate("POST", "/switch", r#"{"wish":{"promote":"nothing"}}"#)
        .await;
    assert_eq!(
        (unknown.status, unknown.problem().as_str()),
        (404, "urn:banyan:router:unknown-route")
    );
    let nothing = router.operate("GET", "/routes/nothing/certificate", "").await;
    assert_eq!(nothing.status, 404);
}
