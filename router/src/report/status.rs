//! How the router is doing, in one document.
//!
//! For `/status` on the operators' port, and through it for `banyan status` and the dashboard. Figures of traffic are those
//! of the last [`WINDOW`]: what is happening now. What a promotion rests on is longer, and is the certificate's.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::certificate::Breach;
use crate::config::{Refused, Route};
use crate::evidence::Counts;
use crate::promotion::auto::breach_of;
use crate::promotion::steps::next;
use crate::report::pen::PenStatus;
use crate::snapshot::Snapshot;
use crate::standing::now;
use crate::state::State;

/// The time that figures of traffic are about.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How the router is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// The version of the router.
    version: &'static str,
    /// When it began.
    began: DateTime<Utc>,
    /// Whether it is about to stop.
    draining: bool,
    /// SHA-256 (hex) of the config that is being served.
    hash: String,
    /// How long ago that was taken.
    age_seconds: u64,
    /// Whether the file says what is being served.
    file_is_current: bool,
    /// Why not, if the file was refused.
    refused: Option<Refused>,
    /// Where requests can go.
    upstreams: Vec<UpstreamStatus>,
    /// The routes, in the order of the file.
    routes: Vec<RouteStatus>,
    /// The pens of the modules that are handed over, in the order of the file.
    pens: Vec<PenStatus>,
    /// The shadow.
    shadow: ShadowStatus,
    /// `ready`, or `waiting` until the state database has been opened and brought up to date.
    state_database: &'static str,
    /// Entries that the audit log does not have yet, because its database cannot be written.
    audit_waiting: usize,
    /// The seconds that figures of traffic are about.
    window_seconds: u64,
}

/// How an upstream is doing.
#[derive(Debug, Serialize, ToSchema)]
struct UpstreamStatus {
    name: String,
    /// Its address, or all of them with commas between.
    address: String,
    /// How each of several addresses is doing; empty if there is one alone.
    addresses: Vec<AddressStatus>,
    /// `closed`, or `open` while requests are kept from it, or `open for copies` while only those of the shadow are.
    circuit: &'static str,
    /// The build that it last named.
    build: Option<String>,
    /// How far its data has come, by module, as far as it has said.
    positions: BTreeMap<String, String>,
}

/// How one of several addresses is doing.
#[derive(Debug, Serialize, ToSchema)]
struct AddressStatus {
    address: String,
    /// Milliseconds until it is tried again, if it is left alone because it kept failing.
    left_alone_ms: Option<u64>,
    /// How often it has been left alone since the start of the router.
    ejections: u64,
}

/// How a route is doing.
#[derive(Debug, Serialize, ToSchema)]
struct RouteStatus {
    name: String,
    module: String,
    /// `monolith`, `shadow`, `canary` or `service`.
    mode: &'static str,
    percent: Option<f64>,
    /// Whether it is promoted and taken back by itself.
    auto: bool,
    /// Since when it is in this mode, as far as this process knows.
    since: DateTime<Utc>,
    monolith: Side,
    /// The service's answers, to clients and to copies.
    service: Side,
    /// Pairs of answers that were compared, with a verdict.
    comparisons: u64,
    /// Of these, pairs that differed.
    mismatches: u64,
    /// The mode that a promotion would bring, such as `canary 10 %`.
    next: Option<String>,
    /// Why there is no next one.
    obstacle: Option<String>,
    /// What the service does to clients that it must not, if it does.
    breach: Option<Breach>,
}

