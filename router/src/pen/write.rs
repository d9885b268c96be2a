//! A write of a module that is handed over: it waits while nobody may write, goes to the holder, and is sent once more if the side that it
//! went to refuses it because the pen is elsewhere.
//!
//! For [`crate::attempt`]. A 421 with the pen's headers promises that nothing happened (RFC 9110, section 15.5.20); no other answer,
//! and no missing answer, makes a write be sent again. So that it can be, its body is kept, up to a limit.

use std::time::{Duration, Instant};

use actix_http::StatusCode;
use handover::wire::{PEN_EPOCH, PEN_HOLDER, PEN_STATE, State};

use super::Pen;
use super::counts::TurnedAway;
use super::kept::{Again, Kept, keep};
use super::learn::Refusal;
use super::queue::Denied;
use crate::attempt::{Question, once};
use crate::config::Owner;
use crate::exchange::Outcome;
use crate::forward::Caution;
use crate::forward::body::RequestBody;
use crate::plan::Plan;
use crate::problem::{Kind, Problem};
use crate::worker::Worker;

/// Seconds until a write that was turned away may be tried again: longer than a pen is on its way.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The time that a write has, over both attempts and all waiting.
#[derive(Debug, Clone, Copy)]
struct Time {
    /// When it has to be over.
    until: Instant,
    /// How long it may wait for the pen each time.
    hold: Duration,
}

/// Sends a write to whoever may do it.
pub(crate) async fn ask(worker: &Worker, plan: &mut Plan, question: Question<'_>, pen: &Pen) -> Outcome {
    let Question { head, body, .. } = question;
    let began = Instant::now();
    let Kept {
        first,
        again,
        share: _share,
    } = keep(body, pen.settings.replay_bytes, &pen.room).await?;
    // As everywhere, the time for an answer begins when the client has sent all that is waited for.
    let mut until = Instant::now() + plan.settings().response_timeout;
    if let Some(limit) = plan.settings().edge.request_timeout {
        until = until.min(began + limit);
    }
    let hold = pen.settings.hold;
    let time = Time { until, hold };
    pen.until_known().await;
    if pen.is_held() && matches!(again, Again::NoRoom) {
        return Err(turned_away(pen, TurnedAway::Full));
    }
    let question = |body: RequestBody| Question {
        head,
        body,
        caution: Caution::Once,
        go_on: None,
    };
    let outcome = go(worker, plan, pen, question(first), time).await;
    let Some(refusal) = read_refusal(plan, &outcome) else {
        return outcome;
    };
    pen.note_refusal(refusal);
    let Again::Body(again) = again else {
        return Err(turned_away(pen, TurnedAway::BodyGone));
    };
    drop(outcome);
    pen.counts.replayed();
    plan.replayed();
    let outcome = go(worker, plan, pen, question(again), time).await;
    let Some(refusal) = read_refusal(plan, &outcome) else {
        return outcome;
    };
    pen.note_refusal(refusal);
    Err(turned_away(pen, TurnedAway::RefusedTwice))
}

/// Waits until somebody may write, and asks whoever that is.
async fn go(worker: &Worker, plan: &mut Plan, pen: &Pen, question: Question<'_>, time: Time) -> Outcome {
    let left = || time.until.saturating_duration_since(Instant::now());
    let waited = pen.until_free(time.hold.min(left())).await;
    waited.map_err(|denied| match denied {
        Denied::Full => turned_away(pen, TurnedAway::Full),
        Denied::TimeUp => turned_away(pen, TurnedAway::TimeUp),
    })?;
    let left = left();
    if left.is_zero() {
        // Sent now, nobody would hear what became of it.
        return Err(turned_away(pen, TurnedAway::TimeUp));
    }
    plan.send_to_holder(pen);
    once(worker, plan, question, left).await
}

/// What a refusal says of the pen; nothing if the answer is none.
fn read_refusal(plan: &Plan, outcome: &Outcome) -> Option<Refusal> {
    let answer = outcome.as_ref().ok()?;
    if answer.status != StatusCode::MISDIRECTED_REQUEST {
        return None;
    }
    let text = |name: &str| answer.fields.get(name);
    Some(Refusal {
        by: match plan.is_at_monolith() {
            true => Owner::Monolith,
            false => Owner::Service,
        },
        holder: match text(PEN_HOLDER)? {
            handover::MONOLITH => Owner::Monolith,
            _ => Owner::Service,
        },
        epoch: text(PEN_EPOCH)?.parse().ok()?,
        state: match text(PEN_STATE)? {
            "held" => State::Held,
            "fenced" => State::Fenced,
            "granted" => State::Granted,
            _ => return None,
        },
    })
}

/// The answer to a write with which nothing has happened, and nothing will.
fn turned_away(pen: &Pen, why: TurnedAway) -> Problem {
    pen.counts.turned_away(why);
    let what = match why {
        TurnedAway::Full => "is one too many: too many wait for the data to be handed over",
        TurnedAway::TimeUp => "has waited too long for the data to be handed over",
        TurnedAway::RefusedTwice => "was refused by both sides, since the data is being handed over",
        TurnedAway::BodyGone => {
            "came to a side that does not own the data, and could not be kept for the other: it is too long, or too many are kept"
        }
    };
    let detail = format!(
        "a write of {} {what}; nothing has happened, send it again",
        pen.module
    );
    let mut problem = Problem::new(Kind::HandedOver, detail);
    problem.retry_after = Some(RETRY_AFTER);
    problem
}
