//! A write of a module that is handed over: it waits while nobody may write, goes to the holder, and is sent once more if the side that it
//! went to refuses it because the pen is elsewhere.
//!
//! For [`crate::attempt`]. A 421 with the pen's headers promises that nothing happened (RFC 9110, section 15.5.20); no other answer,
//! and no missing answer, makes a write be sent again. So that it can be, its body is kept, up to a limit.

use std::time::{Duration, Instant};

use actix_http::StatusCode;
use actix_http::error::PayloadError;
use actix_http::header::HeaderMap;
use bytes::BytesMut;
use handover::wire::{PEN_EPOCH, PEN_HOLDER, PEN_STATE, State};
use std::future::poll_fn;

use super::{Denied, Pen};
use crate::attempt::{Question, once};
use crate::config::Owner;
use crate::exchange::Outcome;
use crate::forward::Caution;
use crate::forward::body::RequestBody;
use crate::plan::Plan;
use crate::problem::{Kind, Problem};
use crate::worker::Worker;

/// Sends a write to whoever may do it.
pub(crate) async fn ask(worker: &Worker, plan: &mut Plan, question: Question<'_>, pen: &Pen) -> Outcome {
    let Question { head, body, .. } = question;
    let limit = plan.settings().response_timeout;
    let began = Instant::now();
    let mut body = Some(keep(body, pen.settings.replay_bytes).await?);
    pen.until_known().await;
    loop {
        let patience = pen.settings.hold.min(limit.saturating_sub(began.elapsed()));
        pen.until_free(patience)
            .await
            .map_err(|denied| denied_problem(pen, denied))?;
        plan.send_to_holder(pen);
        let (first, again) = match body.take() {
            Some(body) => body.twice(),
            None => return Err(not_now(pen, "was refused by both sides")),
        };
        let left = limit.saturating_sub(began.elapsed());
        let question = Question {
            head,
            body: first,
            caution: Caution::Once,
            go_on: None,
        };
        let outcome = once(worker, plan, question, left).await;
        let Some((holder, epoch, state)) = refusal(&outcome) else {
            return outcome;
        };
        pen.note_refusal(holder, epoch, state);
        body = again;
        if body.is_none() {
            return Err(not_now(
                pen,
                "came to a side that does not own the data, and cannot be sent again",
            ));
        }
        // A side that names the one that it is not, and is asked at once: let the watch look first.
        if !pen.is_held() {
            plan.replayed();
        }
    }
}

/// A body that has been taken in, as far as it is kept.
struct Kept {
    body: RequestBody,
    /// Whether a second one can be made of it.
    is_whole: bool,
    /// Whether this is the last time that it is sent.
    is_last: bool,
}

impl Kept {
    /// The body, and the one after it, if there can be one.
    fn twice(self) -> (RequestBody, Option<Self>) {
        let Self {
            body,
            is_whole,
            is_last,
        } = self;
        match (&body, is_whole && !is_last) {
            (
                RequestBody::Kept {
                    bytes, is_chunked, ..
                },
                true,
            ) => {
                let again = RequestBody::kept(bytes.clone(), *is_chunked);
                (
                    body,
                    Some(Self {
                        body: again,
                        is_whole,
                        is_last: true,
                    }),
                )
            }
            (RequestBody::Empty, true) => (
                body,
                Some(Self {
                    body: RequestBody::Empty,
                    is_whole,
                    is_last: true,
                }),
            ),
            _ => (body, None),
        }
    }
}

/// Takes in a body up to a limit; what is longer flows on behind what was taken.
async fn keep(mut body: RequestBody, most: usize) -> Result<Kept, Problem> {
    if matches!(body, RequestBody::Empty) {
        return Ok(Kept {
            body,
            is_whole: true,
            is_last: false,
        });
    }
    let is_chunked = body.is_chunked();
    let mut bytes = BytesMut::new();
    loop {
        match poll_fn(|context| body.poll_piece(context)).await {
            None => {
                let body = RequestBody::kept(bytes.freeze(), is_chunked);
                return Ok(Kept {
                    body,
                    is_whole: true,
                    is_last: false,
                });
            }
            Some(Ok(piece)) => bytes.extend_from_slice(&piece),
            Some(Err(error)) => return Err(broken_off(&body, &error)),
        }
        if bytes.len() > most {
            let body = RequestBody::begun(bytes.freeze(), body);
            return Ok(Kept {
                body,
                is_whole: false,
                is_last: true,
            });
        }
    }
}

fn broken_off(body: &RequestBody, error: &PayloadError) -> Problem {
    match body.too_long_for() {
        Some(most) => Problem::content_too_large(most),
        None => Problem::new(
            Kind::BadRequest,
            format!("the body ended before it was complete: {error}"),
        ),
    }
}

/// What a refusal says of the pen; nothing if the answer is none.
fn refusal(outcome: &Outcome) -> Option<(Owner, u64, State)> {
    let answer = outcome.as_ref().ok()?;
    if answer.response.status() != StatusCode::MISDIRECTED_REQUEST {
        return None;
    }
    let headers: &HeaderMap = answer.response.headers();
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let holder = match text(PEN_HOLDER)? {
        handover::MONOLITH => Owner::Monolith,
        _ => Owner::Service,
    };
    let state = match text(PEN_STATE)? {
        "held" => State::Held,
        "fenced" => State::Fenced,
        "granted" => State::Granted,
        _ => return None,
    };
    Some((holder, text(PEN_EPOCH)?.parse().ok()?, state))
}

fn denied_problem(pen: &Pen, denied: Denied) -> Problem {
    match denied {
        Denied::Full => not_now(
            pen,
            "is one too many: too many wait for the data to be handed over",
        ),
        Denied::TimeUp => not_now(pen, "has waited too long for the data to be handed over"),
    }
}

fn not_now(pen: &Pen, what: &str) -> Problem {
    let mut problem = Problem::new(
        Kind::HandedOver,
        format!("a write of {} {what}; nothing has happened", pen.module),
    );
    problem.retry_after = Some(Duration::from_secs(1));
    problem
}
