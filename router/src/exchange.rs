//! One exchange: a client's request, an upstream's answer.
//!
//! For the server, once per request. The head decides ([`crate::plan`]), the forwarder sends, and this file makes of what
//! comes back what the client is owed: the upstream's answer with our two headers, or a problem that says what went wrong.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_http::body::BodySize;
use actix_http::{Payload, Request, RequestHead};
use http02::StatusCode;
use http02::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};

use crate::attempt::{self, Question};
use crate::clock::Clock;
use crate::config::Upstream;
use crate::forward::Failure;
use crate::forward::answer::{AnswerBody, Reply};
use crate::forward::ask::Answer;
use crate::forward::body::{ClientBody, RequestBody};
use crate::forward::fields::AnswerFields;
use crate::forward::incoming::Framing;
use crate::forward::link::ConnectError;
use crate::plan::{Plan, Refused, caution};
use crate::problem::{Kind, MEDIA_TYPE, Problem};
use crate::shadow::capture::Capture;
use crate::shadow::{Draft, Reason};
use crate::table::is_safe;
use crate::watch::{Connection, Turn};
use crate::worker::Worker;

pub(crate) const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
pub(crate) const SERVED_WHY: HeaderName = HeaderName::from_static("x-served-why");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves a request. `connection` is the one that it came on, unless that is shared with others at the same time.
pub async fn serve(worker: &Rc<Worker>, mut request: Request, connection: Option<&Rc<Connection>>) -> Reply {
    let turn = connection.map(Connection::begin);
    // Of a write that is held, or not yet sent, it matters at once whether somebody still wants it.
    if let Some(turn) = turn.as_ref().filter(|_| is_safe(request.method().as_str())) {
        turn.listen_later();
    }
    let mut plan = match worker.plan(&request, connection) {
        Ok(plan) => plan,
        Err(refused) => return refuse(&refused, turn),
    };
    let payload = request.take_payload();
    let body = request_body(
        request.head(),
        payload,
        &worker.clock,
        plan.settings().edge.max_body_bytes,
    );
    let caution = caution(request.method(), &body);
    let draft = shadow_draft(worker, &plan, request.head(), &body);
    let question = Question {
        head: request.head(),
        body,
        caution,
        go_on: None,
    };
    let limit = plan.settings().edge.request_timeout;
    // A future that is handed on is moved, and this one is large: it is awaited where it is made, or boxed.
    let outcome = match limit {
        None => attempt::ask(worker, &mut plan, question).await,
        Some(limit) => {
            let asking = Box::pin(attempt::ask(worker, &mut plan, question));
            in_time(&worker.clock, limit, asking).await
        }
    };
    let Some(draft) = draft else {
        return answer(&plan, outcome, turn);
    };
    answer_and_capture(Rc::clone(worker), &plan, outcome, turn, draft)
}

/// Waits for an answer, but not beyond the time for the whole exchange. The watch ends what has begun to be answered.
async fn in_time(
    clock: &Clock,
    limit: Duration,
    mut asking: Pin<Box<impl Future<Output = Outcome>>>,
) -> Outcome {
    match clock.by(clock.after(limit), asking.as_mut()).await {
        Some(outcome) => outcome,
        None => Err(Problem::new(
            Kind::GatewayTimeout,
            format!("the exchange took longer than {limit:?}"),
        )),
    }
}

/// The copy of a request that is to be compared, if the route is compared and the sample draws it.
fn shadow_draft(worker: &Worker, plan: &Plan, head: &RequestHead, body: &RequestBody) -> Option<Box<Draft>> {
    let route = plan.compared_route()?;
    if !matches!(body, RequestBody::Empty) {
        worker.drop_copy(&plan.snapshot, route, Reason::HasBody);
        return None;
    }
    if !worker.draw(plan.snapshot.config.routes[route].sample) {
        worker.drop_copy(&plan.snapshot, route, Reason::Sampling);
        return None;
    }
    if let Some(reason) = worker.shadow.is_full(&plan.snapshot.config.shadow) {
        worker.drop_copy(&plan.snapshot, route, reason);
        return None;
    }
    let service = plan.service_of(route)?;
    let standing = plan.snapshot.standing(service);
    if !standing.admits_copy(&plan.snapshot.config.fallback) {
        worker.drop_copy(&plan.snapshot, route, Reason::CircuitOpen);
        return None;
    }
    plan.draft(route, service, head).map(Box::new)
}

fn answer_and_capture(
    worker: Rc<Worker>,
    plan: &Plan,
    outcome: Outcome,
    turn: Option<Turn>,
    draft: Box<Draft>,
) -> Reply {
    let Ok(answered) = &outcome else {
        worker.drop_copy(&plan.snapshot, draft.route, Reason::NoAnswer);
        return answer(plan, outcome, turn);
    };
    let capture = Capture::begin(worker, draft, answered);
    let mut reply = answer(plan, outcome, turn);
    reply.body.capture(capture);
    reply
}

/// What the upstream is sent as a body: as much as the head announces.
pub(crate) fn request_body(
    head: &RequestHead,
    payload: Payload,
    clock: &Clock,
    most: Option<u64>,
) -> RequestBody {
    match payload {
        Payload::None => RequestBody::Empty,
        payload => RequestBody::Client(ClientBody::open(payload, content_length(head), clock).at_most(most)),
    }
}

pub(crate) fn content_length(head: &RequestHead) -> Option<u64> {
    head.headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
}

/// An upstream's answer, or what to tell the client in its stead.
pub(crate) type Outcome = Result<Answer, Problem>;

/// What the forwarder brought, in terms of the client.
pub(crate) fn outcome_of(upstream: &Upstream, sent: Result<Answer, Failure>) -> Outcome {
    sent.map_err(|failure| explain(&upstream.name, &failure))
}

