//! Path tricks: no request reaches a side other than the one that `banyan why` names, and the bytes stay as they are.

use crate::support::router::{config, route};
use crate::support::{Client, Router, Upstream};

async fn set_up(mode: &str) -> (Upstream, Upstream, Router) {
    let (monolith, service) = (
        Upstream::named("monolith").await,
        Upstream::named("service").await,
    );
    let routes = [
        route("get-product", "GET /api/products/{sku}", mode),
        route("list", "GET /api/products", "\"monolith\""),
        route("files", "GET /files/{*rest}", mode),
    ];
    let router = Router::start(&config("", monolith.address, service.address, &routes.concat()));
    (monolith, service, router)
}

const TARGETS: &[&str] = &[
    "/api/products/ABC",
    "/api/products/ABC?x=/../y",
    "/api/%70roducts/ABC",
    "/api/products/A%20B",
    "/api/products/%41BC",
    "/api/products/%2e%2e/orders",
    "/api/products/%2E%2e/products/x",
    "/api/products/..",
    "/api/products/../products/x",
    "/api/orders/../products/x",
    "/api/orders/%2e%2e/products/x",
    "/api/orders/..%2fproducts/x",
    "/api/orders/..%5Cproducts/x",
    "/api/orders/..\\products/x",
    "/api/orders/%252e%252e/products/x",
    "//api/products/x",
    "/api//products/x",
    "/api/products//x",
    "/api/products/x/",
    "/api/products/",
    "/api/products",
    "/api/products/a%2Fb",
    "/api/products/a%2fb",
    "/api/products/a%5cb",
    "/api/products/x;y",
    "/api/products;y/x",
    "/api;a=b/products/x",
    "/API/products/x",
    "/api/Products/x",
    "/files/a/b/c",
    "/files/",
    "/files",
    "/files/a/../../api/products/x",
    "/files/a;b/c",
    "/files/a%2Fb",
    "/other//x/../y;z%2Fq",
    "/static//app.js",
    "/wiki/A%2FB",
    "/;jsessionid=1",
    "/",
];

