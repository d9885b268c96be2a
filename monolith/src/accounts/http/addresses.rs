//! Addresses over HTTP.

use actix_web::{HttpResponse, delete, get, post, web};
use chassis::auth::Identity;
use chassis::extract::{Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::own;
use crate::accounts::country::known_country;
use crate::accounts::{Accounts, Error, store};

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

/// List a customer's addresses.
#[utoipa::path(tag = "accounts", params(("id" = i64, Path), PageQuery), security(("session" = [])), responses(
    (status = 200, body = Page<Address>),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/customers/{id}/addresses")]
pub(super) async fn list_addresses(
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
pub(super) async fn create_address(
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
pub(super) async fn delete_address(
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
