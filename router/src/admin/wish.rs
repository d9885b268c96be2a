//! `/plan`, `/switch` and `/routes/{name}/certificate`: what an operator wishes, foretold, done, and what the evidence says.
//!
//! For the command line and whoever automates. A body says what is wished for; who wishes it stands in `x-banyan-actor`,
//! which is believed, as whoever has the token may do everything anyway, but is marked as a claim: it always begins with
//! `api` or `cli`, so nobody passes for `auto` or for an edit of the file.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::problem::Problem;
use super::read::Json;
use crate::certificate::{Certificate, Verdict};
use crate::config::{Mode, Percent};
use crate::promotion::operator::Operator;
use crate::promotion::wish::{Command, Which, Wish};
use crate::switch::audit::{Move, Planned};

/// The header in which a client says who it acts for.
pub const ACTOR: &str = "x-banyan-actor";

/// Characters of an actor's name that are kept, and of a reason that are taken; the audit log keeps as many.
const ACTOR_CHARS: usize = 100;
const REASON_CHARS: usize = 1000;

/// A wish to switch routes.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WishBody {
    /// What is wished for.
    pub wish: WishFor,
    /// Why; needed if it is forced. For the audit log, at most 1000 characters.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub reason: String,
    /// Whether to do it although the certificate says hold.
    #[serde(default)]
    pub force: bool,
    /// SHA-256 (hex) of the config that the wish was formed on; on another the wish is refused. A revert never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// What is wished for.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum WishFor {
    /// The next step of this route.
    Promote(String),
    /// A mode for a route.
    Set(SetMode),
    /// Routes back to the monolith.
    Revert(Back),
}

/// A mode for a route.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMode {
    /// The route's name.
    pub route: String,
    /// The mode.
    pub mode: ModeWord,
    /// The share of the clients, 0 to 100 with at most two decimals; for `canary`, and for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub percent: Option<Number>,
}

/// The modes of a route, as the file writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ModeWord {
    /// The monolith serves.
    Monolith,
    /// The monolith serves, and answers are compared.
    Shadow,
    /// A share of the clients is served by the service.
    Canary,
    /// The service serves.
    Service,
    /// Whoever holds the data serves.
    #[serde(rename = "by-owner")]
    ByOwner,
}

/// Which routes go back; exactly one of the three.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Back {
    /// This route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// All routes of this module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// All routes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// A switch that would be made, or that was.
#[derive(Debug, Serialize, ToSchema)]
struct Told {
    /// It in a sentence, that of the audit log.
    sentence: String,
    /// Whether anything changes by it; if not, the file says so already.
    is_changed: bool,
    /// Whether it was forced: against the evidence, or without need of it.
    is_forced: bool,
    /// The routes that are served otherwise by it; the first hundred.
    moves: Vec<Move>,
    /// How many these are.
    moves_total: usize,
    /// SHA-256 of the file before it, in hex.
    hash_before: String,
    /// SHA-256 of the file after it, in hex.
    hash_after: String,
    /// Its number in the audit log; absent if nothing changed, or if the log gets it later.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<i64>,
    /// Whether the audit log has all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_recorded: Option<bool>,
    /// The certificate that it rests on, or goes against.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<serde_json::Value>,
}

/// What the evidence says about a route's next step.
#[derive(Debug, Serialize, ToSchema)]
struct CertificateAnswer {
    /// The certificate.
    #[serde(flatten)]
    certificate: Certificate,
    /// Whether the step needs it to pass.
    is_needed: bool,
    /// Whether the step would be taken now: it passes, or is not needed.
    is_open: bool,
}

