//! Payments over HTTP, and the provider's webhook.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chassis::auth::Identity;
use chassis::extract::{self, Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use chassis::time::{now, utc};
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{self, NewPayment, State, Verdict};
use super::{Error, Payments, refund, store, webhook, work};
use crate::money::Money;

/// Adds the routes of the payments module.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create_payment)
        .service(get_payment)
        .service(list_payments)
        .service(capture_payment)
        .service(create_refund)
        .service(receive_event);
}

#[derive(Serialize, ToSchema)]
struct Payment {
    id: i64,
    order_id: i64,
    amount: Money,
    /// `pending`, `authorized`, `captured`, `failed`, `voided`, `partially_refunded` or `refunded`.
    state: &'static str,
    /// What was asked back so far.
    refunded: Money,
    /// What the provider calls it.
    psp_reference: Option<String>,
    /// Why it failed.
    failure: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreatePayment {
    #[garde(skip)]
    order_id: i64,
    /// The provider's token for a card or account.
    #[garde(length(min = 1, max = 100), ascii)]
    payment_method: String,
    /// Take the money at once; otherwise it is only held ready.
    #[garde(skip)]
    #[serde(default = "yes")]
    capture: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateRefund {
    #[garde(dive, custom(positive))]
    amount: Money,
    #[garde(inner(length(chars, max = 200)))]
    reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Refund {
    id: i64,
    payment_id: i64,
    amount: Money,
    /// `pending`, `succeeded` or `failed`.
    state: String,
    created_at: DateTime<Utc>,
}

/// Pay for an order.
#[utoipa::path(tag = "payments", request_body = CreatePayment, security(("session" = [])), responses(
    (status = 201, body = Payment, headers(("Location" = String))),
    (status = 202, description = "The provider has not answered yet", body = Payment, headers(("Location" = String))),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/payments")]
async fn create_payment(
    port: web::Data<Payments>,
    identity: Identity,
    Json(CreatePayment {
        order_id: order,
        payment_method,
        capture,
    }): Json<CreatePayment>,
) -> Result<HttpResponse, Problem> {
    let (payables, patience) = (Arc::clone(&port.payables), port.patience);
    let id = port
        .db
        .write(move |conn| {
            let payable = payables
                .lock(conn, order)?
                .filter(|payable| identity.may_see(payable.customer_id));
            let payable = payable.ok_or(Error::NoOrder(order))?;
            let customer = payable.customer_id;
            let Some(amount) = &payable.due else {
                let is_paid = store::of_order(conn, order, None, i64::MAX)?
                    .iter()
                    .any(|payment| payment.state != State::Failed);
                return Err(if is_paid {
                    Error::HasPayment(order)
                } else {
                    Error::NotPayable(order)
                });
            };
            let new = NewPayment {
                order,
                customer,
                amount,
                payment_method: &payment_method,
                capture,
                patience,
            };
            let id = store::insert(conn, &new)?;
            payables.charging(conn, order)?;
            Ok(id)
        })
        .await?;
    let state = port.charge(id).await?;
    let payment = find(&port, id).await?;
    if state == State::Failed {
        return Err(declined(payment.failure.as_deref()));
    }
    let status = if state.is_open() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::CREATED
    };
    let location = format!("/api/payments/{id}");
    Ok(HttpResponse::build(status)
        .insert_header(("location", location))
        .json(Payment::from(payment)))
}

/// Get a payment.
#[utoipa::path(tag = "payments", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 200, body = Payment),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/payments/{id}")]
async fn get_payment(
    port: web::Data<Payments>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    let payment = find(&port, id).await?;
    if !identity.may_see(payment.customer_id) {
        return Err(Error::NoPayment(id).into());
    }
    Ok(HttpResponse::Ok().json(Payment::from(payment)))
}

/// List the payments of an order.
#[utoipa::path(tag = "payments", params(("id" = i64, Path), PageQuery), security(("session" = [])), responses(
    (status = 200, body = Page<Payment>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/orders/{id}/payments")]
async fn list_payments(
    port: web::Data<Payments>,
    identity: Identity,
    Path(order): Path<i64>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (page.limit()?, page.after::<i64>()?);
    let payables = Arc::clone(&port.payables);
    let rows = port
        .db
        .write(move |conn| {
            let payable = payables
                .lock(conn, order)?
                .filter(|payable| identity.may_see(payable.customer_id));
            payable.ok_or(Error::NoOrder(order))?;
            Ok::<_, Error>(store::of_order(conn, order, after, limit + 1)?)
        })
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(rows, limit, |row| row.id).map(Payment::from)))
}

/// Take the money that is held ready.
#[utoipa::path(tag = "payments", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 200, body = Payment),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/payments/{id}/capture")]
async fn capture_payment(
    port: web::Data<Payments>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let payment = find(&port, id).await?;
    match (payment.state, &payment.psp_reference) {
        (State::Captured, _) => return Ok(HttpResponse::Ok().json(Payment::from(payment))),
        (State::Authorized, Some(reference)) => match port.psp.capture(reference).await {
            Verdict::Unknown => return Err(Problem::unavailable("The payment provider does not answer.", 2)),
            verdict => work::note(&port, id, verdict).await?,
        },
        (state, _) => return Err(Error::State(state).into()),
    };
    Ok(HttpResponse::Ok().json(Payment::from(find(&port, id).await?)))
}

/// Give money back. With an `Idempotency-Key`, a repetition gives nothing more.
#[utoipa::path(tag = "payments", params(("id" = i64, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CreateRefund, security(("session" = [])), responses(
    (status = 201, body = Refund),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/payments/{id}/refunds")]
async fn create_refund(
    port: web::Data<Payments>,
    identity: Identity,
    request: HttpRequest,
    Path(id): Path<i64>,
    Json(CreateRefund { amount, reason }): Json<CreateRefund>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let key = extract::idempotency_key(&request)?;
    let (payables, currency) = (Arc::clone(&port.payables), amount.currency.clone());
    let reason = reason.unwrap_or_default();
    let mut asked = port
        .db
        .write(move |conn| refund::ask(conn, &*payables, id, &amount, &reason, key.as_deref()))
        .await?;
    if asked.state == "pending" {
        asked = refund::carry_out(&port, asked).await?;
    }
    let model::Refund {
        id,
        payment_id,
        amount,
        state,
        created_at,
        ..
    } = asked;
    let amount = Money::new(amount, currency);
    Ok(HttpResponse::Created().json(Refund {
        id,
        payment_id,
        amount,
        state,
        created_at: utc(created_at),
    }))
}

/// What the payment provider tells by itself.
#[utoipa::path(tag = "payments", params(("psp-signature" = String, Header)), request_body = Object, responses(
    (status = 204, description = "Noted, now or before"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/webhooks/psp")]
async fn receive_event(
    port: web::Data<Payments>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body = extract::read(&request, &mut payload.into_inner()).await?;
    if !port
        .secret
        .signed(request.headers(), &body, now().and_utc().timestamp())
    {
        return Err(Problem::unauthorized(
            "The signature is missing, wrong or too old.",
        ));
    }
    let event: webhook::Event = extract::parse(&body)?;
    let payables = Arc::clone(&port.payables);
    port.db
        .write(move |conn| webhook::receive(conn, &*payables, &event))
        .await?;
    port.wake.notify_one();
    Ok(HttpResponse::NoContent().finish())
}

async fn find(port: &Payments, id: i64) -> Result<model::Payment, Error> {
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, id)?))
        .await?;
    found.ok_or(Error::NoPayment(id))
}

