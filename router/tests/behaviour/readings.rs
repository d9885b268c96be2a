//! The path policy against an independent reader: the URL standard's own normalisation, as browsers and many servers do it.
//!
//! Random paths are put together from everything that ever confused a proxy. Whenever the router lets one through, the
//! path as the other reader understands it must belong to the same route, or the router could be talked past.

use std::net::{IpAddr, Ipv4Addr};

use actix_http::header::HeaderMap;
use router::choose::{Asked, choose};
use router::config::Config;
use router::snapshot::Snapshot;

use crate::support::router::{config, route};

const TOKENS: &[&str] = &[
    "/",
    "/",
    "/",
    "//",
    "api",
    "api",
    "products",
    "products",
    "orders",
    "x",
    "..",
    ".",
    "%2e",
    "%2E%2e",
    "%2F",
    "\\",
    "%5c",
    ";a=b",
    ";",
    "%70roducts",
    "%252e%252e",
    "%252F",
    "%20",
    "files",
    "A",
];

fn snapshot() -> Snapshot {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let routes = [
        route("product", "GET /api/products/{sku}", "\"service\""),
        route("list", "GET /api/products", "\"service\""),
        route("x", "GET /api/products/x/x", "\"service\""),
        route("files", "GET /files/{*rest}", "\"service\""),
    ];
    Snapshot::new(Config::parse("test", config("", nowhere, nowhere, &routes.concat()).as_bytes()).unwrap())
}

/// The route, or that it was refused.
fn decide(snapshot: &Snapshot, path: &str) -> Result<Option<usize>, ()> {
    let headers = HeaderMap::new();
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let asked = Asked {
        method: "GET",
        path,
        host: None,
        headers: &headers,
        client,
    };
    choose(snapshot, &asked)
        .map(|decision| decision.route)
        .map_err(|_| ())
}

/// A small generator, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn path(&mut self) -> String {
        let length = 1 + self.roll(9);
        (0..length).fold("/".to_owned(), |path, _| path + TOKENS[self.roll(TOKENS.len())])
    }
}

/// What other readers make of a path.
fn other_readings(path: &str) -> Vec<String> {
    // Behind a host a leading `//` cannot be mistaken for one.
    let standard = url::Url::parse(&format!("http://h{path}"))
        .unwrap()
        .path()
        .to_owned();
    let merged = |path: &str| {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if path.ends_with('/') || parts.is_empty() {
            parts.push("");
        }
        format!("/{}", parts.join("/"))
    };
    let cut = |path: &str| {
        let parts = path
            .split('/')
            .map(|part| part.split(';').next().unwrap_or_default());
        parts.collect::<Vec<_>>().join("/")
    };
    let decoded = path.replace("%2F", "/").replace("%5c", "\\");
    let decoded_standard = url::Url::parse(&format!("http://h{decoded}"))
        .unwrap()
        .path()
        .to_owned();
    vec![
        merged(path),
        cut(path),
        merged(&standard),
        cut(&merged(&standard)),
        merged(&cut(&standard)),
        merged(&decoded_standard),
        standard,
        decoded_standard,
        decoded,
    ]
}

#[test]
fn no_other_reading_of_a_path_leads_to_another_route() {
    let (snapshot, mut dice) = (snapshot(), Dice(7));
    let (mut passed, mut matched) = (0, 0);
    for _ in 0..6_000 {
        let path = dice.path();
        let Ok(route) = decide(&snapshot, &path) else {
            continue;
        };
        passed += 1;
        matched += usize::from(route.is_some());
        for other in other_readings(&path) {
            match decide(&snapshot, &other) {
                Ok(found) => assert_eq!(found, route, "{path} is also read as {other}"),
                // Still unusual: then at least one of its readings is the same.
                Err(()) => panic!("{path} passes, but {other}, which it can be read as, is refused"),
            }
        }
    }
    assert!(
        passed > 1_000 && matched > 10,
        "only {passed} paths passed, {matched} matched: the test tests little"
    );
}
