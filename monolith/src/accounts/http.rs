//! Accounts over HTTP: customers, their addresses, and sessions.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chassis::auth::{Claims, Identity, Role};
use chassis::extract::{Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::country::known_country;
use super::{Accounts, Error, password, store};
use crate::notifications::{Kind, Notice};

/// Adds the routes of the accounts module.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create_customer)
        .service(get_customer)
        .service(change_customer)
        .service(delete_customer)
        .service(list_addresses)
        .service(create_address)
        .service(delete_address)
        .service(begin_session)
        .service(end_session);
}

#[derive(Serialize, ToSchema)]
struct Customer {
    id: i64,
    email: String,
    name: String,
    /// Counts the changes.
    version: i64,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateCustomer {
    #[garde(email, length(max = 254))]
    email: String,
    #[garde(length(chars, min = 1, max = 200))]
    name: String,
    #[garde(length(chars, min = 8, max = 200))]
    password: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeCustomer {
    #[garde(inner(email, length(max = 254)))]
    email: Option<String>,
    #[garde(inner(length(chars, min = 1, max = 200)))]
    name: Option<String>,
    /// A new password ends all sessions.
    #[garde(inner(length(chars, min = 8, max = 200)))]
    password: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Address {
    id: i64,
    line1: String,
    line2: Option<String>,
    city: String,
    postcode: Option<String>,
    country: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateAddress {
    #[garde(length(chars, min = 1, max = 200))]
    line1: String,
    #[garde(inner(length(chars, max = 200)))]
    line2: Option<String>,
    #[garde(length(chars, min = 1, max = 200))]
    city: String,
    #[garde(inner(length(chars, max = 20)))]
    postcode: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[garde(custom(known_country))]
    country: String,
}

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

/// Open an account.
#[utoipa::path(tag = "accounts", request_body = CreateCustomer, responses(
    (status = 201, body = Customer, headers(("Location" = String))),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/customers")]
async fn create_customer(
    port: web::Data<Accounts>,
    Json(CreateCustomer {
        email,
        name,
        password,
    }): Json<CreateCustomer>,
) -> Result<HttpResponse, Problem> {
    let hash = password::hash(password).await?;
    let accounts = port.get_ref().clone();
    let customer = port
        .db
        .write(move |conn| {
            let customer = store::insert(conn, &email, &name, &hash)?;
            accounts.notifications.enqueue(conn, &welcome(&customer))?;
            Ok::<_, Error>(customer)
        })
        .await?;
    let location = format!("/api/customers/{}", customer.id);
    Ok(HttpResponse::Created()
        .insert_header(("location", location))
        .json(Customer::from(customer)))
}

/// Get a customer.
#[utoipa::path(tag = "accounts", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 200, body = Customer),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/customers/{id}")]
async fn get_customer(
    port: web::Data<Accounts>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    own(&identity, id)?;
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, id)?))
        .await?;
    Ok(HttpResponse::Ok().json(Customer::from(found.ok_or(Error::NoCustomer(id))?)))
}

/// Change what is given of a customer.
#[utoipa::path(tag = "accounts", params(("id" = i64, Path)), request_body = ChangeCustomer, security(("session" = [])), responses(
    (status = 200, body = Customer),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[patch("/api/customers/{id}")]
async fn change_customer(
    port: web::Data<Accounts>,
    identity: Identity,
    Path(id): Path<i64>,
    Json(ChangeCustomer {
        email,
        name,
        password,
    }): Json<ChangeCustomer>,
) -> Result<HttpResponse, Problem> {
    own(&identity, id)?;
    let password_hash = match password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    };
    let change = store::Change {
        email,
        name,
        password_hash,
    };
    let customer = port
        .db
        .write(move |conn| store::change(conn, id, &change))
        .await?;
    Ok(HttpResponse::Ok().json(Customer::from(customer)))
}

