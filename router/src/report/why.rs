//! Who would serve a request, and why: the router's decision as people and machines read it.
//!
//! For `banyan why`, which asks the file, and for `/why` on the operators' port, which asks the router that runs, with what
//! it knows of its upstreams. Both call [`choose`], as the server does.

use std::fmt;
use std::net::IpAddr;

use actix_http::header::HeaderMap;
use http02::Uri;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::choose::{Asked, Decision, Overruled, Refusal, Rule, choose};
use crate::client;
use crate::snapshot::Snapshot;
use crate::table::is_safe;

/// The decision about one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// As it was asked.
    pub method: String,
    /// As the upstream sees it, without the query.
    pub path: String,
    /// The client's address, after trusted proxies have been looked through.
    pub client: String,
    /// The status that the router answers itself; null if an upstream is asked.
    pub status: Option<u16>,
    /// Who serves: the name of an upstream, or `router`.
    pub served_by: String,
    /// Where that is.
    pub address: Option<String>,
    /// The value of `x-served-why`.
    pub why: String,
    /// The route, if one matches.
    pub route: Option<String>,
    /// Its module.
    pub module: Option<String>,
    /// What it matches.
    pub matches: Option<String>,
    /// Its mode.
    pub mode: Option<String>,
    /// Its line in the file.
    pub line: Option<usize>,
    /// What decided, for people.
    pub detail: String,
    /// What would happen beyond the decision, because the upstream's circuit is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
}

/// A request to be asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// As sent: methods are case-sensitive.
    pub method: &'q str,
    /// Path and query, or an absolute URL.
    pub target: &'q Uri,
    /// All headers.
    pub headers: &'q HeaderMap,
    /// Where the connection comes from.
    pub peer: IpAddr,
}

/// Decides about it as the server would with this snapshot.
pub fn why(snapshot: &Snapshot, question: &Question<'_>) -> Why {
    let headers = question.headers;
    let host_header = headers.get("host").and_then(|value| value.to_str().ok());
    let authority = question.target.authority().map(http02::uri::Authority::as_str);
    let proxies = &snapshot.config.router.trusted_proxies;
    let asked = Asked {
        method: question.method,
        path: question.target.path(),
        host: authority.or(host_header),
        headers,
        client: client::address(question.peer.to_canonical(), headers, proxies),
    };
    let blank = Why {
        method: asked.method.to_owned(),
        path: asked.path.to_owned(),
        client: asked.client.to_string(),
        status: None,
        served_by: "router".to_owned(),
        address: None,
        why: String::new(),
        route: None,
        module: None,
        matches: None,
        mode: None,
        line: None,
        detail: String::new(),
        circuit: None,
    };
    match choose(snapshot, &asked) {
        Ok(decision) => decided(snapshot, &asked, &decision, blank),
        Err(refusal) => Why {
            status: Some(match refusal {
                Refusal::Reserved => 404,
                Refusal::Ambiguous(_) | Refusal::Broken(_) => 400,
            }),
            why: refusal.why(),
            detail: refusal.to_string(),
            ..blank
        },
    }
}

fn decided(snapshot: &Snapshot, asked: &Asked<'_>, decision: &Decision, blank: Why) -> Why {
    let route = decision.route.map(|index| &snapshot.config.routes[index]);
    let upstream = &snapshot.config.upstreams[decision.upstream];
    let is_open = snapshot.standing(decision.upstream).circuit.is_open();
    let open = format!(
        "the circuit of {} is open, so a safe request goes to the monolith where the route allows it",
        upstream.name
    );
    Why {
        served_by: upstream.name.clone(),
        address: Some(upstream.listed()),
        why: decision.why(snapshot),
        route: route.map(|route| route.name.clone()),
        module: route.map(|route| snapshot.config.modules[route.module].name.clone()),
        matches: route.map(|route| route.rule.to_string()),
        mode: route.map(|route| route.mode.word().to_owned()),
        line: route.map(|route| route.line),
        detail: rule(snapshot, decision, asked),
        circuit: is_open.then_some(open),
        ..blank
    }
}

/// What overruled the mode, in words.
fn overruled(by: Overruled) -> String {
    match by {
        Overruled::Tester(side) => format!("the tester's header asks for the {side}"),
        Overruled::Behind(position) => {
            format!("the client has written at {position}, which the other side is not known to have")
        }
        Overruled::Ahead(position) => format!(
            "the client has written at {position}, and this router does not know of that epoch: both sides are asked first"
        ),
        Overruled::Holder(epoch) => format!(
            "who may write is told by the pen, whatever the file says: this side has it in epoch {epoch}"
        ),
        Overruled::NotFollowing => {
            "the other side does not follow the holder of the data yet, so it cannot answer".to_owned()
        }
    }
}

fn rule(snapshot: &Snapshot, decision: &Decision, asked: &Asked<'_>) -> String {
    let Some(index) = decision.route else {
        return "unmatched".to_owned();
    };
    let route = &snapshot.config.routes[index];
    if let Some(told) = decision.overruled.map(overruled) {
        return told;
    }
    if let Some(pen) = snapshot.pen(route.module).filter(|_| !is_safe(asked.method)) {
        return match pen.holder() {
            Some(_) => format!(
                "mode {}, and the pen says the same: this side has it in epoch {}",
                route.mode,
                pen.epoch()
            ),
            None => format!(
                "mode {}, to begin with: who may write is told by the pen, and no side has been asked for it",
                route.mode
            ),
        };
    }
    match &decision.rule {
        Rule::Canary {
            bucket,
            threshold,
            missing,
        } => {
            let sign = match bucket < threshold {
                true => "is below",
                false => "is not below",
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

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        let mut line = |label: &str, value: &str| write!(f, "\n  {label:<13}{value}");
        let served_by = match (&self.address, self.status) {
            (Some(address), _) => format!("{} at http://{address}", self.served_by),
            (None, Some(404)) => "the router itself: 404 Not Found".to_owned(),
            (None, status) => format!("the router itself: {} Bad Request", status.unwrap_or(400)),
        };
        line("served by", &served_by)?;
        if self.status.is_none() {
            let route = match (&self.route, &self.module, &self.matches, self.line) {
                (Some(route), Some(module), Some(matches), Some(at)) => {
                    format!("{route} of module {module}: `{matches}`, line {at}")
                }
                _ => "none matches, so the monolith serves it".to_owned(),
            };
            line("route", &route)?;
        }
        line("rule", &self.detail)?;
        let seen = if self.status.is_none() {
            "   (as the upstream sees it)"
        } else {
            ""
        };
        line("path", &format!("{}{seen}", self.path))?;
        if let Some(circuit) = &self.circuit {
            line("but", circuit)?;
        }
        line("x-served-by", &self.served_by)?;
        line("x-served-why", &self.why)
    }
}