/// What a wish would do, in the words in which the audit log would record it. Nothing is done.
#[utoipa::path(tag = "switching", request_body = WishBody, params(("x-banyan-actor" = Option<String>, Header)), responses(
    (status = 200, body = Told), super::Refusals,
    (status = 400, description = "The body could not be read", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such route or module", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Held by the evidence, no further step, or the file does not allow it", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The wish makes no sense, or the file would not be valid with it", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Evidence or file cannot be had now", body = Problem, content_type = "application/problem+json"),
))]
#[post("/plan")]
pub(super) async fn plan(
    operator: web::Data<Operator>,
    request: HttpRequest,
    Json(body): Json<WishBody>,
) -> Result<HttpResponse, Problem> {
    let command = command(&request, body)?;
    let (planned, _) = operator.plan(&command).await?;
    let is_changed = planned.hash_before != planned.hash_after;
    Ok(HttpResponse::Ok().json(Told::of(planned, is_changed)))
}

/// Does what is wished. When it is answered, the next request is served by the new config.
#[utoipa::path(tag = "switching", request_body = WishBody, params(("x-banyan-actor" = Option<String>, Header)), responses(
    (status = 200, body = Told), super::Refusals,
    (status = 400, description = "The body could not be read", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such route or module", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Held by the evidence, no further step, or the file does not allow it", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The wish makes no sense, or the file would not be valid with it", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Evidence, audit log or file cannot be had now", body = Problem, content_type = "application/problem+json"),
))]
#[post("/switch")]
pub(super) async fn switch(
    operator: web::Data<Operator>,
    request: HttpRequest,
    Json(body): Json<WishBody>,
) -> Result<HttpResponse, Problem> {
    let command = command(&request, body)?;
    let operator: Arc<Operator> = operator.into_inner();
    // A task of its own: a client that goes away must not leave half of it.
    let performing = tokio::spawn(async move { operator.perform(&command).await });
    let interrupted = |_| {
        Problem::unavailable(
            "interrupted",
            "it was interrupted; see `banyan audit` for what became of it",
        )
    };
    let switched = performing.await.map_err(interrupted)??;
    Ok(HttpResponse::Ok().json(Told {
        entry: switched.entry,
        is_recorded: Some(switched.is_recorded),
        ..Told::of(switched.planned, switched.is_changed)
    }))
}

/// Whether the evidence allows a route's next step, criterion by criterion.
#[utoipa::path(tag = "switching", params(("name" = String, Path)), responses(
    (status = 200, body = CertificateAnswer), super::Refusals,
    (status = 404, description = "No such route", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "There is no further step", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The evidence cannot be read", body = Problem, content_type = "application/problem+json"),
))]
#[get("/routes/{name}/certificate")]
pub(super) async fn certificate(
    operator: web::Data<Operator>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let certified = operator.certify(&name).await?;
    Ok(HttpResponse::Ok().json(CertificateAnswer {
        is_open: !certified.is_needed || certified.certificate.verdict == Verdict::Pass,
        is_needed: certified.is_needed,
        certificate: certified.certificate,
    }))
}

impl Told {
    fn of(planned: Planned, is_changed: bool) -> Self {
        Self {
            sentence: planned.sentence(),
            is_changed,
            is_forced: planned.forced,
            moves_total: planned.moves_total,
            moves: planned.moves,
            hash_before: planned.hash_before,
            hash_after: planned.hash_after,
            entry: None,
            is_recorded: None,
            certificate: planned.certificate,
        }
    }
}

fn command(request: &HttpRequest, body: WishBody) -> Result<Command, Problem> {
    if body.reason.chars().count() > REASON_CHARS {
        let detail = format!("give a reason of at most {REASON_CHARS} characters");
        return Err(Problem::field(StatusCode::UNPROCESSABLE_ENTITY, "reason", detail));
    }
    Ok(Command {
        wish: wish(body.wish)?,
        actor: actor(request),
        reason: body.reason,
        force: body.force,
        expected: body.expected,
    })
}

/// Who asks, as the audit log has it.
pub(super) fn actor(request: &HttpRequest) -> String {
    let claimed = request.headers().get(ACTOR);
    claimed_actor(
        claimed
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .as_deref(),
    )
}

