//! The reports over HTTP: parameters, answers, routes, and how errors are told.

use actix_web::{HttpResponse, get, web};
use chassis::auth::Identity;
use chassis::extract::Query;
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::low_stock::{Place, Scarce};
use super::{Error, Reports};

/// Below this many units a product is low, if the client does not say.
const THRESHOLD: i64 = 10;
/// The largest threshold that can be asked for.
const MAX_THRESHOLD: i64 = 1_000_000_000;

/// Adds the routes of the reports.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(low_stock);
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LowStockQuery {
    /// List products of which at most so many units are available; 10 if absent.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    threshold: Option<i64>,
}

impl LowStockQuery {
    fn threshold(&self) -> Result<i64, Problem> {
        match self.threshold.unwrap_or(THRESHOLD) {
            threshold @ 0..=MAX_THRESHOLD => Ok(threshold),
            _ => Err(Problem::bad_request("A query parameter is out of range.")
                .field("threshold", format!("must be 0 to {MAX_THRESHOLD}"))),
        }
    }
}

/// A product that runs out.
#[derive(Serialize, ToSchema)]
struct LowStock {
    sku: String,
    /// Null if the catalog does not have the product any more.
    name: Option<String>,
    /// Units that can still be promised.
    available: i64,
}

/// List products that run out, scarcest first, then by SKU.
#[utoipa::path(tag = "reports", security(("session" = [])), params(LowStockQuery, PageQuery), responses(
    (status = 200, body = Page<LowStock>),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The catalog cannot be asked", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/reports/low-stock")]
async fn low_stock(
    reports: web::Data<Reports>,
    identity: Identity,
    Query(query): Query<LowStockQuery>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let (limit, after) = (page.limit()?, page.after::<Place>()?);
    let found = reports.low_stock(query.threshold()?, after, limit).await?;
    Ok(HttpResponse::Ok().json(found.map(LowStock::from)))
}

impl From<Scarce> for LowStock {
    fn from(scarce: Scarce) -> Self {
        Self {
            sku: scarce.sku,
            name: scarce.name,
            available: scarce.available,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Catalog(error) => error.into(),
            Error::Inventory(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
