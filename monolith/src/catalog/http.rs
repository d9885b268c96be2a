//! The catalog over HTTP: its request and answer types, its routes, and how its errors are told.

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put, web};
use chassis::auth::Identity;
use chassis::extract::{Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{self, Expected, Filter, NewProduct, Status, words};
use super::{Catalog, Error, export, store};
use crate::money::Money;
use crate::sku::valid_sku;

/// Adds the routes of the catalog.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_products)
        .service(create_product)
        .service(get_product)
        .service(replace_product)
        .service(delete_product)
        .service(set_price)
        .service(list_categories)
        .map(export::routes);
}

#[derive(Serialize, ToSchema)]
struct Product {
    sku: String,
    name: String,
    description: String,
    /// The slug of the category.
    category: String,
    price: Money,
    status: ProductStatus,
    /// Counts the changes; the ETag is made of it.
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ProductStatus {
    #[default]
    Active,
    Discontinued,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateProduct {
    #[garde(custom(valid_sku))]
    sku: String,
    #[garde(length(chars, min = 1, max = 200))]
    name: String,
    #[garde(length(chars, max = 4000))]
    #[serde(default)]
    description: String,
    #[garde(custom(valid_slug))]
    category: String,
    #[garde(dive)]
    price: Money,
    #[garde(skip)]
    #[serde(default)]
    status: ProductStatus,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplaceProduct {
    #[garde(length(chars, min = 1, max = 200))]
    name: String,
    #[garde(length(chars, max = 4000))]
    #[serde(default)]
    description: String,
    #[garde(custom(valid_slug))]
    category: String,
    #[garde(dive)]
    price: Money,
    #[garde(skip)]
    #[serde(default)]
    status: ProductStatus,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetPrice {
    #[garde(dive)]
    price: Money,
}

#[derive(Serialize, ToSchema)]
struct Category {
    slug: String,
    name: String,
    /// How many products it holds.
    products: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListProducts {
    /// Words that SKU, name and description together must all hold; the last may be cut short.
    q: Option<String>,
    /// Slug of a category.
    category: Option<String>,
    /// Only products in this state.
    status: Option<ProductStatus>,
    /// Only these SKUs: up to 100, separated by commas.
    skus: Option<String>,
}

/// List products, by SKU.
#[utoipa::path(tag = "catalog", params(ListProducts, PageQuery), responses(
    (status = 200, body = Page<Product>),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/products")]
async fn list_products(
    catalog: web::Data<Catalog>,
    Query(query): Query<ListProducts>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (page.limit()?, page.after::<String>()?);
    let filter = filter(query)?;
    let found = catalog
        .db
        .read(move |conn| Ok::<_, Error>(store::list(conn, &filter, after.as_deref(), limit + 1)?))
        .await?;
    let page = Page::of(found, limit, |product| product.sku.clone()).map(Product::from);
    Ok(HttpResponse::Ok().json(page))
}

/// Add a product.
#[utoipa::path(tag = "catalog", request_body = CreateProduct, security(("session" = [])), responses(
    (status = 201, body = Product, headers(("ETag" = String), ("Location" = String))),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The SKU is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A value is not allowed", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/products")]
async fn create_product(
    catalog: web::Data<Catalog>,
    identity: Identity,
    Json(body): Json<CreateProduct>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let CreateProduct {
        sku,
        name,
        description,
        category,
        price,
        status,
    } = body;
    let new = NewProduct {
        name,
        description,
        category,
        price,
        status: status.into(),
    };
    let created = catalog
        .db
        .write(move |conn| store::create(conn, &sku, &new))
        .await?;
    let location = format!("/api/products/{}", created.sku.replace(' ', "%20"));
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, etag(created.version)))
        .json(Product::from(created)))
}

/// Get a product.
#[utoipa::path(tag = "catalog", params(("sku" = String, Path), ("If-None-Match" = Option<String>, Header)), responses(
    (status = 200, body = Product, headers(("ETag" = String))),
    (status = 304, description = "Still at the version of If-None-Match"),
    (status = 404, description = "No such product", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/products/{sku}")]
async fn get_product(
    catalog: web::Data<Catalog>,
    request: HttpRequest,
    Path(sku): Path<String>,
) -> Result<HttpResponse, Problem> {
    let wanted = sku.clone();
    let found = catalog
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, &wanted)?))
        .await?;
    let product = found.ok_or(Error::NotFound(sku))?;
    let etag = etag(product.version);
    if lists(request.headers(), &header::IF_NONE_MATCH, &etag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, etag))
            .finish());
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, etag))
        .json(Product::from(product)))
}

/// Replace a product.
#[utoipa::path(tag = "catalog", request_body = ReplaceProduct, security(("session" = [])),
    params(("sku" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 200, body = Product, headers(("ETag" = String))),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such product", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Not at the version of If-Match", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A value is not allowed", body = Problem, content_type = "application/problem+json"),
))]
#[put("/api/products/{sku}")]
async fn replace_product(
    catalog: web::Data<Catalog>,
    identity: Identity,
    request: HttpRequest,
    Path(sku): Path<String>,
    Json(body): Json<ReplaceProduct>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let expected = expected(request.headers());
    let ReplaceProduct {
        name,
        description,
        category,
        price,
        status,
    } = body;
    let new = NewProduct {
        name,
        description,
        category,
        price,
        status: status.into(),
    };
    let product = catalog
        .db
        .write(move |conn| store::replace(conn, &sku, &new, &expected))
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, etag(product.version)))
        .json(Product::from(product)))
}

