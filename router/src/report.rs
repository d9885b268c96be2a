//! The config as JSON, one shape for `banyan routes --json` and the admin port.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::config::Config;
use crate::evidence::Counts;
use crate::state::State;

/// Upstreams and routes.
pub fn routes(config: &Config) -> Value {
    let routes = config.routes.iter().map(|route| {
        let module = &config.modules[route.module];
        json!({
            "name": route.name,
            "module": module.name,
            "match": route.rule.to_string(),
            "host": route.host.as_ref().map(ToString::to_string),
            "mode": route.mode.word(),
            "percent": route.mode.percent(),
            "sticky": route.sticky.to_string(),
            "service": module.service.map(|index| config.upstreams[index].name.as_str()),
            "line": route.line,
        })
    });
    let upstreams = config
        .upstreams
        .iter()
        .map(|upstream| json!({ "name": upstream.name, "address": upstream.authority }));
    json!({
        "hash": config.hash,
        "upstreams": upstreams.collect::<Vec<_>>(),
        "routes": routes.collect::<Vec<_>>(),
    })
}

/// What is known of a route: both sides' answers and what came of comparing them. Absent if there is no such route.
pub fn evidence(state: &State, route: &str) -> Option<Value> {
    let snapshot = state.snapshot();
    let index = snapshot
        .config
        .routes
        .iter()
        .position(|known| known.name == route)?;
    let subject = snapshot.subject(index);
    let findings = state.findings();
    let window = findings
        .evidence()
        .window(route, subject, SystemTime::UNIX_EPOCH, SystemTime::now());
    let millis = |counts: &Counts, quantile| {
        let latency = counts.latencies.quantile(quantile);
        latency.map(|latency| latency.as_secs_f64() * 1000.0)
    };
    let side = |counts: &Counts| {
        json!({
            "answers": counts.total(),
            "errors": counts.errors(),
            "p50_ms": millis(counts, 0.5),
            "p99_ms": millis(counts, 0.99),
        })
    };
    let samples = findings.samples(route);
    Some(json!({
        "route": route,
        "mode": snapshot.config.routes[index].mode.word(),
        "subject": &**subject,
        "builds": { "monolith": window.builds.monolith, "service": window.builds.service },
        "monolith": side(&window.monolith),
        "service": side(&window.service),
        "comparisons": window.comparisons,
        "mismatches": samples.groups().map(|(name, group)| json!({ "field": name, "seen": group })).collect::<Vec<_>>(),
    }))
}