/// Names the upstream, not its address, and keeps what the operating system said to the log.
pub(crate) fn explain(upstream: &str, failure: &Failure) -> Problem {
    let tell = |kind, what: &str| Problem::new(kind, format!("the upstream `{upstream}` {what}"));
    match failure {
        Failure::Connect {
            error: ConnectError::Unreachable(_),
            ..
        } => tell(Kind::BadGateway, "could not be reached"),
        Failure::Connect { error, .. } => tell(Kind::GatewayTimeout, &error.to_string()),
        Failure::Timeout(_) => tell(Kind::GatewayTimeout, &failure.to_string()),
        Failure::ClientGone => Problem::new(Kind::BadRequest, "the body ended before it was complete"),
        Failure::BodyTooLong(most) => Problem::content_too_large(*most),
        Failure::Broken { .. } => tell(Kind::BadGateway, "broke off before it had answered"),
    }
}

/// The answer to a request that was forwarded, or was tried to be.
pub(crate) fn answer(plan: &Plan, outcome: Outcome, turn: Option<Turn>) -> Reply {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(problem) => return fail(plan, &precise(problem, turn.as_ref()), turn),
    };
    let Answer {
        status,
        mut fields,
        length,
        framing,
        body,
    } = answer;
    if status.is_informational() {
        let detail = format!(
            "the upstream `{}` sent an answer that cannot be passed on",
            plan.upstream().name
        );
        return fail(plan, &Problem::new(Kind::BadGateway, detail), turn);
    }
    let cookie = plan.heed(status, &fields);
    let declared = length.map_or(BodySize::None, BodySize::Sized);
    let framing = match framing {
        Framing::Length(length) => Framing::Length(length),
        _ if plan.client.is_http10 => Framing::Close,
        _ => Framing::Chunked,
    };
    let body = match framing {
        // What GET would have is said in answer to HEAD, too.
        _ if plan.client.is_head() || status == StatusCode::NOT_MODIFIED => {
            AnswerBody::nothing(declared, turn)
        }
        _ if status == StatusCode::NO_CONTENT => AnswerBody::nothing(BodySize::None, turn),
        Framing::Length(0) => AnswerBody::nothing(BodySize::Sized(0), turn),
        framing => AnswerBody::streamed(body, framing, turn),
    };
    let body = match &plan.trace {
        None => body,
        Some(trace) => {
            trace.answered(status.as_u16(), &plan.why, Some(plan));
            body.traced(Rc::clone(trace))
        }
    };
    fields.insert(&SERVED_BY, &plan.served_by());
    fields.insert(&SERVED_WHY, &plan.why);
    if let Some(cookie) = cookie {
        fields.append(&SET_COOKIE, &cookie);
    }
    Reply {
        status,
        fields,
        closes: plan.client.must_close || body.framing() == Some(Framing::Close),
        body,
    }
}

/// A body that ended before its end may have been cut off by ourselves, for a reason that we know.
fn precise(problem: Problem, turn: Option<&Turn>) -> Problem {
    if let (Kind::ContentTooLarge, Some(turn)) = (problem.kind, turn) {
        turn.stop_reading();
    }
    match turn.and_then(Turn::refusal) {
        Some(refusal) if problem.kind == Kind::BadRequest => Problem::new(refusal.kind, refusal.detail),
        _ => problem,
    }
}

/// The answer to a request that cannot be forwarded.
pub(crate) fn refuse(refused: &Refused, turn: Option<Turn>) -> Reply {
    let why = HeaderValue::from_str(&refused.why).unwrap_or(HeaderValue::from_static("refused"));
    if let Some(trace) = &refused.trace {
        trace.answered(refused.problem.kind.status().as_u16(), &why, None);
    }
    let mut reply = tell(&refused.problem, &why, refused.identity.request_id(), turn);
    let is_understood = matches!(
        refused.problem.kind,
        Kind::AmbiguousPath | Kind::ReservedPath | Kind::TooManyRequests
    );
    // What comes behind a request that was not understood may not be what it seems.
    reply.closes = !is_understood;
    reply
}

/// The answer when the upstream's did not come.
pub(crate) fn fail(plan: &Plan, problem: &Problem, turn: Option<Turn>) -> Reply {
    let error = match problem.kind {
        Kind::GatewayTimeout => "timeout",
        Kind::BadRequest => "bad-request",
        Kind::HandedOver => "handed-over",
        _ => "bad-gateway",
    };
    let why = plan.why.to_str().unwrap_or_default();
    let why = format!("{why} upstream={} error={error}", plan.upstream().name);
    let why = HeaderValue::from_str(&why).unwrap_or(HeaderValue::from_static("?"));
    if let Some(trace) = &plan.trace {
        trace.answered(problem.kind.status().as_u16(), &why, Some(plan));
    }
    tell(problem, &why, plan.identity.request_id(), turn)
}

fn tell(problem: &Problem, why: &HeaderValue, request_id: &str, turn: Option<Turn>) -> Reply {
    let mut fields = AnswerFields::default();
    fields.append(&CONTENT_TYPE, &HeaderValue::from_static(MEDIA_TYPE));
    fields.append(&SERVED_BY, &HeaderValue::from_static("router"));
    fields.append(&SERVED_WHY, why);
    if let Some(wait) = problem.retry_after {
        // Whole seconds, and not a moment too early.
        fields.append(&RETRY_AFTER, &HeaderValue::from(wait.as_secs() + 1));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        fields.append(&X_REQUEST_ID, &id);
    }
    Reply {
        status: problem.kind.status(),
        fields,
        closes: false,
        body: AnswerBody::whole(problem.body(Some(request_id)), turn),
    }
}
