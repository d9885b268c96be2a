//! What is being served and how it goes, one shape for the command line and the operators' port.
//!
//! The config as JSON and a route's evidence stand here, [`status`](mod@status) is the whole in one document, [`pen`] what is known of a
//! module that is handed over, [`why`](mod@why) a decision.

pub mod pen;
pub mod status;
pub mod why;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Config;
use crate::evidence::{Comparisons, Counts};
use crate::state::State;

/// What goes where.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Routes {
    /// SHA-256 (hex) of the file.
    pub hash: String,
    /// Where requests can go.
    pub upstreams: Vec<UpstreamInfo>,
    /// In the order of the file.
    pub routes: Vec<RouteInfo>,
}

/// Where requests can go.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpstreamInfo {
    /// Its name in the file.
    pub name: String,
    /// Host and port.
    pub address: String,
}

/// One route, as the file has it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RouteInfo {
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: String,
    /// Methods and path.
    #[serde(rename = "match")]
    pub matches: String,
    /// The hosts that it is for; null for every host.
    pub host: Option<String>,
    /// `monolith`, `shadow`, `canary` or `service`.
    pub mode: String,
    /// The share of the clients, for a canary.
    pub percent: Option<f64>,
    /// The share of the monolith's answers that are compared, in modes shadow and canary.
    pub sample: f64,
    /// What keeps a client on its side.
    pub sticky: String,
    /// The upstream that takes it over, if its module has one.
    pub service: Option<String>,
    /// The line that it starts on.
    pub line: usize,
}

/// What is known of a route.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EvidenceReport {
    /// Its name.
    pub route: String,
    /// The mode that it is in.
    pub mode: &'static str,
    /// A hash of what the evidence is about; with another all of it is void.
    pub subject: String,
    /// The builds that it is about.
    pub builds: BuildsReport,
    /// The monolith's answers.
    pub monolith: SideReport,
    /// The service's answers, to clients and to copies.
    pub service: SideReport,
    /// What came of comparing.
    pub comparisons: Comparisons,
    /// Where answers differed, with examples whose secrets are left out.
    pub mismatches: Vec<Mismatch>,
}

/// The builds of both sides, as far as they are known.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BuildsReport {
    /// The monolith's.
    pub monolith: Option<String>,
    /// The service's.
    pub service: Option<String>,
}

/// The answers of one side.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SideReport {
    /// Requests, answered or not.
    pub answers: u64,
    /// Answers of 5xx, and requests without an answer.
    pub errors: u64,
    /// The median of its latency, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The latency that one answer in a hundred takes longer than.
    pub p99_ms: Option<f64>,
}

/// A place in which answers differed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Mismatch {
    /// The status, a header, or a path in the JSON.
    pub field: String,
    /// How often, when last, and some examples.
    pub seen: serde_json::Value,
}

/// Upstreams and routes.
pub fn routes(config: &Config) -> Routes {
    let share = |threshold: u16| f64::from(threshold) / 100.0;
    let routes = config.routes.iter().map(|route| {
        let module = &config.modules[route.module];
        RouteInfo {
            name: route.name.clone(),
            module: module.name.clone(),
            matches: route.rule.to_string(),
            host: route.host.as_ref().map(ToString::to_string),
            mode: route.mode.word().to_owned(),
            percent: route.mode.percent().map(|percent| share(percent.threshold())),
            sample: share(route.sample.threshold()),
            sticky: route.sticky.to_string(),
            service: module.service.map(|index| config.upstreams[index].name.clone()),
            line: route.line,
        }
    });
    let upstreams = config.upstreams.iter().map(|upstream| UpstreamInfo {
        name: upstream.name.clone(),
        address: upstream.listed(),
    });
    Routes {
        hash: config.hash.clone(),
        upstreams: upstreams.collect(),
        routes: routes.collect(),
    }
}

/// What is known of a route: both sides' answers and what came of comparing them. Absent if there is no such route.
pub fn evidence(state: &State, route: &str) -> Option<EvidenceReport> {
    let snapshot = state.snapshot();
    let mut routes = snapshot.config.routes.iter();
    let index = routes.position(|known| known.name == route)?;
    let subject = snapshot.subject(index);
    let findings = state.findings();
    let (from, now) = (SystemTime::UNIX_EPOCH, SystemTime::now());
    let window = findings.evidence().window(route, subject, from, now);
    let samples = findings.samples(route);
    let mismatches = samples.groups().map(|(name, group)| Mismatch {
        field: name.to_owned(),
        seen: serde_json::to_value(group).unwrap_or_default(),
    });
    Some(EvidenceReport {
        route: route.to_owned(),
        mode: snapshot.config.routes[index].mode.word(),
        subject: subject.to_string(),
        builds: BuildsReport {
            monolith: window.builds.monolith,
            service: window.builds.service,
        },
        monolith: side(&window.monolith),
        service: side(&window.service),
        comparisons: window.comparisons,
        mismatches: mismatches.collect(),
    })
}

fn side(counts: &Counts) -> SideReport {
    let millis = |quantile| {
        let latency = counts.latencies.quantile(quantile);
        latency.map(|latency| latency.as_secs_f64() * 1000.0)
    };
    SideReport {
        answers: counts.total(),
        errors: counts.errors(),
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
    }
}
