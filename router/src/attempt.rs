//! Who is asked for an answer, and who next if there is none.
//!
//! For the exchange. A safe request that a service fails (no connection, no answer in time, a 5xx) is put to the monolith,
//! as long as the monolith owns the data and so has all of it, or follows the service closely and has what the client has written. The client's limit holds over both attempts. Each worker
//! keeps a budget, so that a service that fails by halves does not double the monolith's load, and a service that keeps
//! failing has its circuit opened ([`crate::standing`]): it is not asked at all for a while, which costs the budget nothing.
//!
//! A request that may change something is never put to the other side: whether the first attempt did something is unknown.
//! If the upstream has several addresses, another one may be asked before all that (`attempt/place.rs`).

pub(crate) mod place;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_http::RequestHead;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::Fallback;
use crate::events::{About, Kind};
use crate::exchange::{Outcome, outcome_of};
use crate::forward::ask::Answer;
use crate::forward::body::RequestBody;
use crate::forward::{Caution, Failure};
use crate::pen;
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

/// What is asked, of whichever upstream and address.
pub(crate) struct Question<'h> {
    /// The client's head.
    pub head: &'h RequestHead,
    /// What follows it.
    pub body: RequestBody,
    /// How often it may be asked.
    pub caution: Caution,
    /// Who is told when the upstream says `100 Continue`.
    pub go_on: Option<Rc<Notify>>,
}

impl<'h> Question<'h> {
    /// A request without a body, which may be asked again.
    fn repeated(head: &'h RequestHead) -> Self {
        Self {
            head,
            body: RequestBody::Empty,
            caution: Caution::Repeatable,
            go_on: None,
        }
    }
}

/// Asks the upstream that the plan names and, where that is allowed and needed, the monolith in its place; the plan then
/// says so.
pub(crate) async fn ask(worker: &Worker, plan: &mut Plan, question: Question<'_>) -> Outcome {
    if let Some(pen) = plan.pen() {
        if plan.is_write() {
            return Box::pin(pen::write::ask(worker, plan, question, &pen)).await;
        }
        pen::read::find(plan, &pen).await;
    }
    let limit = plan.settings().response_timeout;
    let falls_back = plan.may_fall_back && question.caution == Caution::Repeatable;
    if falls_back || plan.upstream().has_several() {
        worker.budget.earn(&plan.snapshot.config.fallback);
    }
    if !falls_back {
        return once(worker, plan, question, limit).await;
    }
    let (began, head) = (Instant::now(), question.head);
    let settings = &plan.snapshot.config.fallback;
    let reason = match plan.standing().circuit.admit(settings) {
        Admission::Open => "circuit-open",
        Admission::Closed | Admission::Probe => {
            let patience = settings.attempt_timeout.min(limit);
            let outcome = once(worker, plan, question, patience).await;
            let settings = &plan.snapshot.config.fallback;
            match fault(&outcome) {
                Some(reason) if worker.budget.spend(settings, &worker.clock) => reason,
                _ => return outcome,
            }
        }
    };
    plan.fall_back(reason);
    let left = limit.saturating_sub(began.elapsed());
    once(worker, plan, Question::repeated(head), left).await
}

/// What is wrong with an outcome, if the service is to blame.
fn fault(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Ok(answer) if answer.status.is_server_error() => Some("server-error"),
        Ok(_) => None,
        Err(problem) => problem.kind.upstreams_fault(),
    }
}

/// Asks the plan's upstream: one of its addresses and, where that is allowed and needed, another one.
pub(crate) async fn once(
    worker: &Worker,
    plan: &mut Plan,
    question: Question<'_>,
    limit: Duration,
) -> Outcome {
    let Question {
        head,
        mut body,
        caution,
        go_on,
    } = question;
    let forwarder = &worker.forwarder;
    let began = Instant::now();
    let (mut avoid, mut left) = (None, limit);
    let (mut outcome, flight) = loop {
        let flight = place::choose(worker, plan, caution, avoid);
        let patience = place::patience(plan, caution, left);
        begin(plan);
        let mut request = plan.request(head, body);
        request.go_on.clone_from(&go_on);
        let mut outcome = forwarder
            .send(plan.target(), request, caution, plan.settings(), patience)
            .await;
        if caution == Caution::Repeatable && matches!(outcome, Err(Failure::Broken { is_stale: true, .. })) {
            end(plan, &outcome);
            begin(plan);
            let again = plan.request(head, RequestBody::Empty);
            let left = limit.saturating_sub(began.elapsed());
            outcome = forwarder
                .send(plan.target(), again, Caution::Fresh, plan.settings(), left)
                .await;
        }
        if avoid.is_some() || !place::moves_on(worker, plan, &outcome, caution, (began, limit)) {
            break (outcome, flight);
        }
        end(plan, &outcome);
        (avoid, left) = (Some(plan.place.index), limit.saturating_sub(began.elapsed()));
        body = match outcome {
            Err(Failure::Connect {
                unsent: Some(unsent), ..
            }) => unsent.body,
            _ => RequestBody::Empty,
        };
    };
    if let Ok(answer) = &mut outcome {
        answer.body.fly(flight);
    }
    note(worker, plan, &outcome, began.elapsed());
    outcome_of(plan.upstream(), outcome)
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
fn note(worker: &Worker, plan: &Plan, outcome: &Result<Answer, Failure>, took: Duration) {
    end(plan, outcome);
    let status = match outcome {
        Ok(answer) => Some(answer.status.as_u16()),
        Err(Failure::ClientGone | Failure::BodyTooLong(_)) => return,
        Err(_) => None,
    };
    worker.note(plan, status, took);
    let is_well = status.is_some_and(|status| status < 500);
    let counts = place::note(worker, plan, is_well);
    if plan.is_at_monolith() {
        return;
    }
    let circuit = &plan.standing().circuit;
    let change = match (is_well, counts) {
        (true, _) => circuit.succeed(),
        (false, true) => circuit.fail(&plan.snapshot.config.fallback),
        (false, false) => Change::None,
    };
    let name = plan.upstream().name.as_str();
    match change {
        Change::None => {}
        Change::Opened => {
            tracing::warn!(upstream = name, "circuit opened: it keeps failing");
            let told = format!("{name}: circuit opened, it keeps failing");
            tell(worker, name, Kind::CircuitOpened, told);
        }
        Change::Closed => {
            tracing::info!(upstream = name, "circuit closed: it answers again");
            let told = format!("{name}: circuit closed, it answers again");
            tell(worker, name, Kind::CircuitClosed, told);
        }
    }
}

/// Tells what happened to an upstream.
fn tell(worker: &Worker, upstream: &str, kind: Kind, told: String) {
    let about = About {
        upstream: Some(upstream.to_owned()),
        ..About::new(told)
    };
    worker.events.tell(kind, about);
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
