//! `/audit`: who switched what, when, why, and on which evidence; and whether the log is as it was written.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use super::read::Query;
use crate::promotion::operator::Operator;
use crate::switch::audit::ledger::PAGE;
use crate::switch::audit::{Entry, Filter, Move};

const ENTRIES: usize = 50;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Those that concern this route.
    route: Option<String>,
    /// Those that concern a route of this module.
    module: Option<String>,
    /// Those of this actor.
    actor: Option<String>,
    /// Those from this time on (RFC 3339).
    since: Option<DateTime<Utc>>,
    /// Those before the one with this id: the next page.
    before: Option<i64>,
    /// So many at the most, newest first: 1 to 200, else 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Whether to verify the whole log as well.
    verify: Option<bool>,
}

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
struct Page {
    /// Newest first.
    entries: Vec<AuditEntry>,
    /// How many entries the log does not have yet; they are written as soon as its database can be.
    waiting: usize,
    /// That the log is as it was written, if that was asked; if it is not, the answer is a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
}

/// That the log is as it was written.
#[derive(Debug, Serialize, ToSchema)]
struct Verified {
    /// How many rows were looked over; a switch is two, an edit one.
    rows: i64,
    /// The hash of the last, which vouches for all of them; keep it elsewhere, and nobody can cut the end off unseen.
    head: String,
}

/// One switch.
#[derive(Debug, Serialize, ToSchema)]
struct AuditEntry {
    id: i64,
    at: DateTime<Utc>,
    /// Which router's which file: `HOST:PATH`.
    place: String,
    /// It in a sentence, that of `banyan plan`.
    sentence: String,
    /// Who: `cli:USER@HOST`, `api:NAME`, `auto`, or `file` for an edit by hand.
    actor: String,
    /// What: `set`, `promote`, `revert`, `reload`, `refused-reload`, `auto-promote`, `auto-revert`, `handover`.
    action: &'static str,
    /// The routes concerned; the first hundred.
    moves: Vec<Move>,
    moves_total: usize,
    reason: String,
    /// Whether it was done against the evidence.
    forced: bool,
    certificate: Option<serde_json::Value>,
    hash_before: String,
    hash_after: String,
    /// How it ended: `done`, `not done`, `recovered: done`, …; null while it is under way.
    outcome: Option<&'static str>,
    concluded_at: Option<DateTime<Utc>>,
    detail: String,
    /// The row's hash, which rests on that of every row before it.
    hash: String,
}

/// The audit log.
#[utoipa::path(tag = "looking", params(Wanted), responses(
    (status = 200, body = Page), super::Refusals,
    (status = 400, description = "The query could not be read", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The log is not as it was written", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The log cannot be read", body = Problem, content_type = "application/problem+json"),
))]
#[get("/audit")]
pub(super) async fn audit(
    operator: web::Data<Operator>,
    Query(wanted): Query<Wanted>,
) -> Result<HttpResponse, Problem> {
    let limit = wanted.limit.unwrap_or(ENTRIES);
    if !(1..=PAGE).contains(&limit) {
        let detail = format!("limit is 1 to {PAGE}");
        return Err(Problem::field(StatusCode::BAD_REQUEST, "limit", detail));
    }
    let ledger = operator
        .ledger()
        .await
        .map_err(|_| Problem::audit_unavailable())?;
    let filter = Filter {
        route: wanted.route,
        module: wanted.module,
        actor: wanted.actor,
        place: None,
        since: wanted.since.map(|since| since.naive_utc()),
    };
    let verified = match wanted.verify {
        Some(true) => {
            let verified = ledger.verify_chain().await?;
            Some(Verified {
                rows: verified.rows,
                head: verified.head,
            })
        }
        _ => None,
    };
    let entries = ledger.list(filter, wanted.before, limit).await?;
    Ok(HttpResponse::Ok().json(Page {
        entries: entries.into_iter().map(AuditEntry::from).collect(),
        waiting: operator.switcher().waiting(),
        verified,
    }))
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let sentence = entry.sentence();
        let (planned, end) = (entry.planned, entry.conclusion);
        Self {
            id: entry.id,
            at: chassis::time::utc(entry.at),
            place: entry.place,
            sentence,
            actor: planned.actor,
            action: planned.action.word(),
            moves: planned.moves,
            moves_total: planned.moves_total,
            reason: planned.reason,
            forced: planned.forced,
            certificate: planned.certificate,
            hash_before: planned.hash_before,
            hash_after: planned.hash_after,
            outcome: end.as_ref().map(|end| end.outcome.words()),
            concluded_at: end.as_ref().map(|end| chassis::time::utc(end.at)),
            detail: end.map(|end| end.detail).unwrap_or_default(),
            hash: entry.hash,
        }
    }
}
