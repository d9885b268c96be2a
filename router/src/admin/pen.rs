//! A module's pen as this router knows it, and what a coordinator tells it: hold writes, let them go on, write down a step.
//!
//! For `banyan handover` and whoever else makes a pass. Nothing here moves a pen: the two sides do. Holding only spares clients a
//! refusal, and ends by itself.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::read::Json;
use super::wish::actor;
use crate::events::{About, Kind};
use crate::pen::Pen;
use crate::promotion::operator::Operator;
use crate::report::pen::PenStatus;
use crate::state::State;

/// The longest hold, in milliseconds.
const LONGEST_HOLD: u64 = 10_000;
/// Characters of a step's description, and of a reason.
const DETAIL: usize = 1000;

/// How long writes are to wait.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Hold {
    /// Milliseconds, 1 to 10000; it ends earlier when the pen has another holder.
    #[schema(minimum = 1, maximum = 10_000)]
    ms: u64,
    /// Why.
    #[serde(default)]
    reason: String,
}

/// Why writes go on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Release {
    /// Why.
    #[serde(default)]
    reason: String,
}

/// A step of a pass, for the audit log.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Step {
    /// The pass.
    pass: String,
    /// The step, such as `fence`.
    step: String,
    /// What was done.
    #[serde(default)]
    detail: String,
}

/// What is known of a module's pen.
#[utoipa::path(tag = "handing over", params(("module" = String, Path)), responses(
    (status = 200, body = PenStatus), super::Refusals,
    (status = 404, description = "No such module is handed over", body = Problem, content_type = "application/problem+json"),
))]
#[get("/modules/{module}/pen")]
pub(super) async fn what_is_known(
    state: web::Data<State>,
    module: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(PenStatus::of(&*find(&state, &module)?)))
}

/// Lets the module's writes wait, since the pen is about to move.
#[utoipa::path(tag = "handing over", params(("module" = String, Path), ("x-banyan-actor" = Option<String>, Header)),
    request_body = Hold, responses(
    (status = 200, body = PenStatus), super::Refusals,
    (status = 400, description = "The body could not be read", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such module is handed over", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The time is out of range", body = Problem, content_type = "application/problem+json"),
))]
#[post("/modules/{module}/hold")]
pub(super) async fn hold(
    state: web::Data<State>,
    module: web::Path<String>,
    request: HttpRequest,
    Json(Hold { ms, reason }): Json<Hold>,
) -> Result<HttpResponse, Problem> {
    let pen = find(&state, &module)?;
    if !(1..=LONGEST_HOLD).contains(&ms) {
        let detail = format!("ms must be 1 to {LONGEST_HOLD}, and is {ms}");
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "out-of-range",
            "A value is out of range",
            detail,
        ));
    }
    pen.hold_writes(Duration::from_millis(ms));
    tracing::info!(module = pen.module, ms, reason, "writes wait");
    let told = format!(
        "{}: writes wait for up to {ms} ms{}",
        pen.module,
        because(&reason)
    );
    tell(&state, &actor(&request), &told);
    Ok(HttpResponse::Ok().json(PenStatus::of(&pen)))
}

/// Lets the module's writes go on.
#[utoipa::path(tag = "handing over", params(("module" = String, Path), ("x-banyan-actor" = Option<String>, Header)),
    request_body = Release, responses(
    (status = 200, body = PenStatus), super::Refusals,
    (status = 400, description = "The body could not be read", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such module is handed over", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
))]
#[post("/modules/{module}/release")]
pub(super) async fn release(
    state: web::Data<State>,
    module: web::Path<String>,
    request: HttpRequest,
    Json(Release { reason }): Json<Release>,
) -> Result<HttpResponse, Problem> {
    let pen = find(&state, &module)?;
    pen.release_writes();
    tracing::info!(module = pen.module, reason, "writes go on");
    let told = format!("{}: writes go on{}", pen.module, because(&reason));
    tell(&state, &actor(&request), &told);
    Ok(HttpResponse::Ok().json(PenStatus::of(&pen)))
}

/// Writes a step of a pass into the audit log.
#[utoipa::path(tag = "handing over", params(("module" = String, Path), ("x-banyan-actor" = Option<String>, Header)),
    request_body = Step, responses(
    (status = 200, body = PenStatus), super::Refusals,
    (status = 400, description = "The body could not be read", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such module is handed over", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
))]
#[post("/modules/{module}/journal")]
pub(super) async fn journal(
    state: web::Data<State>,
    operator: web::Data<Operator>,
    module: web::Path<String>,
    request: HttpRequest,
    Json(Step { pass, step, detail }): Json<Step>,
) -> Result<HttpResponse, Problem> {
    let pen = find(&state, &module)?;
    let actor = actor(&request);
    let told = format!(
        "{}: {}: {} (pass {})",
        pen.module,
        short(&step),
        short(&detail),
        short(&pass)
    );
    tell(&state, &actor, &told);
    operator.switcher().note_handover(&actor, told).await;
    Ok(HttpResponse::Ok().json(PenStatus::of(&pen)))
}

/// An event. The audit log gets the steps of a pass, of which holding and releasing are two, from whoever makes it.
fn tell(state: &State, actor: &str, told: &str) {
    let about = About {
        actor: Some(actor.to_owned()),
        ..About::new(told.to_owned())
    };
    state.events().tell(Kind::Handover, about);
}

/// A reason behind a colon, if one was given.
fn because(reason: &str) -> String {
    match reason.trim() {
        "" => String::new(),
        reason => format!(": {}", short(reason)),
    }
}

fn short(text: &str) -> String {
    text.chars().take(DETAIL).collect()
}

fn find(state: &State, module: &str) -> Result<Arc<Pen>, Problem> {
    let snapshot = state.snapshot();
    let found = snapshot.pens().find(|pen| pen.module == module).cloned();
    found.ok_or_else(|| {
        let known: Vec<String> = snapshot.pens().map(|pen| pen.module.clone()).collect();
        let known = if known.is_empty() {
            "none is".to_owned()
        } else {
            format!("these are: {}", known.join(", "))
        };
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-module",
            "There is no such module",
            format!("no module `{module}` is handed over; {known}"),
        )
    })
}
