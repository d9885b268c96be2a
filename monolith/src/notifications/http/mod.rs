//! Notifications over HTTP: what a customer was told and wants to be told, and webhooks for staff.

mod webhooks;

use actix_web::{HttpResponse, get, post, put, web};
use chassis::auth::Identity;
use chassis::extract::{Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Error, Notifications, model, store};

/// Adds the routes of the notifications module.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_notifications)
        .service(get_preferences)
        .service(set_preferences)
        .service(get_notification)
        .service(resend)
        .service(webhooks::list_webhooks)
        .service(webhooks::create_webhook)
        .service(webhooks::get_webhook)
        .service(webhooks::delete_webhook);
}

#[derive(Serialize, ToSchema)]
struct Notification {
    id: i64,
    customer_id: i64,
    kind: String,
    /// How it is sent.
    #[schema(example = "email")]
    channel: &'static str,
    subject: String,
    body: String,
    /// `queued`, `sent` or `failed`.
    state: String,
    attempts: i64,
    /// The notification that this repeats.
    resend_of: Option<i64>,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Preferences {
    /// Mails about one's own orders.
    #[garde(skip)]
    order_updates: bool,
    /// Mails that sell something.
    #[garde(skip)]
    marketing: bool,
}

/// List what a customer was told, newest first.
#[utoipa::path(tag = "notifications", params(("id" = i64, Path), PageQuery), security(("session" = [])), responses(
    (status = 200, body = Page<Notification>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/customers/{id}/notifications")]
async fn list_notifications(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(customer): Path<i64>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    own(&identity, customer)?;
    let (limit, before) = (page.limit()?, page.after::<i64>()?);
    let rows = port
        .db
        .read(move |conn| Ok::<_, Error>(store::of_customer(conn, customer, before, limit + 1)?))
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(rows, limit, |row| row.id).map(Notification::from)))
}

/// What a customer wants to be told.
#[utoipa::path(tag = "notifications", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 200, body = Preferences),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/customers/{id}/notification-preferences")]
async fn get_preferences(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(customer): Path<i64>,
) -> Result<HttpResponse, Problem> {
    own(&identity, customer)?;
    let wanted = port
        .db
        .read(move |conn| Ok::<_, Error>(store::preferences(conn, customer)?))
        .await?;
    Ok(HttpResponse::Ok().json(Preferences::from(wanted)))
}

/// Say what to be told.
#[utoipa::path(tag = "notifications", params(("id" = i64, Path)), request_body = Preferences, security(("session" = [])), responses(
    (status = 200, body = Preferences),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[put("/api/customers/{id}/notification-preferences")]
async fn set_preferences(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(customer): Path<i64>,
    Json(Preferences {
        order_updates,
        marketing,
    }): Json<Preferences>,
) -> Result<HttpResponse, Problem> {
    own(&identity, customer)?;
    let wanted = model::Preferences {
        order_updates,
        marketing,
    };
    port.db
        .write(move |conn| Ok::<_, Error>(store::set_preferences(conn, customer, wanted)?))
        .await?;
    Ok(HttpResponse::Ok().json(Preferences::from(wanted)))
}

/// Get a notification.
#[utoipa::path(tag = "notifications", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 200, body = Notification),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/notifications/{id}")]
async fn get_notification(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, id)?))
        .await?;
    let seen = found
        .filter(|row| identity.may_see(Some(row.customer_id)))
        .ok_or(Error::NotFound(id))?;
    Ok(HttpResponse::Ok().json(Notification::from(seen)))
}

/// Send a notification once more.
#[utoipa::path(tag = "notifications", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 202, description = "Queued", body = Notification, headers(("Location" = String))),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/notifications/{id}/resend")]
async fn resend(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    let copy = port
        .db
        .write(move |conn| {
            let original = store::find(conn, id)?.filter(|row| identity.may_see(Some(row.customer_id)));
            let original = original.ok_or(Error::NotFound(id))?;
            let copy = store::insert(conn, store::New::again(&original))?;
            store::find(conn, copy)?.ok_or(Error::NotFound(copy))
        })
        .await?;
    port.mails.notify_one();
    let location = format!("/api/notifications/{}", copy.id);
    Ok(HttpResponse::Accepted()
        .insert_header(("location", location))
        .json(Notification::from(copy)))
}

/// To others than itself and staff, a customer does not exist.
fn own(identity: &Identity, customer: i64) -> Result<(), Problem> {
    if identity.may_see(Some(customer)) {
        return Ok(());
    }
    Err(Problem::not_found(format!("There is no customer {customer}.")))
}

impl From<model::Notification> for Notification {
    fn from(row: model::Notification) -> Self {
        Self {
            id: row.id,
            customer_id: row.customer_id,
            kind: row.kind,
            channel: "email",
            subject: row.subject,
            body: row.body,
            state: row.state,
            attempts: row.attempts,
            resend_of: row.resend_of,
            created_at: utc(row.created_at),
            sent_at: row.sent_at.map(utc),
        }
    }
}

impl From<model::Preferences> for Preferences {
    fn from(wanted: model::Preferences) -> Self {
        Self {
            order_updates: wanted.order_updates,
            marketing: wanted.marketing,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(_) | Error::NoWebhook(_) => Self::not_found(error.to_string()),
            Error::Database(error) => error.into(),
        }
    }
}
