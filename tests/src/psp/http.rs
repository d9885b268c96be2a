//! The provider's API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use chassis::db::Db;
use chassis::extract::{Json, Path, Query};
use chassis::problem::Problem;
use garde::Validate;
use serde::Deserialize;
use serde_json::json;

use super::books;
use super::model::{Charge, NewCharge, Outcome};

/// How long a request hangs that is to be given up by its client.
const HANG: Duration = Duration::from_secs(30);
/// How long `tok_slow` takes.
const SLOW: Duration = Duration::from_secs(3);

/// Faults that were asked for: how many requests each still befalls.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<HashMap<Fault, u32>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fault {
    /// Answer 500 and do nothing.
    Error,
    /// Do what was asked, and answer nothing for 30 s.
    Hang,
}

impl Faults {
    fn befalls(&self, fault: Fault) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match left.get_mut(&fault) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }
}

/// Adds the routes.
pub(super) fn routes(config: &mut web::ServiceConfig) -> &mut web::ServiceConfig {
    config
        .route("/charges", web::post().to(charge))
        .route("/charges", web::get().to(by_key))
        .route("/charges/{id}", web::get().to(get))
        .route("/charges/{id}/capture", web::post().to(capture))
        .route("/charges/{id}/refunds", web::post().to(refund))
        .route("/keys/{key}/void", web::post().to(void))
        .route("/ledger", web::get().to(ledger))
        .route("/ledger/summary", web::get().to(summary))
        .route("/faults", web::post().to(faults))
}

async fn charge(
    db: web::Data<Db>,
    faults: web::Data<Faults>,
    request: HttpRequest,
    Json(new): Json<NewCharge>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    if faults.befalls(Fault::Error) {
        return Err(Problem::unavailable("A fault that was asked for.", 1));
    }
    if new.payment_method == "tok_slow" {
        tokio::time::sleep(SLOW).await;
    }
    let hangs = new.payment_method == "tok_timeout_after" || faults.befalls(Fault::Hang);
    match db.write(move |conn| books::charge(conn, &key, &new)).await? {
        Outcome::Made(charge) if hangs => {
            tokio::time::sleep(HANG).await;
            Ok(told(&charge))
        }
        Outcome::Made(charge) | Outcome::Known(charge) => Ok(told(&charge)),
        Outcome::Silence => {
            tokio::time::sleep(HANG).await;
            Err(Problem::unavailable("Nothing was charged.", 1))
        }
    }
}

async fn get(db: web::Data<Db>, Path(id): Path<String>) -> Result<HttpResponse, Problem> {
    let charge = db.read(move |conn| books::find(conn, &id)).await?;
    Ok(HttpResponse::Ok().json(charge))
}

#[derive(Deserialize)]
struct ByKey {
    key: String,
}

async fn by_key(db: web::Data<Db>, Query(ByKey { key }): Query<ByKey>) -> Result<HttpResponse, Problem> {
    let charge = db.read(move |conn| books::find_by_key(conn, &key)).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": Vec::from_iter(charge) })))
}

async fn capture(db: web::Data<Db>, Path(id): Path<String>) -> Result<HttpResponse, Problem> {
    let charge = db.write(move |conn| books::capture(conn, &id)).await?;
    Ok(HttpResponse::Ok().json(charge))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Refund {
    #[garde(range(min = 1))]
    amount: i64,
}

async fn refund(
    db: web::Data<Db>,
    faults: web::Data<Faults>,
    request: HttpRequest,
    Path(id): Path<String>,
    Json(Refund { amount }): Json<Refund>,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    if faults.befalls(Fault::Error) {
        return Err(Problem::unavailable("A fault that was asked for.", 1));
    }
    let charge = db
        .write(move |conn| books::refund(conn, &id, &key, amount))
        .await?;
    Ok(HttpResponse::Created().json(charge))
}

async fn void(db: web::Data<Db>, Path(key): Path<String>) -> Result<HttpResponse, Problem> {
    let charge = db.write(move |conn| books::void(conn, &key)).await?;
    Ok(HttpResponse::Ok().json(json!({ "charge": charge })))
}

async fn ledger(db: web::Data<Db>) -> Result<HttpResponse, Problem> {
    let entries = db.read(books::entries).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": entries })))
}

/// What was taken and given back altogether, in minor units by currency.
async fn summary(db: web::Data<Db>) -> Result<HttpResponse, Problem> {
    let sums = db.read(books::sums).await?;
    Ok(HttpResponse::Ok().json(sums))
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Order {
    #[garde(skip)]
    kind: Fault,
    #[garde(range(max = 1000))]
    times: u32,
}

async fn faults(faults: web::Data<Faults>, Json(Order { kind, times }): Json<Order>) -> HttpResponse {
    faults
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(kind, times);
    HttpResponse::NoContent().finish()
}

fn told(charge: &Charge) -> HttpResponse {
    match charge.state.as_str() {
        "declined" => HttpResponse::PaymentRequired().json(charge),
        "pending" => HttpResponse::Accepted().json(charge),
        _ => HttpResponse::Created().json(charge),
    }
}

fn idempotency_key(request: &HttpRequest) -> Result<String, Problem> {
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if key.is_empty() {
        let problem = Problem::bad_request("A header is missing.");
        return Err(problem.field("Idempotency-Key", "must name this charge or refund"));
    }
    Ok(key.to_owned())
}