/// `cli:ann@desk` stays, anything else is `api:` and what was claimed.
fn claimed_actor(claimed: Option<&str>) -> String {
    let clean: String = claimed
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(ACTOR_CHARS)
        .collect();
    match clean.trim() {
        "" => "api".to_owned(),
        known if known.starts_with("cli:") || known.starts_with("api:") => known.to_owned(),
        other => format!("api:{other}"),
    }
}

fn wish(body: WishFor) -> Result<Wish, Problem> {
    let wrong = |field: &str, detail: String| Problem::field(StatusCode::UNPROCESSABLE_ENTITY, field, detail);
    match body {
        WishFor::Promote(route) => Ok(Wish::Promote(route)),
        WishFor::Set(set) => {
            let mode = set.mode()?;
            Ok(Wish::Set(set.route, mode))
        }
        WishFor::Revert(Back { route, module, all }) => match (route, module, all) {
            (Some(route), None, false) => Ok(Wish::Revert(Which::Route(route))),
            (None, Some(module), false) => Ok(Wish::Revert(Which::Module(module))),
            (None, None, true) => Ok(Wish::Revert(Which::All)),
            _ => {
                let detail = "name exactly one of route, module, and all: true";
                Err(wrong("wish.revert", detail.to_owned()))
            }
        },
    }
}

impl SetMode {
    /// The mode with its share.
    pub fn mode(&self) -> Result<Mode, Problem> {
        let wrong =
            |detail: String| Problem::field(StatusCode::UNPROCESSABLE_ENTITY, "wish.set.percent", detail);
        match (self.mode, &self.percent) {
            (ModeWord::Canary, Some(percent)) => {
                let percent = Percent::parse(&percent.to_string());
                let percent = percent.map_err(|(reason, remedy)| wrong(format!("{reason}; {remedy}")))?;
                Ok(Mode::Canary(percent))
            }
            (ModeWord::Canary, None) => Err(wrong("a canary needs its percent, such as 10".to_owned())),
            (_, Some(_)) => Err(wrong("only a canary has a percent".to_owned())),
            (ModeWord::Monolith, None) => Ok(Mode::Monolith),
            (ModeWord::Shadow, None) => Ok(Mode::Shadow),
            (ModeWord::Service, None) => Ok(Mode::Service),
            (ModeWord::ByOwner, None) => Ok(Mode::ByOwner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_passes_for_the_controller_or_the_file() {
        let cases = [
            (None, "api"),
            (Some("  "), "api"),
            (Some("auto"), "api:auto"),
            (Some("file"), "api:file"),
            (Some("cli:ann@desk"), "cli:ann@desk"),
            (Some("deploy\nbot"), "api:deploybot"),
        ];
        for (claimed, told) in cases {
            assert_eq!(claimed_actor(claimed), told, "{claimed:?}");
        }
        assert_eq!(claimed_actor(Some(&"x".repeat(5000))).len(), 4 + ACTOR_CHARS);
    }

    #[test]
    fn a_share_is_for_a_canary_and_a_canary_has_one() {
        let set = |mode, percent: Option<&str>| {
            let percent = percent.map(|text| serde_json::from_str(text).unwrap());
            let set = SetMode {
                route: "r".to_owned(),
                mode,
                percent,
            };
            set.mode()
                .map(|mode| mode.to_string())
                .map_err(|problem| problem.field)
        };
        let fault = Err(Some("wish.set.percent".to_owned()));
        assert_eq!(set(ModeWord::Canary, Some("10")), Ok("canary 10 %".to_owned()));
        assert_eq!(
            set(ModeWord::Canary, Some("0.25")),
            Ok("canary 0.25 %".to_owned())
        );
        assert_eq!(set(ModeWord::Canary, Some("100.5")), fault);
        assert_eq!(set(ModeWord::Canary, Some("-1")), fault);
        assert_eq!(set(ModeWord::Canary, None), fault);
        assert_eq!(set(ModeWord::Shadow, Some("1")), fault);
        assert_eq!(set(ModeWord::Shadow, None), Ok("shadow".to_owned()));
    }
}
