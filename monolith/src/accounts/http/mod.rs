//! Accounts over HTTP: customers, their addresses, and sessions.

mod addresses;
mod sessions;

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chassis::auth::Identity;
use chassis::extract::{Json, Path};
use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Accounts, Error, password, store};
use crate::notifications::{Kind, Notice};

/// Adds the routes of the accounts module.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create_customer)
        .service(get_customer)
        .service(change_customer)
        .service(delete_customer)
        .service(addresses::list_addresses)
        .service(addresses::create_address)
        .service(addresses::delete_address)
        .service(sessions::begin_session)
        .service(sessions::end_session);
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
        login: email.as_deref().map(str::to_lowercase),
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

/// Close an account. Its orders stay, but nobody's name is on them any more, and nothing is sent to it.
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
    let accounts = port.get_ref().clone();
    port.db
        .write(move |conn| {
            store::delete(conn, id)?;
            Ok::<_, Error>(accounts.notifications.forget(conn, id)?)
        })
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