/// Delete a product.
#[utoipa::path(tag = "catalog", security(("session" = [])),
    params(("sku" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 204, description = "Gone"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such product", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Not at the version of If-Match", body = Problem, content_type = "application/problem+json"),
))]
#[delete("/api/products/{sku}")]
async fn delete_product(
    catalog: web::Data<Catalog>,
    identity: Identity,
    request: HttpRequest,
    Path(sku): Path<String>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let expected = expected(request.headers());
    catalog
        .db
        .write(move |conn| store::delete(conn, &sku, &expected))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Change the price of a product; the old one goes into its price history.
#[utoipa::path(tag = "catalog", request_body = SetPrice, security(("session" = [])),
    params(("sku" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 200, body = Product, headers(("ETag" = String))),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such product", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "Not at the version of If-Match", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A value is not allowed", body = Problem, content_type = "application/problem+json"),
))]
#[put("/api/products/{sku}/price")]
async fn set_price(
    catalog: web::Data<Catalog>,
    identity: Identity,
    request: HttpRequest,
    Path(sku): Path<String>,
    Json(SetPrice { price }): Json<SetPrice>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let expected = expected(request.headers());
    let product = catalog
        .db
        .write(move |conn| store::set_price(conn, &sku, &price, &expected))
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, etag(product.version)))
        .json(Product::from(product)))
}

/// List the categories that hold products, by slug.
#[utoipa::path(tag = "catalog", params(PageQuery), responses(
    (status = 200, body = Page<Category>),
    (status = 400, description = "A parameter cannot be read", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/categories")]
async fn list_categories(
    catalog: web::Data<Catalog>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (page.limit()?, page.after::<String>()?);
    let rows = catalog
        .db
        .read(move |conn| Ok::<_, Error>(store::categories_in_use(conn, after.as_deref(), limit + 1)?))
        .await?;
    let page = Page::of(rows, limit, |(slug, _, _)| slug.clone());
    Ok(HttpResponse::Ok().json(page.map(|(slug, name, products)| Category { slug, name, products })))
}

/// Garde rule for the slug of a category.
fn valid_slug(slug: &str, _: &()) -> garde::Result {
    let letters = slug
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if letters && (1..=64).contains(&slug.len()) {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be 1 to 64 lower-case letters, digits or `-`",
    ))
}

fn filter(query: ListProducts) -> Result<Filter, Problem> {
    let skus = query
        .skus
        .map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
    if skus.as_ref().is_some_and(|skus| skus.len() > 100) {
        return Err(
            Problem::bad_request("A query parameter is too long.").field("skus", "must be at most 100 SKUs")
        );
    }
    let words = words(&query.q.unwrap_or_default());
    if words.len() > 10 {
        return Err(
            Problem::bad_request("A query parameter is too long.").field("q", "must be at most 10 words")
        );
    }
    Ok(Filter {
        words,
        category: query.category,
        status: query.status.map(Status::from),
        skus,
    })
}

/// The entity tag of a version (RFC 9110, section 8.8.3).
fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// Whether the header lists this entity tag, weakly compared, or `*`.
fn lists(headers: &HeaderMap, name: &header::HeaderName, etag: &str) -> bool {
    tags(headers, name).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn tags<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

/// What `If-Match` asks for. Weak tags never match strongly, so they are left out.
fn expected(headers: &HeaderMap) -> Expected {
    if !headers.contains_key(header::IF_MATCH) || tags(headers, &header::IF_MATCH).any(|tag| tag == "*") {
        return Expected::Any;
    }
    let version = |tag: &str| tag.strip_prefix("\"v")?.strip_suffix('"')?.parse().ok();
    Expected::OneOf(tags(headers, &header::IF_MATCH).filter_map(version).collect())
}

impl From<model::Product> for Product {
    fn from(product: model::Product) -> Self {
        Self {
            sku: product.sku,
            name: product.name,
            description: product.description,
            category: product.category,
            price: product.price,
            status: product.status.into(),
            version: product.version,
            created_at: utc(product.created_at),
            updated_at: utc(product.updated_at),
        }
    }
}

impl From<Status> for ProductStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Discontinued => Self::Discontinued,
        }
    }
}

impl From<ProductStatus> for Status {
    fn from(status: ProductStatus) -> Self {
        match status {
            ProductStatus::Active => Self::Active,
            ProductStatus::Discontinued => Self::Discontinued,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(_) => Self::not_found(error.to_string()),
            Error::SkuTaken(_) => Self::conflict("sku-taken", error.to_string()),
            Error::Changed { .. } => Self::precondition_failed(error.to_string()),
            Error::Remote(_) | Error::RemoteStatus(_) => {
                tracing::warn!(error = ?error, "the catalog service cannot be used");
                Self::unavailable("The catalog service does not answer.", 1)
            }
            Error::Database(error) => error.into(),
        }
    }
}
