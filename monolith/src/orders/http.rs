//! Orders over HTTP.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chassis::auth::Identity;
use chassis::extract::{self, Json, JsonBytes, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::{MEDIA_TYPE, Problem};
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::checkout::{self, Outcome};
use super::model::{self, State};
use super::{Error, Orders, store};
use crate::money::Money;
use crate::payments;

/// Adds the routes of the orders module.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create_order)
        .service(list_orders)
        .service(get_order)
        .service(cancel_order)
        .service(ship_order);
}

#[derive(Serialize, ToSchema)]
struct Order {
    id: i64,
    /// What it is called in letters and books.
    number: String,
    customer_id: Option<i64>,
    /// `pending`, `confirmed`, `cancelled` or `shipped`.
    state: &'static str,
    /// `sale` or `credit_note`.
    kind: String,
    lines: Vec<OrderLine>,
    total: Money,
    /// `none`, `pending`, `paid`, `failed` or `refunded`.
    payment: String,
    cancel_reason: Option<String>,
    country: Option<String>,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct OrderLine {
    sku: String,
    name: String,
    quantity: i64,
    unit_price: Money,
    line_total: Money,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateOrder {
    #[garde(skip)]
    cart_id: i64,
    /// The payment provider's token, to pay at once; without it the order waits to be paid.
    #[garde(inner(length(min = 1, max = 100), ascii))]
    payment_method: Option<String>,
}

#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelOrder {
    #[garde(inner(length(chars, max = 200)))]
    reason: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListOrders {
    /// Only this customer's; for staff.
    customer_id: Option<i64>,
    /// Only orders in this state.
    state: Option<OrderState>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OrderState {
    Pending,
    Confirmed,
    Cancelled,
    Shipped,
}

/// Order what is in a cart. The same `Idempotency-Key` with the same body gives the same answer and no second order.
#[utoipa::path(tag = "orders", params(("Idempotency-Key" = String, Header)), request_body = CreateOrder, security(("session" = [])), responses(
    (status = 201, body = Order, headers(("Location" = String))),
    (status = 202, description = "The payment provider has not answered yet", body = Order, headers(("Location" = String))),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/orders")]
async fn create_order(
    port: web::Data<Orders>,
    identity: Identity,
    request: HttpRequest,
    JsonBytes(
        CreateOrder {
            cart_id,
            payment_method,
        },
        body,
    ): JsonBytes<CreateOrder>,
) -> Result<HttpResponse, Problem> {
    let wanted = checkout::Request {
        scope: identity.key_scope(),
        key: extract::idempotency_key(&request)?.ok_or_else(extract::idempotency_key_fault)?,
        body_hash: hex::encode(Sha256::digest(&body)),
        cart: cart_id,
        payment_method,
    };
    let outcome = checkout::place(&port, &wanted, |customer| identity.may_see(Some(customer))).await?;
    let (status, body, replayed) = match outcome {
        Outcome::Replayed(status, body) => (status, body, true),
        Outcome::Placed(order) => {
            let (status, body) = answer(*order);
            let (status, body) = checkout::keep(&port, &wanted, status.as_u16(), body).await?;
            (status, body, false)
        }
    };
    Ok(given(status, body, replayed))
}

/// List orders, newest first: one's own, or for staff all.
#[utoipa::path(tag = "orders", params(ListOrders, PageQuery), security(("session" = [])), responses(
    (status = 200, body = Page<Order>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/orders")]
async fn list_orders(
    port: web::Data<Orders>,
    identity: Identity,
    Query(query): Query<ListOrders>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = (page.limit()?, page.after::<i64>()?);
    // Asking for another customer's orders finds none, as for anything that is not one's own.
    let customer = if identity.is_staff() {
        query.customer_id
    } else {
        Some(identity.customer().unwrap_or(0))
    };
    if !identity.is_staff() && query.customer_id.is_some_and(|asked| Some(asked) != customer) {
        return Err(Problem::forbidden("Only staff may ask for the orders of others."));
    }
    let filter = store::Filter {
        customer,
        state: query.state.map(State::from),
    };
    let rows = port
        .db
        .read(move |conn| Ok::<_, Error>(store::list(conn, &filter, before, limit + 1)?))
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(rows, limit, |row| row.id).map(Order::from)))
}

/// Get an order.
#[utoipa::path(tag = "orders", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 200, body = Order),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/orders/{id}")]
async fn get_order(
    port: web::Data<Orders>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, id)?))
        .await?;
    let order = found
        .filter(|order| identity.may_see(order.customer_id))
        .ok_or(Error::NoOrder(id))?;
    Ok(HttpResponse::Ok().json(Order::from(order)))
}

/// Cancel an order that was not shipped. What was paid goes back. Cancelling again changes nothing.
#[utoipa::path(tag = "orders", params(("id" = i64, Path)), request_body = CancelOrder, security(("session" = [])), responses(
    (status = 200, body = Order),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/orders/{id}/cancel")]