/// Close an account. Its orders stay, but nobody's name is on them any more.
#[utoipa::path(tag = "accounts", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = 204, description = "Closed"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[delete("/api/customers/{id}")]
async fn delete_customer(
    port: web::Data<Accounts>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    own(&identity, id)?;
    port.db.write(move |conn| store::delete(conn, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List a customer's addresses.
#[utoipa::path(tag = "accounts", params(("id" = i64, Path), PageQuery), security(("session" = [])), responses(
    (status = 200, body = Page<Address>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/customers/{id}/addresses")]
async fn list_addresses(
    port: web::Data<Accounts>,
    identity: Identity,
    Path(id): Path<i64>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    own(&identity, id)?;
    let (limit, after) = (page.limit()?, page.after::<i64>()?);
    let rows = port
        .db
        .read(move |conn| {
            store::find(conn, id)?.ok_or(Error::NoCustomer(id))?;
            Ok::<_, Error>(store::addresses_of(conn, id, after, limit + 1)?)
        })
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(rows, limit, |row| row.id).map(Address::from)))
}

/// Add an address.
#[utoipa::path(tag = "accounts", params(("id" = i64, Path)), request_body = CreateAddress, security(("session" = [])), responses(
    (status = 201, body = Address, headers(("Location" = String))),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/customers/{id}/addresses")]
async fn create_address(
    port: web::Data<Accounts>,
    identity: Identity,
    Path(id): Path<i64>,
    Json(body): Json<CreateAddress>,
) -> Result<HttpResponse, Problem> {
    own(&identity, id)?;
    let CreateAddress {
        line1,
        line2,
        city,
        postcode,
        country,
    } = body;
    let new = store::Address {
        id: 0,
        line1,
        line2,
        city,
        postcode,
        country,
    };
    let address = port
        .db
        .write(move |conn| store::insert_address(conn, id, &new))
        .await?;
    let location = format!("/api/customers/{id}/addresses/{}", address.id);
    Ok(HttpResponse::Created()
        .insert_header(("location", location))
        .json(Address::from(address)))
}

/// Remove an address.
#[utoipa::path(tag = "accounts", params(("id" = i64, Path), ("address_id" = i64, Path)), security(("session" = [])), responses(
    (status = 204, description = "Removed"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[delete("/api/customers/{id}/addresses/{address_id}")]
async fn delete_address(
    port: web::Data<Accounts>,
    identity: Identity,
    Path((id, address)): Path<(i64, i64)>,
) -> Result<HttpResponse, Problem> {
    own(&identity, id)?;
    port.db
        .write(move |conn| store::delete_address(conn, id, address))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Log in.
#[utoipa::path(tag = "accounts", request_body = BeginSession, responses(
    (status = 201, body = Session),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/sessions")]
async fn begin_session(
    port: web::Data<Accounts>,
    Json(BeginSession { email, password }): Json<BeginSession>,
) -> Result<HttpResponse, Problem> {
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(store::login(conn, &email)?))
        .await?;
    let (customer, hash) = found.map_or((None, None), |(id, hash)| (Some(id), hash));
    let known = password::verify(password, hash).await?;
    let customer = customer.filter(|_| known).ok_or(Error::WrongCredentials)?;
    let ttl = port.session_ttl_s;
    let session = port
        .db
        .write(move |conn| Ok::<_, Error>(store::begin_session(conn, customer, ttl)?))
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
async fn end_session(port: web::Data<Accounts>, identity: Identity) -> Result<HttpResponse, Problem> {
    let session = identity.0.sid.ok_or(Error::NoSession)?;
    port.db
        .write(move |conn| Ok::<_, Error>(store::end_session(conn, session)?))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// To others than itself and staff, a customer does not exist.
fn own(identity: &Identity, customer: i64) -> Result<(), Error> {
    if identity.may_see(Some(customer)) {
        Ok(())
    } else {
        Err(Error::NoCustomer(customer))
    }
}

fn welcome(customer: &store::Customer) -> Notice {
    Notice {
        customer_id: customer.id,
        email: customer.email.clone(),
        kind: Kind::CustomerWelcome,
        subject: "Welcome to the shop".to_owned(),
        body: format!("Dear {},\n\nyour account is open.\n", customer.name),
    }
}

impl From<store::Customer> for Customer {
    fn from(row: store::Customer) -> Self {
        let store::Customer {
            id,
            email,
            name,
            version,
            created_at,
        } = row;
        Self {
            id,
            email,
            name,
            version,
            created_at: utc(created_at),
        }
    }
}

impl From<store::Address> for Address {
    fn from(row: store::Address) -> Self {
        let store::Address {
            id,
            line1,
            line2,
            city,
            postcode,
            country,
        } = row;
        Self {
            id,
            line1,
            line2,
            city,
            postcode,
            country,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoCustomer(_) | Error::NoAddress(_) | Error::NoSession => {
                Self::not_found(error.to_string())
            }
            Error::EmailTaken => Self::conflict("email-taken", error.to_string()).field("email", "is taken"),
            Error::WrongCredentials => Self::unauthorized(error.to_string()),
            Error::Hash(_) | Error::Token(_) => Self::internal(&error),
            Error::Notifications(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
