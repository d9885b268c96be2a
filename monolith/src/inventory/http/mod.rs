//! The inventory over HTTP: its routes, and how its errors are told. Bodies and parameters stand in `types`.

mod types;

use actix_web::http::header;
use actix_web::{HttpResponse, delete, get, post, web};
use chassis::auth::Identity;
use chassis::extract::{Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use chrono::Duration;
use utoipa_actix_web::service_config::ServiceConfig;

use super::store::{levels, movements, reservations};
use super::{Error, Inventory};
use types::{ListStock, Movement, NewMovement, NewReservation, Reservation, Stock};

/// Adds the routes of the inventory.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_stock)
        .service(get_stock)
        .service(add_movement)
        .service(create_reservation)
        .service(get_reservation)
        .service(release_reservation)
        .service(confirm_reservation);
}

/// List stock, by SKU.
#[utoipa::path(tag = "inventory", params(ListStock, PageQuery), responses(
    (status = 200, body = Page<Stock>),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/stock")]
async fn list_stock(
    inventory: web::Data<Inventory>,
    Query(query): Query<ListStock>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (page.limit()?, page.after::<String>()?);
    let skus = query.skus()?;
    let found = inventory
        .db
        .read(move |conn| {
            let listed = levels::list(conn, skus.as_deref(), after.as_deref(), limit + 1);
            Ok::<_, Error>(listed?)
        })
        .await?;
    let page = Page::of(found, limit, |level| level.sku.clone()).map(Stock::from);
    Ok(HttpResponse::Ok().json(page))
}

/// Get the stock of a product.
#[utoipa::path(tag = "inventory", params(("sku" = String, Path)), responses(
    (status = 200, body = Stock),
    (status = 404, description = "Never in stock", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/stock/{sku}")]
async fn get_stock(
    inventory: web::Data<Inventory>,
    Path(sku): Path<String>,
) -> Result<HttpResponse, Problem> {
    let wanted = sku.clone();
    let found = inventory
        .db
        .read(move |conn| Ok::<_, Error>(levels::find(conn, &wanted)?))
        .await?;
    let level = found.ok_or(Error::NeverStocked(sku))?;
    Ok(HttpResponse::Ok().json(Stock::from(level)))
}

/// Bring units in, take them out, or put the count right.
#[utoipa::path(tag = "inventory", request_body = NewMovement, security(("session" = [])),
    params(("sku" = String, Path)), responses(
    (status = 201, body = Movement, headers(("Location" = String))),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such product", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The units are not there, or are promised", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A value is not allowed", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The catalog cannot be asked", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/stock/{sku}/movements")]
async fn add_movement(
    inventory: web::Data<Inventory>,
    identity: Identity,
    Path(sku): Path<String>,
    Json(body): Json<NewMovement>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    if inventory.catalog.product(sku.clone()).await?.is_none() {
        return Err(Error::NoProduct(sku).into());
    }
    let location = format!("/api/stock/{}", sku.replace(' ', "%20"));
    let movement = inventory
        .db
        .write(move |conn| movements::add(conn, &sku, body.kind.into(), body.quantity, &body.reference))
        .await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .json(Movement::from(movement)))
}

/// Set units aside for a while: all lines, or none.
#[utoipa::path(tag = "inventory", request_body = NewReservation, security(("session" = [])), responses(
    (status = 201, body = Reservation, headers(("Location" = String))),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "A line asks for more than there is", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A value is not allowed", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/reservations")]
async fn create_reservation(
    inventory: web::Data<Inventory>,
    identity: Identity,
    Json(body): Json<NewReservation>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let (lines, ttl) = (body.lines(), Duration::seconds(body.ttl_seconds));
    let held = inventory
        .db
        .write(move |conn| {
            let id = reservations::hold(conn, &lines, ttl, &body.reference)?;
            reservations::find(conn, id)
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/reservations/{}", held.id)))
        .json(Reservation::from(held)))
}

/// Get a reservation.
#[utoipa::path(tag = "inventory", security(("session" = [])), params(("id" = i64, Path)), responses(
    (status = 200, body = Reservation),
    (status = 400, description = "The id is no number", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such reservation", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/reservations/{id}")]
async fn get_reservation(
    inventory: web::Data<Inventory>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let found = inventory
        .db
        .read(move |conn| reservations::find(conn, id))
        .await?;
    Ok(HttpResponse::Ok().json(Reservation::from(found)))
}

/// Give back what a reservation holds. Doing it again changes nothing.
#[utoipa::path(tag = "inventory", security(("session" = [])), params(("id" = i64, Path)), responses(
    (status = 204, description = "Nothing is held any more"),
    (status = 400, description = "The id is no number", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such reservation", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Confirmed already", body = Problem, content_type = "application/problem+json"),
))]
#[delete("/api/reservations/{id}")]
async fn release_reservation(
    inventory: web::Data<Inventory>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    inventory
        .db
        .write(move |conn| reservations::release(conn, id))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Make a sale of what a reservation holds: the units leave. Doing it again changes nothing.
#[utoipa::path(tag = "inventory", security(("session" = [])), params(("id" = i64, Path)), responses(
    (status = 200, body = Reservation),
    (status = 400, description = "The id is no number", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such reservation", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Released or expired", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/reservations/{id}/confirm")]
async fn confirm_reservation(
    inventory: web::Data<Inventory>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let confirmed = inventory
        .db
        .write(move |conn| {
            reservations::confirm(conn, id)?;
            reservations::find(conn, id)
        })
        .await?;
    Ok(HttpResponse::Ok().json(Reservation::from(confirmed)))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let told = error.to_string();
        match error {
            Error::NeverStocked(_) | Error::NoProduct(_) | Error::NoReservation(_) => Self::not_found(told),
            Error::Insufficient { index, available, .. } => Self::conflict("insufficient-stock", told).field(
                format!("lines[{index}].quantity"),
                format!("must be at most {available}"),
            ),
            Error::Short { available, .. } => Self::conflict("insufficient-stock", told)
                .field("quantity", format!("must take at most {available}")),
            Error::Full(_) | Error::Decided { .. } => Self::conflict("conflict", told),
            Error::Catalog(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
