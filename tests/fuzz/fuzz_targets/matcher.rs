//! An arbitrary method, host and path against a fixed config: whoever is chosen is chosen again, and nothing panics.
//!
//! The input is three lines: method, host (empty for none) and path.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use actix_http::header::HeaderMap;
use libfuzzer_sys::fuzz_target;
use router::choose::{Asked, choose};
use router::config::Config;
use router::snapshot::Snapshot;

const CONFIG: &str = include_str!("matcher.toml");

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| match Config::parse("matcher.toml", CONFIG.as_bytes()) {
    Ok(config) => Snapshot::new(config),
    Err(refused) => unreachable!("{refused}"),
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(method), Some(host), Some(path)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let headers = HeaderMap::new();
    let asked = Asked {
        method,
        path,
        host: Some(host).filter(|host| !host.is_empty()),
        headers: &headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let chosen = choose(&SNAPSHOT, &asked);
    assert_eq!(chosen, choose(&SNAPSHOT, &asked), "not the same twice");
    match chosen {
        Ok(decision) => {
            assert!(decision.upstream < SNAPSHOT.config.upstreams.len());
            assert!(decision.route.is_none_or(|route| route < SNAPSHOT.config.routes.len()));
            let _ = (SNAPSHOT.served_why(&decision), decision.why(&SNAPSHOT));
        }
        Err(refusal) => assert!(!refusal.why().is_empty() && !refusal.to_string().is_empty()),
    }
});