/// What one side did.
#[derive(Debug, Serialize, ToSchema)]
struct Side {
    /// Requests, answered or not.
    requests: u64,
    /// Answers of 5xx, and requests without an answer.
    errors: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// How much the shadow has to do.
#[derive(Debug, Serialize, ToSchema)]
struct ShadowStatus {
    /// Copies that wait or are under way.
    waiting: usize,
    /// Bytes of answers that are held for them.
    bytes: usize,
}

/// How the router is doing now. With thousands of routes it takes some milliseconds.
pub fn status(state: &State, audit_waiting: usize) -> Status {
    let (snapshot, news) = (state.snapshot(), state.news());
    let (bytes, waiting) = state.shadow().load();
    let config = &snapshot.config;
    Status {
        version: env!("CARGO_PKG_VERSION"),
        began: state.began().into(),
        draining: state.is_draining(),
        hash: config.hash.clone(),
        age_seconds: news.since.elapsed().unwrap_or_default().as_secs(),
        file_is_current: news.refused.is_none(),
        refused: news.refused,
        upstreams: (0..config.upstreams.len())
            .map(|index| upstream(&snapshot, index))
            .collect(),
        routes: (0..config.routes.len())
            .map(|index| route(state, &snapshot, index))
            .collect(),
        pens: snapshot.pens().map(|pen| PenStatus::of(pen)).collect(),
        shadow: ShadowStatus { waiting, bytes },
        state_database: if state.has_database() { "ready" } else { "waiting" },
        audit_waiting,
        window_seconds: WINDOW.as_secs(),
    }
}

fn upstream(snapshot: &Snapshot, index: usize) -> UpstreamStatus {
    let (upstream, standing) = (&snapshot.config.upstreams[index], snapshot.standing(index));
    let modules = snapshot.config.modules.iter().enumerate();
    let taking_part =
        modules.filter(|(_, module)| index == snapshot.monolith || module.service == Some(index));
    let positions = taking_part.filter_map(|(at, module)| {
        let position = snapshot.reached(at, index).get()?;
        Some((module.name.clone(), position.to_string()))
    });
    UpstreamStatus {
        name: upstream.name.clone(),
        address: upstream.listed(),
        addresses: addresses(snapshot, index),
        circuit: match (
            standing.circuit.is_open(),
            standing.copies.is_open() || standing.oversized.is_open(),
        ) {
            (true, _) => "open",
            (false, true) => "open for copies",
            (false, false) => "closed",
        },
        build: standing.build().map(|build| build.to_string()),
        positions: positions.collect(),
    }
}

fn addresses(snapshot: &Snapshot, index: usize) -> Vec<AddressStatus> {
    let upstream = &snapshot.config.upstreams[index];
    let authorities = upstream.authorities().filter(|_| upstream.has_several());
    let statuses = authorities.enumerate().map(|(at, authority)| {
        let outlier = snapshot.places(index).outlier(at);
        AddressStatus {
            address: authority.to_owned(),
            left_alone_ms: outlier.pauses_for(now()),
            ejections: outlier.ejections(),
        }
    });
    statuses.collect()
}

fn route(state: &State, snapshot: &Snapshot, index: usize) -> RouteStatus {
    let route: &Route = &snapshot.config.routes[index];
    let module = &snapshot.config.modules[route.module];
    let evidence = state.findings().evidence();
    let recent = evidence.recent(&route.name, snapshot.subject(index), WINDOW, SystemTime::now());
    let step = next(&snapshot.config, route);
    RouteStatus {
        name: route.name.clone(),
        module: module.name.clone(),
        mode: route.mode.word(),
        percent: route
            .mode
            .percent()
            .map(|percent| f64::from(percent.threshold()) / 100.0),
        auto: module.auto,
        since: state.since(&route.name).into(),
        monolith: side(&recent.monolith),
        service: side(&recent.service),
        comparisons: recent.compared,
        mismatches: recent.mismatches,
        next: step.as_ref().ok().map(|step| step.to.to_string()),
        obstacle: step.err().map(|obstacle| obstacle.to_string()),
        breach: breach_of(state, snapshot, index),
    }
}

fn side(counts: &Counts) -> Side {
    let millis = |quantile| {
        let latency = counts.latencies.quantile(quantile);
        latency.map(|latency| latency.as_secs_f64() * 1000.0)
    };
    Side {
        requests: counts.total(),
        errors: counts.errors(),
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
    }
}
