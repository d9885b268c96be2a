//! Modules that are promoted and taken back without being asked: `auto = true`.
//!
//! For `serve`. Two loops that do not wait for each other, so that a promotion that takes its time never keeps a breach
//! waiting. Each second every route whose service answers clients is held against the limits of `[promotion]`, and one that
//! is surely beyond them goes back to the monolith. Every few seconds every route is asked whether its next step is due: it
//! has been at this one for the interval, and the certificate passes.
//!
//! What was taken back stays back: as long as a route's last move was one back, by whomever and in whichever way, only a
//! person promotes it. That is read from the audit log, so it holds over a restart; and if the log cannot be read, nothing
//! is promoted.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use super::operator::Operator;
use super::steps::next;
use super::wish::{Command, Refusal, Which, Wish};
use crate::certificate::Breach;
use crate::certificate::breach::watch;
use crate::config::{Mode, Route};
use crate::events::{About, Kind};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::switch::audit::Entry;
use crate::switch::file::FileError;
use crate::switch::plan::SwitchError;

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
                Ok(last) if is_due(&route.name, last.as_ref(), snapshot.config.promotion.interval) => {
                    take_step(&operator, route, &snapshot.config.hash).await;
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
        snapshot.standing(service).is_unhealthy(),
        &snapshot.config.promotion.breach,
        (state.since(&route.name), SystemTime::now()),
    )
}

/// Whether a route has been where it is for long enough, and was not taken back.
fn is_due(route: &str, last: Option<&Entry>, interval: Duration) -> bool {
    let Some(last) = last else { return true };
    let its_move = last.planned.moves.iter().find(|change| change.route == route);
    let is_back = its_move.is_some_and(|change| trust(&change.after) < trust(&change.before));
    if last.planned.action.is_way_back() || is_back {
        return false;
    }
    let since = chrono::Utc::now().naive_utc() - last.at;
    since.to_std().is_ok_and(|since| since >= interval)
}

/// How far a mode, in the words of the log, goes towards the service: 0 for the monolith and for a route that was not there,
/// 1 for shadow, up to 102.
fn trust(mode: &str) -> f64 {
    match mode.split(' ').collect::<Vec<_>>().as_slice() {
        ["shadow"] => 1.0,
        ["canary", percent, "%"] => 1.0 + percent.parse().unwrap_or(0.0),
        ["service"] => 102.0,
        _ => 0.0,
    }
}

async fn take_back(operator: &Operator, route: &Route, breach: &Breach) {
    let reason = breach.to_string();
    tracing::warn!(route = route.name, "breach: {reason}");
    operator.state().events().tell(
        Kind::Breach,
        About {
            routes: vec![route.name.clone()],
            ..About::new(format!("{}: breach of {reason}", route.name))
        },
    );
    let command = Command {
        wish: Wish::Revert(Which::Route(route.name.clone())),
        actor: ACTOR.to_owned(),
        reason,
        force: false,
        expected: None,
    };
    if let Err(error) = operator.perform(&command).await {
        tracing::error!(route = route.name, %error, "the route cannot be taken back; it is tried again");
    }
}

/// Takes the next step, if the config is still the one on which the route was found due: a revert in between has the last
/// word.
async fn take_step(operator: &Operator, route: &Route, hash: &str) {
    let command = Command {
        wish: Wish::Promote(route.name.clone()),
        actor: ACTOR.to_owned(),
        reason: "it has been long enough at this step, and the evidence allows the next".to_owned(),
        force: false,
        expected: Some(hash.to_owned()),
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
        Err(Refusal::Switch(SwitchError::File(FileError::Changed { .. }))) => {
            tracing::debug!(
                route = route.name,
                "not promoted: the file has changed; it is looked at again"
            );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::audit::{Action, Move, Planned};

    fn moved(action: Action, before: &str, after: &str) -> Entry {
        let change = Move {
            route: "r".to_owned(),
            module: "m".to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        Entry {
            id: 1,
            at: chrono::Utc::now().naive_utc() - chrono::TimeDelta::seconds(10),
            place: String::new(),
            planned: Planned {
                actor: "file".to_owned(),
                action,
                moves: vec![change],
                moves_total: 1,
                reason: String::new(),
                forced: false,
                certificate: None,
                hash_before: String::new(),
                hash_after: String::new(),
            },
            conclusion: None,
            hash: String::new(),
        }
    }

    #[test]
    fn whatever_went_back_in_whichever_way_is_not_due_again() {
        let is_due = |action, before, after| {
            let last = moved(action, before, after);
            super::is_due("r", Some(&last), Duration::from_secs(5))
        };
        assert!(!is_due(Action::Revert, "canary 10 %", "monolith"));
        assert!(!is_due(Action::AutoRevert, "service", "monolith"));
        assert!(!is_due(Action::Reload, "service", "monolith"));
        assert!(!is_due(Action::Reload, "shadow", "monolith"));
        assert!(!is_due(Action::Set, "canary 50 %", "canary 5 %"));
        assert!(is_due(Action::Set, "canary 5 %", "canary 50 %"));
        assert!(is_due(Action::Reload, "absent", "monolith"));
        assert!(is_due(Action::AutoPromote, "monolith", "shadow"));
        let soon = moved(Action::AutoPromote, "monolith", "shadow");
        assert!(!super::is_due("r", Some(&soon), Duration::from_secs(60)));
        assert!(super::is_due("r", None, Duration::from_secs(60)));
    }
}
