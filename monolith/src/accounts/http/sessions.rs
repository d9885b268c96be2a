//! Sessions over HTTP: logging in and out.

use actix_web::{HttpResponse, delete, post, web};
use chassis::auth::{Claims, Identity, Role};
use chassis::extract::Json;
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{Accounts, Error, password, store};

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct BeginSession {
    #[garde(length(max = 254))]
    email: String,
    #[garde(length(chars, max = 200))]
    password: String,
}

#[derive(Serialize, ToSchema)]
struct Session {
    /// For `Authorization: Bearer`.
    token: String,
    token_type: &'static str,
    expires_at: DateTime<Utc>,
    customer_id: i64,
}

/// Log in.
#[utoipa::path(tag = "accounts", request_body = BeginSession, responses(
    (status = 201, body = Session),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/sessions")]
pub(super) async fn begin_session(
    port: web::Data<Accounts>,
    Json(BeginSession { email, password }): Json<BeginSession>,
) -> Result<HttpResponse, Problem> {
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(store::login(conn, &email)?))
        .await?;
    let hash = found.as_ref().and_then(|login| login.password_hash.clone());
    let known = password::verify(password, hash).await?;
    let login = found.filter(|_| known).ok_or(Error::WrongCredentials)?;
    let (customer, ttl) = (login.customer_id, port.session_ttl_s);
    let session = port
        .db
        .write(move |conn| store::begin_session(conn, &login, ttl))
        .await?;
    let claims = Claims::starting_now(customer.to_string(), Role::Customer, Some(session), ttl);
    let token = port.issuer.sign(&claims).map_err(Error::from)?;
    let expires_at = DateTime::from_timestamp(claims.exp, 0).unwrap_or_default();
    Ok(HttpResponse::Created().json(Session {
        token,
        token_type: "Bearer",
        expires_at,
        customer_id: customer,
    }))
}

/// Log out.
#[utoipa::path(tag = "accounts", security(("session" = [])), responses(
    (status = 204, description = "Ended"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[delete("/api/sessions/current")]
pub(super) async fn end_session(
    port: web::Data<Accounts>,
    identity: Identity,
) -> Result<HttpResponse, Problem> {
    let session = identity.0.sid.ok_or(Error::NoSession)?;
    port.db
        .write(move |conn| Ok::<_, Error>(store::end_session(conn, session)?))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
