//! The reports over HTTP: their routes, and how their errors are told. Parameters and answers stand in `types`.

mod types;

use actix_web::{HttpResponse, get, web};
use chassis::auth::Identity;
use chassis::extract::{Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use utoipa_actix_web::service_config::ServiceConfig;

use super::history::Place;
use super::{Error, Reports, low_stock};
use types::{HistoryEvent, LowStock, LowStockQuery, Sales, SalesParameters, place};

/// Adds the routes of the reports.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(get_sales)
        .service(list_low_stock)
        .service(get_customer_history);
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
async fn list_low_stock(
    reports: web::Data<Reports>,
    identity: Identity,
    Query(query): Query<LowStockQuery>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let (limit, after) = (page.limit()?, page.after::<low_stock::Place>()?);
    let found = reports.low_stock(query.threshold()?, after, limit).await?;
    Ok(HttpResponse::Ok().json(found.map(LowStock::from)))
}

/// Sum up what was ordered and not cancelled, altogether and by group.
#[utoipa::path(tag = "reports", security(("session" = [])), params(SalesParameters, PageQuery), responses(
    (status = 200, body = Sales),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/reports/sales")]
async fn get_sales(
    reports: web::Data<Reports>,
    identity: Identity,
    Query(parameters): Query<SalesParameters>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let (limit, after) = (page.limit()?, page.after::<String>()?);
    let query = parameters.query(&reports.currency)?;
    let currency = query.currency.clone();
    let (totals, groups) = reports.sales(query, parameters.grouping(), after, limit).await?;
    Ok(HttpResponse::Ok().json(Sales::shown(currency, totals, groups)))
}

/// List what happened between a customer and the shop, newest first: orders, payments, notifications.
#[utoipa::path(tag = "reports", security(("session" = [])), params(("id" = i64, Path), PageQuery), responses(
    (status = 200, body = Page<HistoryEvent>),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Another customer's", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/customers/{id}/history")]
async fn get_customer_history(
    reports: web::Data<Reports>,
    identity: Identity,
    Path(id): Path<i64>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    if !identity.may_see(Some(id)) {
        return Err(Problem::not_found(format!("there is no customer {id}")));
    }
    let (limit, after) = (page.limit()?, place(page.after::<Place>()?)?);
    let found = reports.history(id, after, limit).await?;
    Ok(HttpResponse::Ok().json(found.map(HistoryEvent::from)))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Catalog(error) => error.into(),
            Error::Inventory(error) => error.into(),
            Error::Notifications(error) => error.into(),
            Error::Orders(error) => error.into(),
            Error::Payments(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