#[tokio::test]
async fn what_why_names_is_what_happens() {
    let (monolith, service, router) = set_up("\"service\"").await;
    let mut client = router.connect().await;
    for target in TARGETS {
        let said = router.why(&["GET", target]);
        let (before_monolith, before_service) = (monolith.received().len(), service.received().len());
        let answer = client.get(target).await;
        assert_eq!(answer.served_by(), said["served_by"], "{target}");
        assert_eq!(answer.header("x-served-why"), said["why"].as_str(), "{target}");
        let reached_monolith = monolith.received().len() - before_monolith;
        let reached_service = service.received().len() - before_service;
        match said["served_by"].as_str().unwrap() {
            "router" => {
                assert_eq!((reached_monolith, reached_service), (0, 0), "{target}");
                assert_eq!(
                    (answer.status, answer.problem().as_str()),
                    (400, "urn:banyan:router:ambiguous-path")
                );
            }
            "monolith" => {
                assert_eq!((reached_monolith, reached_service), (1, 0), "{target}");
                assert_eq!(monolith.last().target, **target);
            }
            "catalog" => {
                assert_eq!((reached_monolith, reached_service), (0, 1), "{target}");
                assert_eq!(service.last().target, **target);
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn each_trick_ends_where_the_policy_says() {
    let (_monolith, _service, router) = set_up("\"service\"").await;
    let served = |target: &str| {
        router.why(&["GET", target])["served_by"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for target in [
        "/api/products/ABC",
        "/api/%70roducts/ABC",
        "/api/products/A%20B",
        "/api/products/x;y",
        "/files/a%2Fb",
    ] {
        assert_eq!(served(target), "catalog", "{target}");
    }
    for target in [
        "/api/orders/%2e%2e/products/x",
        "//api/products/x",
        "/api/products/a%2Fb",
        "/api;a=b/products/x",
        "/api/orders/%252e%252e/products/x",
        "/files/a/../../api/products/x",
        "/api/products/..",
    ] {
        assert_eq!(served(target), "router", "{target}");
    }
    for target in [
        "/API/products/x",
        "/api/products/x/",
        "/files",
        "/static//app.js",
        "/wiki/A%2FB",
        "/;jsessionid=1",
    ] {
        assert_eq!(served(target), "monolith", "{target}");
    }
}

#[tokio::test]
async fn a_switch_never_changes_whether_a_path_is_refused() {
    let (_monolith, _service, on_service) = set_up("\"service\"").await;
    let (_monolith, _service, on_monolith) = set_up("\"monolith\"").await;
    let (mut one, mut other) = (on_service.connect().await, on_monolith.connect().await);
    for target in TARGETS {
        let (one, other) = (one.get(target).await, other.get(target).await);
        assert_eq!(one.status, other.status, "{target}");
    }
}

#[tokio::test]
async fn both_sides_see_the_same_path() {
    let (monolith, _service, on_monolith) = set_up("\"monolith\"").await;
    let (_monolith, service, on_service) = set_up("\"service\"").await;
    for target in TARGETS {
        let (mut one, mut other) = (on_monolith.connect().await, on_service.connect().await);
        let (one, other) = (one.get(target).await, other.get(target).await);
        if one.served_by() == "monolith" && other.served_by() == "catalog" {
            assert_eq!(monolith.last().target, service.last().target, "{target}");
        }
    }
}

#[tokio::test]
async fn unusual_forms_of_the_target() {
    let (monolith, service, router) = set_up("\"service\"").await;
    let mut client = router.connect().await;
    let absolute = client
        .request("GET http://shop.test:81/api/products/ABC?q=1 HTTP/1.1\nhost: other.test")
        .await;
    assert_eq!(absolute.served_by(), "catalog");
    assert_eq!(service.last().target, "/api/products/ABC?q=1");
    assert_eq!(service.last().header("host"), Some("shop.test:81"));
    assert_eq!(
        client.request("OPTIONS * HTTP/1.1\nhost: a").await.served_by(),
        "monolith"
    );
    assert_eq!(monolith.last().target, "*");
    for (head, status) in [
        ("GET ftp://shop.test/api/products/ABC HTTP/1.1\nhost: a", 400),
        ("GET /a%zz HTTP/1.1\nhost: a", 400),
        ("GET /a%00 HTTP/1.1\nhost: a", 400),
        ("GET /a%0d%0aX:%20y HTTP/1.1\nhost: a", 400),
        ("GET /a<b HTTP/1.1\nhost: a", 400),
        ("GET shop.test HTTP/1.1\nhost: a", 400),
        ("GET / HTTP/1.1\nhost: a@b", 400),
        ("GET / HTTP/1.1", 400),
        ("CONNECT shop.test:80 HTTP/1.1\nhost: shop.test:80", 501),
    ] {
        let before = (monolith.received().len(), service.received().len());
        let answer = Client::connect(router.address).await.request(head).await;
        assert_eq!((answer.status, answer.served_by()), (status, "router"), "{head}");
        assert!(answer.problem().starts_with("urn:banyan:router:"), "{head}");
        assert!(answer.header("x-served-why").is_some(), "{head}");
        assert_eq!(
            (monolith.received().len(), service.received().len()),
            before,
            "{head}"
        );
    }
}

#[tokio::test]
async fn hosts_choose_routes() {
    let (monolith, service) = (
        Upstream::named("monolith").await,
        Upstream::named("service").await,
    );
    let route = route("shop-only", "GET /a", "\"service\"\nhost = \"*.shop.test\"");
    let router = Router::start(&config("", monolith.address, service.address, &route));
    let mut client = router.connect().await;
    for (host, served_by) in [
        ("www.shop.test:80", "catalog"),
        ("WWW.SHOP.TEST", "catalog"),
        ("shop.test", "monolith"),
    ] {
        let answer = client.request(&format!("GET /a HTTP/1.1\nhost: {host}")).await;
        assert_eq!(answer.served_by(), served_by, "{host}");
        assert_eq!(
            router.why(&["GET", "/a", "-H", &format!("host: {host}")])["served_by"],
            served_by
        );
    }
}
