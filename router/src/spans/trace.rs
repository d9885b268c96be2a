//! A traced request while it is under way.
//!
//! For the worker, which begins it, the plan, which carries it, and whoever asks upstreams and answers clients. It is held
//! by the plan and by the body of the answer; when both are gone, the request is over, and the record is offered. So it
//! ends also for a client that leaves half way, whose exchange is dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_http::Request;
use http02::header::HeaderValue;

use super::record::{Asked, Attempt, Record, RouteNames, state};
use super::{Spans, Start};
use crate::config::Percent;
use crate::evidence::Side;
use crate::forward::Failure;
use crate::forward::ask::Answer;
use crate::forward::link::ConnectError;
use crate::identity::{Identity, Parent, SAMPLED};
use crate::origin::Scheme;
use crate::plan::{Plan, Refused};

/// A request that is being recorded.
#[derive(Debug)]
pub struct Trace {
    spans: Spans,
    since: Instant,
    /// Taken when it ends.
    record: RefCell<Option<Record>>,
    /// The span that the next head for an upstream names as its parent.
    current: Cell<u64>,
    has_fallen_back: Cell<bool>,
}

impl Start<'_> {
    /// Begins to record what has been planned, if it belongs to the sample.
    pub fn follow(self, made: &mut Result<Plan, Box<Refused>>, request: &Request, scheme: Scheme) {
        match made {
            Ok(plan) => {
                let Some(trace) = self.begin(&mut plan.identity, request, scheme) else {
                    return;
                };
                trace.with(|record| {
                    record.route = route_names(plan);
                    record.why = Some(plan.why.clone());
                });
                plan.trace = Some(Rc::new(trace));
            }
            Err(refused) => {
                let trace = self.begin(&mut refused.identity, request, scheme);
                refused.trace = trace.map(Rc::new);
            }
        }
    }

    /// Gives the request a span of its own, of which upstreams are told from here on.
    fn begin(self, names: &mut Identity, request: &Request, scheme: Scheme) -> Option<Trace> {
        let head = request.head();
        let said = names.parent(&head.headers)?;
        let is_caller = names.is_continued();
        let is_sampled = match is_caller {
            true => said.flags & SAMPLED != 0,
            false => is_drawn(said.trace, self.sample),
        };
        if !is_sampled {
            return None;
        }
        let span = if is_caller { random_span() } else { said.span };
        let flags = said.flags | SAMPLED;
        *names = names.below(Parent { span, flags, ..said });
        let record = Record {
            trace: said.trace,
            span,
            parent: is_caller.then_some(said.span),
            flags,
            state: match is_caller {
                true => state(head),
                false => String::new(),
            },
            began: self.at,
            decided: self.since.elapsed(),
            took: Duration::ZERO,
            asked: Asked::of(head, scheme.name()),
            request_id: names.request_id().to_owned(),
            route: None,
            side: None,
            why: None,
            status: None,
            attempts: Vec::new(),
        };
        Some(Trace {
            spans: self.spans.clone(),
            since: self.since,
            record: RefCell::new(Some(record)),
            current: Cell::new(span),
            has_fallen_back: Cell::new(false),
        })
    }
}

impl Trace {
    /// The names that the next head for an upstream carries.
    pub fn names(&self, of: &Identity) -> Identity {
        let parent = self.with(|record| Parent {
            trace: record.trace,
            span: self.current.get(),
            flags: record.flags,
        });
        parent.map_or_else(|| of.clone(), |parent| of.below(parent))
    }

    /// From now on it is the monolith that is asked in the service's place.
    pub fn fell_back(&self) {
        self.has_fallen_back.set(true);
    }

    /// The upstream of the plan is about to be asked.
    pub fn ask(&self, plan: &Plan) {
        let (address, span) = (plan.address(), random_span());
        self.current.set(span);
        let attempt = Attempt {
            span,
            began: self.since.elapsed(),
            took: None,
            upstream: plan.upstream().name.clone(),
            host: address.host.clone(),
            port: address.port,
            side: side(plan),
            is_fallback: self.has_fallen_back.get(),
            status: None,
            error: None,
        };
        self.with(|record| record.attempts.push(attempt));
    }

    /// It has answered, or has not.
    pub fn heard(&self, outcome: &Result<Answer, Failure>) {
        self.with(|record| {
            let Some(attempt) = record.attempts.last_mut() else {
                return;
            };
            attempt.took = Some(self.since.elapsed().saturating_sub(attempt.began));
            match outcome {
                Ok(answer) => attempt.status = Some(answer.status.as_u16()),
                Err(failure) => attempt.error = Some(word(failure)),
            }
        });
    }

    /// The client is being answered with this status, for this reason; by the plan's upstream, if it has come to that.
    pub fn answered(&self, status: u16, why: &HeaderValue, plan: Option<&Plan>) {
        self.with(|record| {
            record.status = Some(status);
            record.why = Some(why.clone());
            record.side = plan.map(side);
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Record) -> T) -> Option<T> {
        self.record.borrow_mut().as_mut().map(act)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.took = self.since.elapsed();
            self.spans.offer(record);
        }
    }
}

fn side(plan: &Plan) -> Side {
    match plan.is_at_monolith() {
        true => Side::Monolith,
        false => Side::Service,
    }
}

fn route_names(plan: &Plan) -> Option<RouteNames> {
    let config = &plan.snapshot.config;
    let route = &config.routes[plan.decision.route?];
    let rule = route.rule.to_string();
    let template = rule.split_once(' ').map_or("", |(_, template)| template);
    Some(RouteNames {
        route: route.name.clone(),
        module: config.modules[route.module].name.clone(),
        template: template.to_owned(),
        mode: route.mode.word(),
    })
}

/// Never zero, which would be none (W3C Trace Context, section 3.2.2.4).
fn random_span() -> u64 {
    rand::random::<u64>() | 1
}

/// Whether a trace belongs to a sample. It depends on the last seven bytes of its id alone, which are random (W3C Trace
/// Context level 2, section 2.2.3), so whoever draws the same share in the same way draws the same traces.
fn is_drawn(trace: u128, sample: Percent) -> bool {
    const BITS: u32 = 56;
    let randomness = trace & ((1 << BITS) - 1);
    randomness * 10_000 < u128::from(sample.threshold()) << BITS
}

/// The `error.type` of an attempt without an answer.
fn word(failure: &Failure) -> &'static str {
    match failure {
        Failure::Connect { error, .. } => match error {
            ConnectError::Unreachable(_) => "unreachable",
            ConnectError::Timeout(_) => "connect_timeout",
        },
        Failure::Timeout(_) => "timeout",
        Failure::ClientGone => "client_gone",
        Failure::BodyTooLong(_) => "body_too_long",
        Failure::Broken { .. } => "broken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_its_share_of_the_traces_and_a_greater_one_holds_it() {
        let traces: Vec<u128> = (0..20_000).map(|_| rand::random::<u128>() | 1).collect();
        let drawn = |percent: u16| -> Vec<u128> {
            let sample = Percent::of(percent * 100);
            traces
                .iter()
                .copied()
                .filter(|trace| is_drawn(*trace, sample))
                .collect()
        };
        let (none, few, half, all) = (drawn(0), drawn(10), drawn(50), drawn(100));
        assert!(none.is_empty());
        assert_eq!(all.len(), traces.len());
        // Five sigma of 20,000 draws at one in ten.
        assert!((1_788..=2_212).contains(&few.len()), "{}", few.len());
        assert!(few.iter().all(|trace| half.contains(trace)));
    }
}
