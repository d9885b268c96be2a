//! A canary's share, and that nobody is moved about while it grows.

use crate::support::router::{config, route};
use crate::support::{Router, Upstream, until};

async fn set_up(percent: &str, sticky: &str) -> (Upstream, Upstream, Router) {
    let (monolith, service) = (
        Upstream::named("monolith").await,
        Upstream::named("service").await,
    );
    let router = Router::start(&config(
        "",
        monolith.address,
        service.address,
        &canary(percent, sticky),
    ));
    (monolith, service, router)
}

fn canary(percent: &str, sticky: &str) -> String {
    route(
        "c",
        "GET /a",
        &format!("\"canary\"\npercent = {percent}\nsticky = \"{sticky}\""),
    )
}

async fn sides(router: &Router, customers: usize) -> Vec<bool> {
    let mut client = router.connect().await;
    let mut sides = Vec::new();
    for n in 0..customers {
        let answer = client
            .request(&format!("GET /a HTTP/1.1\nhost: a\nx-customer: c{n}"))
            .await;
        let why = answer.header("x-served-why").unwrap();
        assert!(why.starts_with("route=c mode=canary bucket="), "{why}");
        sides.push(answer.served_by() == "catalog");
    }
    sides
}

#[tokio::test]
async fn the_share_is_as_asked_and_growth_moves_nobody_back() {
    const CUSTOMERS: usize = 1500;
    let (monolith, service, router) = set_up("0", "header:x-customer").await;
    let mut before = vec![false; CUSTOMERS];
    for percent in ["0", "0.5", "5", "20", "50.25", "90", "100"] {
        let text = config(
            "",
            monolith.address,
            service.address,
            &canary(percent, "header:x-customer"),
        );
        router.write(&text);
        until("the new share", || async {
            let (_, routes) = router.ask_admin("/routes").await;
            routes["routes"][0]["percent"].as_f64() == percent.parse().ok()
        })
        .await;
        let now = sides(&router, CUSTOMERS).await;
        assert!(
            before.iter().zip(&now).all(|(before, now)| !before || *now),
            "somebody was moved back at {percent} %"
        );
        let share: f64 = percent.parse::<f64>().unwrap() / 100.0;
        let served = now.iter().filter(|side| **side).count() as f64;
        let expected = CUSTOMERS as f64 * share;
        let sigma = (expected * (1.0 - share)).sqrt();
        assert!(
            (served - expected).abs() <= 3.0 * sigma,
            "{percent} %: {served} of {CUSTOMERS}"
        );
        before = now;
    }
    assert_eq!(sides(&router, 200).await, vec![true; 200]);
}

#[tokio::test]
async fn cookies_and_addresses_stick() {
    let (_monolith, _service, router) = set_up("50", "cookie:sid").await;
    let mut client = router.connect().await;
    for n in 0..30 {
        let cookie = format!("GET /a HTTP/1.1\nhost: a\ncookie: other=1; sid=s{n}; x=2");
        let first = client.request(&cookie).await;
        let again = client
            .request(&format!("GET /a HTTP/1.1\nhost: a\ncookie: sid=s{n}"))
            .await;
        assert_eq!(first.served_by(), again.served_by());
        assert_eq!(
            first.served_by(),
            router.why(&["GET", "/a", "-H", &format!("cookie: sid=s{n}")])["served_by"]
        );
    }
    let without = client.get("/a").await;
    assert!(
        without
            .header("x-served-why")
            .unwrap()
            .ends_with("key=client missing=cookie:sid")
    );
    for _ in 0..10 {
        assert_eq!(client.get("/a").await.served_by(), without.served_by());
    }
    assert_eq!(router.why(&["GET", "/a"])["served_by"], without.served_by());
}