async fn cancel_order(
    port: web::Data<Orders>,
    identity: Identity,
    Path(id): Path<i64>,
    Json(CancelOrder { reason }): Json<CancelOrder>,
) -> Result<HttpResponse, Problem> {
    let reason = reason.unwrap_or_else(|| "asked_for".to_owned());
    let this = port.get_ref().clone();
    let order = port
        .db
        .write(move |conn| {
            let order = store::lock(conn, id)?.filter(|order| identity.may_see(order.customer_id));
            let order = order.ok_or(Error::NoOrder(id))?;
            match order.state {
                State::Pending if order.payment == "pending" => return Err(Error::PaymentUnderWay(id)),
                State::Pending => this.book.give_up(conn, &order, &reason, &order.payment)?,
                State::Confirmed => {
                    this.book.take_back(conn, &order, &reason)?;
                    this.payments.give_back(conn, id, "the order was cancelled")?;
                }
                State::Shipped => return Err(Error::State("shipped")),
                State::Cancelled => {}
            }
            store::find(conn, id)?.ok_or(Error::NoOrder(id))
        })
        .await?;
    Ok(HttpResponse::Ok().json(Order::from(order)))
}

/// Note that a confirmed order left the house. Again changes nothing.
#[utoipa::path(tag = "orders", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 200, body = Order),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/orders/{id}/ship")]
async fn ship_order(
    port: web::Data<Orders>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let book = port.book.clone();
    let order = port
        .db
        .write(move |conn| {
            let order = store::lock(conn, id)?.ok_or(Error::NoOrder(id))?;
            match order.state {
                State::Confirmed => book.ship(conn, &order)?,
                State::Shipped => {}
                other => return Err(Error::State(other.as_str())),
            }
            store::find(conn, id)?.ok_or(Error::NoOrder(id))
        })
        .await?;
    Ok(HttpResponse::Ok().json(Order::from(order)))
}

/// The answer to a request to order, from where the order stands.
fn answer(order: model::Order) -> (StatusCode, String) {
    let status = match (order.state, order.payment.as_str()) {
        (State::Pending, "pending") => StatusCode::ACCEPTED,
        (State::Cancelled, "failed") => StatusCode::PAYMENT_REQUIRED,
        _ => StatusCode::CREATED,
    };
    if status == StatusCode::PAYMENT_REQUIRED {
        let reason = order.cancel_reason.unwrap_or_default().replace('_', " ");
        let problem = payments::declined(Some(&format!("Order {} was cancelled: {reason}.", order.number)));
        return (status, serde_json::to_string(&problem).unwrap_or_default());
    }
    (
        status,
        serde_json::to_string(&Order::from(order)).unwrap_or_default(),
    )
}

fn given(status: i64, body: String, replayed: bool) -> HttpResponse {
    let status = u16::try_from(status)
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    let id = serde_json::from_str::<serde_json::Value>(&body)
        .ok()
        .and_then(|body| body["id"].as_i64());
    if let Some(id) = id {
        answer.insert_header(("location", format!("/api/orders/{id}")));
    }
    if replayed {
        answer.insert_header(("idempotency-replayed", "true"));
    }
    answer
        .content_type(if status.is_success() {
            "application/json"
        } else {
            MEDIA_TYPE
        })
        .body(body)
}

impl From<model::Order> for Order {
    fn from(order: model::Order) -> Self {
        let currency = &order.total.currency;
        let lines = order.lines.iter().map(|line| OrderLine {
            sku: line.sku.clone(),
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price: Money::new(line.unit_amount, currency),
            line_total: Money::new(line.unit_amount.saturating_mul(line.quantity), currency),
        });
        Self {
            lines: lines.collect(),
            id: order.id,
            number: order.number,
            customer_id: order.customer_id,
            state: order.state.as_str(),
            kind: order.kind,
            total: order.total,
            payment: order.payment,
            cancel_reason: order.cancel_reason,
            country: order.country,
            placed_at: utc(order.placed_at),
            updated_at: utc(order.updated_at),
        }
    }
}

impl From<OrderState> for State {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::Pending => Self::Pending,
            OrderState::Confirmed => Self::Confirmed,
            OrderState::Cancelled => Self::Cancelled,
            OrderState::Shipped => Self::Shipped,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let said = error.to_string();
        match error {
            Error::NoOrder(_) => Self::not_found(said),
            Error::NoCart(_) => Self::not_found(said).field("cart_id", "is no cart"),
            Error::CartEmpty(_) => Self::conflict("cart-empty", said),
            Error::CartOrdered(_) => Self::conflict("cart-ordered", said),
            Error::Gone(_) => Self::conflict("discontinued", said),
            Error::CartChanged(_)
            | Error::State(_)
            | Error::Sum(_)
            | Error::PaymentUnderWay(_)
            | Error::Duplicate => Self::conflict("conflict", said),
            Error::Insufficient { index, .. } => Self::conflict("insufficient-stock", said.as_str())
                .field(format!("lines[{index}].quantity"), said),
            Error::KeyReused => extract::idempotency_key_reused(said),
            Error::InProgress => {
                Self::conflict("idempotency-in-progress", said).header(header::RETRY_AFTER, "2")
            }
            Error::Catalog(error) => error.into(),
            Error::Inventory(error) => error.into(),
            Error::Carts(error) => error.into(),
            Error::Accounts(error) => error.into(),
            Error::Notifications(error) => error.into(),
            Error::Payments(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
