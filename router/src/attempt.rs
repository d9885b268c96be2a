//! Who is asked for an answer, and who next if there is none.
//!
//! For the exchange. A safe request that a service fails (no connection, no answer in time, a 5xx) is put to the monolith,
//! as long as the monolith owns the data and so has all of it. The client's limit holds over both attempts. Each worker
//! keeps a budget, so that a service that fails by halves does not double the monolith's load, and a service that keeps
//! failing has its circuit opened ([`crate::standing`]): it is not asked at all for a while, which costs the budget nothing.
//!
//! A request that may change something is never put to the other side: whether the first attempt did something is unknown.

use std::cell::Cell;
use std::time::{Duration, Instant};

use actix_http::RequestHead;

use crate::clock::Clock;
use crate::config::Fallback;
use crate::events::{About, Kind};
use crate::exchange::{Outcome, outcome_of};
use crate::forward::ask::Answer;
use crate::forward::body::RequestBody;
use crate::forward::{Caution, Failure};
use crate::plan::Plan;
use crate::standing::{Admission, Change};
use crate::worker::Worker;

/// How often requests may be put to the other side. One worker's.
#[derive(Debug, Default)]
pub struct Budget {
    /// Earned by requests and not spent yet, in ten-thousandths of one.
    credit: Cell<u32>,
    /// How many have been granted in the current second on top of that.
    granted: Cell<usize>,
    second: Cell<u64>,
}

/// Credit is capped, or a quiet day would pay for a storm.
const MOST_CREDIT: u32 = 100 * 10_000;

impl Budget {
    /// Counts a request.
    pub fn earn(&self, settings: &Fallback) {
        let earned = self.credit.get() + u32::from(settings.retry_ratio.threshold());
        self.credit.set(earned.min(MOST_CREDIT));
    }

    /// Whether one more may be sent a second time.
    pub fn spend(&self, settings: &Fallback, clock: &Clock) -> bool {
        if let Some(left) = self.credit.get().checked_sub(10_000) {
            self.credit.set(left);
            return true;
        }
        let second = clock.now() / 1000;
        if self.second.replace(second) != second {
            self.granted.set(0);
        }
        let granted = self.granted.get();
        self.granted.set(granted + 1);
        granted < settings.retry_floor
    }
}

/// Asks the upstream that the plan names and, where that is allowed and needed, the monolith in its place; the plan then
/// says so.
pub(crate) async fn ask(
    worker: &Worker,
    plan: &mut Plan,
    head: &RequestHead,
    body: RequestBody,
    caution: Caution,
) -> Outcome {
    let limit = plan.settings().response_timeout;
    if !plan.may_fall_back || caution != Caution::Repeatable {
        return once(worker, plan, head, body, caution, limit).await;
    }
    let began = Instant::now();
    let settings = &plan.snapshot.config.fallback;
    worker.budget.earn(settings);
    let reason = match plan.standing().circuit.admit(settings) {
        Admission::Open => "circuit-open",
        Admission::Closed | Admission::Probe => {
            let patience = settings.attempt_timeout.min(limit);
            let outcome = once(worker, plan, head, body, caution, patience).await;
            match fault(&outcome) {
                Some(reason) if worker.budget.spend(settings, &worker.clock) => reason,
                _ => return outcome,
            }
        }
    };
    plan.fall_back(reason);
    let left = limit.saturating_sub(began.elapsed());
    once(worker, plan, head, RequestBody::Empty, Caution::Repeatable, left).await
}

/// What is wrong with an outcome, if the service is to blame.
fn fault(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Ok(answer) if answer.response.status().is_server_error() => Some("server-error"),
        Ok(_) => None,
        Err(problem) => problem.kind.upstreams_fault(),
    }
}

async fn once(
    worker: &Worker,
    plan: &Plan,
    head: &RequestHead,
    body: RequestBody,
    caution: Caution,
    limit: Duration,
) -> Outcome {
    let (forwarder, settings, upstream) = (&worker.forwarder, plan.settings(), plan.upstream());
    let began = Instant::now();
    begin(plan);
    let request = plan.request(head, body);
    let mut outcome = forwarder.send(upstream, request, caution, settings, limit).await;
    if caution == Caution::Repeatable && matches!(outcome, Err(Failure::Broken { is_stale: true, .. })) {
        end(plan, &outcome);
        begin(plan);
        let again = plan.request(head, RequestBody::Empty);
        let left = limit.saturating_sub(began.elapsed());
        outcome = forwarder
            .send(upstream, again, Caution::Fresh, settings, left)
            .await;
    }
    note(worker, plan, &outcome, began.elapsed());
    outcome_of(upstream, outcome)
}

/// Begins the span of a question to the plan's upstream, if the request is recorded. The head names that span, so this
/// comes before it is written.
pub(crate) fn begin(plan: &Plan) {
    if let Some(trace) = &plan.trace {
        trace.ask(plan);
    }
}

/// Ends it.
pub(crate) fn end(plan: &Plan, outcome: &Result<Answer, Failure>) {
    if let Some(trace) = &plan.trace {
        trace.heard(outcome);
    }
}

/// Takes note of what an upstream did. That a client left says nothing about the upstream.
pub(crate) fn note(worker: &Worker, plan: &Plan, outcome: &Result<Answer, Failure>, took: Duration) {
    end(plan, outcome);
    let status = match outcome {
        Ok(answer) => Some(answer.response.status().as_u16()),
        Err(Failure::ClientGone | Failure::BodyTooLong(_)) => return,
        Err(_) => None,
    };
    worker.note(plan, status, took);
    if plan.is_at_monolith() {
        return;
    }
    let circuit = &plan.standing().circuit;
    let change = match status {
        Some(status) if status < 500 => circuit.succeed(),
        _ => circuit.fail(&plan.snapshot.config.fallback),
    };
    let name = plan.upstream().name.as_str();
    let tell = |kind, told: String| {
        worker.events.tell(
            kind,
            About {
                upstream: Some(name.to_owned()),
                ..About::new(told)
            },
        );
    };
    match change {
        Change::None => {}
        Change::Opened => {
            tracing::warn!(upstream = name, "circuit opened: it keeps failing");
            tell(
                Kind::CircuitOpened,
                format!("{name}: circuit opened, it keeps failing"),
            );
        }
        Change::Closed => {
            tracing::info!(upstream = name, "circuit closed: it answers again");
            tell(
                Kind::CircuitClosed,
                format!("{name}: circuit closed, it answers again"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Percent;

    #[test]
    fn a_budget_grants_its_share_and_its_floor_and_no_more() {
        let settings = Fallback {
            retry_floor: 3,
            retry_ratio: Percent::of(2_000),
            ..Fallback::default()
        };
        let (budget, clock) = (Budget::default(), Clock::new());
        let granted = (0..1000).filter(|_| {
            budget.earn(&settings);
            budget.spend(&settings, &clock)
        });
        assert_eq!(granted.count(), 200 + 3);
    }
}
