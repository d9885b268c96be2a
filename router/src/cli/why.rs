//! `banyan why`: the router's decision about one request, without sending it.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::str::FromStr;

use actix_http::header::HeaderMap;
use clap::Args;
use http02::Uri;
use http02::header::{HeaderName, HeaderValue};
use serde_json::json;

use super::{ConfigFile, load, say, tell};
use crate::choose::{Asked, Decision, Overruled, Refusal, Rule, choose};
use crate::client;
use crate::snapshot::Snapshot;

/// Say who would serve a request, and why.
///
/// Decides exactly as the server does, with the config file as it is now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan why GET /api/products/ABC
  banyan why GET /api/products/ABC -H 'x-customer: 7'      a canary keeps this customer on one side
  banyan why GET /api/products/ABC --client 203.0.113.9    what sticks when there is no such header
  banyan why GET '/api/products/..%2Forders'               path tricks: refused, or sent where it says

Exit codes: 0 answered, 1 the config is invalid, 2 wrong usage.")]
pub(super) struct Why {
    /// The method, such as GET.
    method: String,
    /// The path as the client sends it, with or without a query; or an absolute URL.
    path: String,
    /// A header of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The address that the client connects from.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::from(Ipv4Addr::LOCALHOST))]
    client: IpAddr,
    #[command(flatten)]
    file: ConfigFile,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Why {
    pub(super) fn run(self) -> ExitCode {
        let target = match Uri::from_str(&self.path) {
            Ok(target) => target,
            Err(error) => {
                tell(&format!(
                    "`{}` is not a request target ({error}); the router would answer 400",
                    self.path
                ));
                return ExitCode::from(2);
            }
        };
        let snapshot = match load(&self.file.config) {
            Ok(config) => Snapshot::new(config),
            Err(code) => return code,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        let host_header = headers.get("host").and_then(|value| value.to_str().ok());
        let asked = Asked {
            method: &self.method,
            path: target.path(),
            host: target
                .authority()
                .map(http02::uri::Authority::as_str)
                .or(host_header),
            headers: &headers,
            client: client::address(
                self.client.to_canonical(),
                &headers,
                &snapshot.config.router.trusted_proxies,
            ),
        };
        let chosen = choose(&snapshot, &asked);
        if self.json {
            say(&as_json(&snapshot, &asked, &chosen));
        } else {
            say(&as_text(&snapshot, &asked, &chosen));
        }
        ExitCode::SUCCESS
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'name: value'")?;
    let name = HeaderName::from_str(name.trim()).map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}

fn as_text(snapshot: &Snapshot, asked: &Asked<'_>, chosen: &Result<Decision, Refusal>) -> String {
    let lines = match chosen {
        Ok(decision) => {
            let upstream = &snapshot.config.upstreams[decision.upstream];
            vec![
                (
                    "served by",
                    format!("{} at http://{}", upstream.name, upstream.authority),
                ),
                ("route", route(snapshot, decision)),
                ("rule", rule(snapshot, decision, asked)),
                ("path", format!("{}   (as the upstream sees it)", asked.path)),
                ("x-served-by", upstream.name.clone()),
                ("x-served-why", decision.why(snapshot)),
            ]
        }
        Err(refusal) => vec![
            ("served by", "the router itself: 400 Bad Request".to_owned()),
            ("rule", refusal.to_string()),
            ("path", asked.path.to_owned()),
            ("x-served-by", "router".to_owned()),
            ("x-served-why", refusal.why()),
        ],
    };
    let head = format!("{} {}", asked.method, asked.path);
    lines.into_iter().fold(head, |text, (label, value)| {
        format!("{text}\n  {label:<13}{value}")
    })
}

fn route(snapshot: &Snapshot, decision: &Decision) -> String {
    match decision.route {
        None => "none matches, so the monolith serves it".to_owned(),
        Some(index) => {
            let route = &snapshot.config.routes[index];
            let module = &snapshot.config.modules[route.module].name;
            format!(
                "{} of module {module}: `{}`, line {}",
                route.name, route.rule, route.line
            )
        }
    }
}

fn rule(snapshot: &Snapshot, decision: &Decision, asked: &Asked<'_>) -> String {
    let Some(index) = decision.route else {
        return "unmatched".to_owned();
    };
    let route = &snapshot.config.routes[index];
    match decision.overruled {
        None => {}
        Some(Overruled::Tester(side)) => return format!("the tester's header asks for the {side}"),
        Some(Overruled::Behind(position)) => {
            return format!(
                "the client has written at {position}, which the other side is not known to have"
            );
        }
    }
    match &decision.rule {
        Rule::Canary {
            bucket,
            threshold,
            missing,
        } => {
            let sign = if bucket < threshold {
                "is below"
            } else {
                "is not below"
            };
            let key = match missing {
                Some(missing) => format!("the address {}, since there is no {missing}", asked.client),
                None => route.sticky.to_string(),
            };
            format!(
                "{}: bucket {bucket:04} {sign} {threshold:04}; the bucket comes from {key}",
                route.mode
            )
        }
        _ => format!("mode {}", route.mode),
    }
}

fn as_json(snapshot: &Snapshot, asked: &Asked<'_>, chosen: &Result<Decision, Refusal>) -> String {
    let answer = match chosen {
        Ok(decision) => {
            let route = decision.route.map(|index| &snapshot.config.routes[index]);
            json!({
                "method": asked.method,
                "path": asked.path,
                "client": asked.client,
                "status": null,
                "served_by": snapshot.config.upstreams[decision.upstream].name,
                "why": decision.why(snapshot),
                "route": route.map(|route| route.name.as_str()),
                "module": route.map(|route| snapshot.config.modules[route.module].name.as_str()),
                "mode": route.map(|route| route.mode.word()),
                "line": route.map(|route| route.line),
            })
        }
        Err(refusal) => json!({
            "method": asked.method,
            "path": asked.path,
            "client": asked.client,
            "status": 400,
            "served_by": "router",
            "why": refusal.why(),
            "detail": refusal.to_string(),
        }),
    };
    answer.to_string()
}
