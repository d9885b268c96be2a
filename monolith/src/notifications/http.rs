//! Notifications over HTTP: what a customer was told and wants to be told, and webhooks for staff.

use actix_web::{HttpResponse, delete, get, post, put, web};
use chassis::auth::Identity;
use chassis::extract::{Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use rand::Rng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::store::webhooks::Subscription;
use super::{Error, Notifications, model, store};

/// Adds the routes of the notifications module.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_notifications)
        .service(get_preferences)
        .service(set_preferences)
        .service(get_notification)
        .service(resend)
        .service(list_webhooks)
        .service(create_webhook)
        .service(get_webhook)
        .service(delete_webhook);
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

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateWebhook {
    /// Where events go: http or https.
    #[garde(url, custom(is_http), length(max = 2000))]
    url: String,
    /// Which events: `order.confirmed`, `order.cancelled`, `order.shipped`, `payment.refunded`.
    #[garde(length(min = 1, max = 20), inner(custom(is_event)))]
    events: Vec<String>,
    /// What deliveries are signed with; made here if absent. It is never shown again.
    #[garde(length(min = 16, max = 200))]
    secret: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Webhook {
    id: i64,
    url: String,
    events: Vec<String>,
    created_at: DateTime<Utc>,
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
            let copy = store::resend(conn, &original.ok_or(Error::NotFound(id))?)?;
            store::find(conn, copy)?.ok_or(Error::NotFound(copy))
        })
        .await?;
    port.wake.notify_one();
    let location = format!("/api/notifications/{}", copy.id);
    Ok(HttpResponse::Accepted()
        .insert_header(("location", location))
        .json(Notification::from(copy)))
}

/// List webhooks.
#[utoipa::path(tag = "notifications", params(PageQuery), security(("session" = [])), responses(
    (status = 200, body = Page<Webhook>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/webhooks")]
async fn list_webhooks(
    port: web::Data<Notifications>,
    identity: Identity,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let (limit, after) = (page.limit()?, page.after::<i64>()?);
    let rows = port
        .db
        .read(move |conn| Ok::<_, Error>(store::webhooks::list(conn, after, limit + 1)?))
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(rows, limit, |row| row.id).map(Webhook::from)))
}

/// Subscribe to events.
#[utoipa::path(tag = "notifications", request_body = CreateWebhook, security(("session" = [])), responses(
    (status = 201, body = Webhook, headers(("Location" = String))),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/webhooks")]
async fn create_webhook(
    port: web::Data<Notifications>,
    identity: Identity,
    Json(CreateWebhook { url, events, secret }): Json<CreateWebhook>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let secret = secret.unwrap_or_else(random_secret);
    let made = port
        .db
        .write(move |conn| Ok::<_, Error>(store::webhooks::insert(conn, &url, &events, &secret)?))
        .await?;
    let location = format!("/api/webhooks/{}", made.id);
    Ok(HttpResponse::Created()
        .insert_header(("location", location))
        .json(Webhook::from(made)))
}

/// Get a webhook.
#[utoipa::path(tag = "notifications", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 200, body = Webhook),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/webhooks/{id}")]
async fn get_webhook(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(store::webhooks::find(conn, id)?))
        .await?;
    Ok(HttpResponse::Ok().json(Webhook::from(found.ok_or(Error::NoWebhook(id))?)))
}

/// End a subscription.
#[utoipa::path(tag = "notifications", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 204, description = "Ended"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[delete("/api/webhooks/{id}")]
async fn delete_webhook(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let was_there = port
        .db
        .write(move |conn| Ok::<_, Error>(store::webhooks::delete(conn, id)?))
        .await?;
    if was_there {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(Error::NoWebhook(id).into())
    }
}

/// To others than itself and staff, a customer does not exist.
fn own(identity: &Identity, customer: i64) -> Result<(), Problem> {
    if identity.may_see(Some(customer)) {
        return Ok(());
    }
    Err(Problem::not_found(format!("There is no customer {customer}.")))
}

fn is_http(url: &str, _: &()) -> garde::Result {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err(garde::Error::new("must begin with http:// or https://"))
}

fn is_event(name: &str, _: &()) -> garde::Result {
    let known = [
        "order.confirmed",
        "order.cancelled",
        "order.shipped",
        "payment.refunded",
    ];
    if known.contains(&name) {
        return Ok(());
    }
    Err(garde::Error::new(format!("must be one of {}", known.join(", "))))
}

fn random_secret() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
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

impl From<Subscription> for Webhook {
    fn from(row: Subscription) -> Self {
        let events = row.events.split(' ').map(str::to_owned).collect();
        Self {
            id: row.id,
            url: row.url,
            events,
            created_at: utc(row.created_at),
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
