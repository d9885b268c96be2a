//! The catalog over HTTP: its routes, and how its errors are told. Bodies and parameters stand in `types`, entity tags and
//! preconditions in `conditional`.

mod conditional;
mod types;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put, web};
use chassis::auth::Identity;
use chassis::extract::{Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::NewProduct;
use super::{Catalog, Error, export, store};
use conditional::{etag, expected, lists};
use types::{Category, CreateProduct, ListProducts, Product, ReplaceProduct, SetPrice, filter};

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
    let (sku, new) = body.split();
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
    let new = NewProduct::from(body);
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
