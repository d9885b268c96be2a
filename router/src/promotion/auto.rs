//! Modules that are promoted and taken back without being asked: `auto = true`.
//!
//! For `serve`. Two loops that do not wait for each other, so that a promotion that takes its time never keeps a breach
//! waiting. Each second every route whose service answers clients is held against the limits of `[promotion]`, and one that
//! is surely beyond them goes back to the monolith. Every few seconds every route is asked whether its next step is due: it
//! has been at this one for the interval, and the certificate passes.
//!
//! What was taken back stays back: as long as a route's last switch is a revert, by whomever, only a person promotes it. That
//! is read from the audit log, so it holds over a restart; and if the log cannot be read, nothing is promoted.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use super::operator::{Command, Operator, Refusal, Which, Wish};
use super::steps::next;
use crate::certificate::Breach;
use crate::certificate::breach::watch;
use crate::config::{Mode, Route};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::switch::audit::Entry;

/// Who the log says it was.
pub const ACTOR: &str = "auto";

const LOOK_FOR_BREACHES: Duration = Duration::from_secs(1);
const LOOK_FOR_PROMOTIONS: Duration = Duration::from_secs(2);

/// Takes routes back that hurt clients, for as long as the router runs.
pub async fn guard(operator: Arc<Operator>) {
    let mut round = rounds(LOOK_FOR_BREACHES);
    loop {
        round.tick().await;
        let snapshot = operator.state().snapshot();
        for (index, route) in automatic(&snapshot) {
            let Some(breach) = breach_of(operator.state(), &snapshot, index) else {
                continue;
            };
            take_back(&operator, route, &breach).await;
        }
    }
}

/// Promotes routes whose next step is due, for as long as the router runs.
pub async fn promote(operator: Arc<Operator>) {
    let mut round = rounds(LOOK_FOR_PROMOTIONS);
    loop {
        round.tick().await;
        let snapshot = operator.state().snapshot();
        for (_, route) in automatic(&snapshot) {
            if next(&snapshot.config, route).is_err() {
                continue;
            }
            match operator.last_switch(&route.name).await {
                Ok(last) if is_due(last.as_ref(), snapshot.config.promotion.interval) => {
                    take_step(&operator, route).await;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(route = route.name, %error, "no promotion"),
            }
        }
    }
}

/// What is surely wrong with a service that answers clients of this route, if anything is.
pub fn breach_of(state: &State, snapshot: &Snapshot, index: usize) -> Option<Breach> {
    let route = &snapshot.config.routes[index];
    if !matches!(route.mode, Mode::Canary(_) | Mode::Service) {
        return None;
    }
    let service = snapshot.config.modules[route.module].service?;
    watch(
        state.findings().evidence(),
        (&route.name, snapshot.subject(index)),
        snapshot.standing(service).circuit.is_open(),
        &snapshot.config.promotion.breach,
        (state.since(&route.name), SystemTime::now()),
    )
}

/// Whether a route has been where it is for long enough, and was not taken back.
fn is_due(last: Option<&Entry>, interval: Duration) -> bool {
    let Some(last) = last else { return true };
    if last.planned.action.is_way_back() {
        return false;
    }
    let since = chrono::Utc::now().naive_utc() - last.at;
    since.to_std().is_ok_and(|since| since >= interval)
}

async fn take_back(operator: &Operator, route: &Route, breach: &Breach) {
    let reason = format!("{}: {}, allowed is {}", breach.metric, breach.value, breach.bound);
    tracing::warn!(route = route.name, "breach: {reason}");
    let command = Command {
        wish: Wish::Revert(Which::Route(route.name.clone())),
        actor: ACTOR.to_owned(),
        reason,
        force: false,
    };
    if let Err(error) = operator.perform(&command).await {
        tracing::error!(route = route.name, %error, "the route cannot be taken back; it is tried again");
    }
}

async fn take_step(operator: &Operator, route: &Route) {
    let command = Command {
        wish: Wish::Promote(route.name.clone()),
        actor: ACTOR.to_owned(),
        reason: "the certificate passes".to_owned(),
        force: false,
    };
    match operator.perform(&command).await {
        Ok(_) => {}
        Err(Refusal::Hold(certificate)) => {
            let failing: Vec<&str> = certificate
                .failing()
                .map(|criterion| criterion.name.as_str())
                .collect();
            tracing::debug!(route = route.name, ?failing, "not promoted yet");
        }
        Err(error) => tracing::warn!(route = route.name, %error, "not promoted"),
    }
}

/// The routes of modules that are automatic.
fn automatic(snapshot: &Snapshot) -> impl Iterator<Item = (usize, &Route)> {
    let routes = snapshot.config.routes.iter().enumerate();
    routes.filter(|(_, route)| snapshot.config.modules[route.module].auto)
}

fn rounds(period: Duration) -> tokio::time::Interval {
    let mut round = interval(period);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    round
}
