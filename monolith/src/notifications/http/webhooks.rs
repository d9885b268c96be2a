//! Webhooks over HTTP, for staff: who is told of which events. The secret goes in and never out.

use actix_web::{HttpResponse, delete, get, post, web};
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

use crate::notifications::store::webhooks::{self, Subscription};
use crate::notifications::{Error, Notifications};

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

/// List webhooks.
#[utoipa::path(tag = "notifications", params(PageQuery), security(("session" = [])), responses(
    (status = 200, body = Page<Webhook>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/webhooks")]
pub(super) async fn list_webhooks(
    port: web::Data<Notifications>,
    identity: Identity,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let (limit, after) = (page.limit()?, page.after::<i64>()?);
    let rows = port
        .db
        .read(move |conn| Ok::<_, Error>(webhooks::list(conn, after, limit + 1)?))
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(rows, limit, |row| row.id).map(Webhook::from)))
}

/// Subscribe to events.
///
/// Each is sent by POST as `{"id", "type", "created", "data"}` with the header
/// `banyan-signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">`, again and again until the answer is 2xx, and
/// so perhaps more than once: `id` tells a repetition. A receiver should refuse a signature that is older than 5 minutes.
#[utoipa::path(tag = "notifications", request_body = CreateWebhook, security(("session" = [])), responses(
    (status = 201, body = Webhook, headers(("Location" = String))),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/webhooks")]
pub(super) async fn create_webhook(
    port: web::Data<Notifications>,
    identity: Identity,
    Json(CreateWebhook { url, events, secret }): Json<CreateWebhook>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let secret = secret.unwrap_or_else(random_secret);
    let made = port
        .db
        .write(move |conn| Ok::<_, Error>(webhooks::insert(conn, &url, &events, &secret)?))
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
pub(super) async fn get_webhook(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(webhooks::find(conn, id)?))
        .await?;
    Ok(HttpResponse::Ok().json(Webhook::from(found.ok_or(Error::NoWebhook(id))?)))
}

/// End a subscription.
#[utoipa::path(tag = "notifications", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 204, description = "Ended"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[delete("/api/webhooks/{id}")]
pub(super) async fn delete_webhook(
    port: web::Data<Notifications>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let was_there = port
        .db
        .write(move |conn| Ok::<_, Error>(webhooks::delete(conn, id)?))
        .await?;
    if was_there {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(Error::NoWebhook(id).into())
    }
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