/// 402: the money will not come.
pub(crate) fn declined(reason: Option<&str>) -> Problem {
    Problem::new(
        StatusCode::PAYMENT_REQUIRED,
        "payment-declined",
        "The payment did not come about",
    )
    .detail(reason.unwrap_or("the payment was declined"))
}

fn positive(amount: &Money, _: &()) -> garde::Result {
    if amount.amount > 0 {
        Ok(())
    } else {
        Err(garde::Error::new("must be more than nothing"))
    }
}

impl From<model::Payment> for Payment {
    fn from(row: model::Payment) -> Self {
        // To clients a payment whose key is being voided is still undecided.
        let state = if row.state == State::Voiding {
            State::Pending
        } else {
            row.state
        };
        Self {
            id: row.id,
            order_id: row.order_id,
            refunded: Money::new(row.refunded, row.amount.currency.clone()),
            amount: row.amount,
            state: state.as_str(),
            psp_reference: row.psp_reference,
            failure: row.failure,
            created_at: utc(row.created_at),
            updated_at: utc(row.updated_at),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let said = error.to_string();
        match error {
            Error::NoPayment(_) | Error::NoOrder(_) => Self::not_found(said),
            Error::NotPayable(_) | Error::State(_) => Self::conflict("conflict", said),
            Error::HasPayment(_) => Self::conflict("has-payment", said),
            Error::RefundExceedsPayment(_) => {
                Self::conflict("refund-exceeds-payment", said.as_str()).field("amount.amount", said)
            }
            Error::Currency(_) => Self::validation(Vec::new()).field("amount.currency", said),
            Error::KeyReused => extract::idempotency_key_reused(said),
            Error::Psp(_) => Self::unavailable(said, 2),
            Error::Payable(_) => Self::internal(&error),
            Error::Database(error) => error.into(),
        }
    }
}
