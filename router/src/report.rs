//! The config as JSON, one shape for `banyan routes --json` and the admin port.

use serde_json::{Value, json};

use crate::config::{Config, Mode};

/// Upstreams and routes.
pub fn routes(config: &Config) -> Value {
    let routes = config.routes.iter().map(|route| {
        let module = &config.modules[route.module];
        let percent = match route.mode {
            Mode::Canary(percent) => Some(percent),
            Mode::Monolith | Mode::Service => None,
        };
        json!({
            "name": route.name,
            "module": module.name,
            "match": route.rule.to_string(),
            "host": route.host.as_ref().map(ToString::to_string),
            "mode": route.mode.word(),
            "percent": percent,
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
