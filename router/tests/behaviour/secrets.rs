//! What no log line may hold, however much is logged.

use crate::support::router::{config, route};
use crate::support::{Client, Router, Upstream, until};

#[tokio::test]
async fn no_line_of_the_log_holds_a_secret_however_much_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (monolith, service) = (Upstream::named("m").await, Upstream::named("s").await);
    let routes = route("read", "GET /read", "\"shadow\"") + "sticky = \"cookie:session\"\n";
    let state = "state = \"postgres://shop:Xsecret-database@127.0.0.1:9/state\"";
    let text =
        config(state, monolith.address, service.address, &routes) + "[shadow]\nrecheck_after = \"20ms\"\n";
    let token = "Xsecret-token-0123456789abcdef0123456789";
    std::fs::write(folder.path().join("banyan-token"), token).unwrap();
    let router = Router::start_logging(folder, &text, "trace");
    send_secrets(&router).await;
    for command in [
        &["status"][..],
        &["certify", "read"],
        &["promote", "read"],
        &["revert", "read"],
        &["audit"],
    ] {
        let said = router.command(command).await;
        assert!(!format!("{said:?}").contains("Xsecret"), "{said:?}");
    }
    let wrong =
        "GET /status HTTP/1.1\nhost: localhost\nauthorization: Bearer Xsecret-guess-0123456789abcdef01234567";
    assert_eq!(
        Client::connect(router.admin).await.request(wrong).await.status,
        401
    );
    let file = router.file.with_file_name("log");
    let read = || std::fs::read_to_string(&file).unwrap();
    until("the copies and the database to be in the log", || async {
        let log = read();
        log.contains("going back without the audit log") && service.received().len() >= 5
    })
    .await;
    let log = read();
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("Xsecret"))
        .take(3)
        .collect();
    assert!(told.is_empty(), "{told:#?}");
    assert!(
        log.lines().count() > 100,
        "the log is trace: {}",
        log.lines().count()
    );
}

/// Requests that hold what nobody may see, well-formed and not.
async fn send_secrets(router: &Router) {
    let secrets =
        "cookie: session=Xsecret-cookie\nauthorization: Bearer Xsecret-authorization\nx-api-key: Xsecret-key";
    let mut client = router.connect().await;
    for _ in 0..5 {
        let answer = client
            .request(&format!(
                "GET /read?token=Xsecret-query HTTP/1.1\nhost: a\n{secrets}"
            ))
            .await;
        assert_eq!(answer.status, 200);
        let answer = client
            .request(&format!("GET /%zz HTTP/1.1\nhost: a\n{secrets}"))
            .await;
        assert_eq!(answer.status, 400);
    }
    let mut cut_off = router.connect().await;
    cut_off
        .send(format!(
            "POST /x HTTP/1.1\r\n{}\r\n",
            secrets.replace('\n', "\r\n")
        ))
        .await;
    drop(cut_off);
}
