//! The catalog over HTTP: its routes, and how its errors are told. Bodies and parameters stand in `types`, entity tags and
//! preconditions in `conditional`.

mod conditional;
mod types;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, delete, get, post, put, web};
use chassis::auth::Identity;
use chassis::extract::{Json, JsonBytes, Path, Query, idempotency_key, idempotency_key_reused};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use handover::gate::Written;
use handover::wire::{DATA_POSITION, Position};
use sha2::{Digest, Sha256};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::NewProduct;
use super::store::keys::{FirstAnswer, Key};
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
        .read(move |conn| Ok::<_, Error>(store::list(conn, &filter, after.as_deref(), limit + 1)?))
        .await?;
    let page = Page::of(found, limit, |product| product.sku.clone()).map(Product::from);
    Ok(HttpResponse::Ok().json(page))
}

/// Add a product.
///
/// The same `Idempotency-Key` with the same body gives the first answer again and adds nothing, for 24 hours; with another body it is
/// refused (422). A create that was refused keeps no key.
#[utoipa::path(tag = "catalog", params(("Idempotency-Key" = Option<String>, Header)), request_body = CreateProduct,
    security(("session" = [])), responses(
    (status = 201, body = Product, headers(("ETag" = String), ("Location" = String))),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 421, description = "Another process owns the catalog; nothing happened", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The SKU is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A value is not allowed", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/products")]
async fn create_product(
    catalog: web::Data<Catalog>,
    identity: Identity,
    request: HttpRequest,
    JsonBytes(body, bytes): JsonBytes<CreateProduct>,
) -> Result<HttpResponse, Problem> {
    identity.require_staff()?;
    let key = idempotency_key(&request)?.map(|key| Key {
        scope: identity.key_scope(),
        key,
        body_hash: hex::encode(Sha256::digest(&bytes)),
    });
    let (sku, new) = body.split();
    let create = move |conn: &mut _| match key
        .as_ref()
        .map(|key| store::keys::claim(conn, key))
        .transpose()?
        .flatten()
    {
        Some(first) => Ok::<_, Error>((first, true)),
        None => {
            let answer = first_answer(store::create(conn, &sku, &new)?)?;
            key.iter()
                .try_for_each(|key| store::keys::keep(conn, key, &answer))?;
            Ok((answer, false))
        }
    };
    let Written {
        value: (first, is_again),
        position,
    } = catalog.gate.write(create).await?;
    let mut answer = HttpResponse::Created();
    answer
        .insert_header((header::LOCATION, first.location))
        .insert_header((header::ETAG, first.etag));
    if is_again {
        answer.insert_header(("idempotency-replayed", "true"));
    }
    positioned(&mut answer, position);
    Ok(answer.content_type("application/json").body(first.body))
}

/// What a create answers, as it is kept.
fn first_answer(created: super::model::Product) -> Result<FirstAnswer, Error> {
    let (location, etag) = (
        format!("/api/products/{}", created.sku.replace(' ', "%20")),
        etag(created.version),
    );
    let body = serde_json::to_string(&Product::from(created)).map_err(|error| {
        chassis::db::Error::from(diesel::result::Error::SerializationError(Box::new(error)))
    })?;
    Ok(FirstAnswer { location, etag, body })
}

/// Says where a write stands in the history of the module's data, if that is known.
fn positioned(answer: &mut HttpResponseBuilder, position: Option<Position>) {
    if let Some(position) = position {
        answer.insert_header((DATA_POSITION, position.to_string()));
    }
}

/// The answer to a change of a product.
fn written(changed: Written<super::model::Product>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    positioned(&mut answer, changed.position);
    answer
        .insert_header((header::ETAG, etag(changed.value.version)))
        .json(Product::from(changed.value))
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
    (status = 421, description = "Another process owns the catalog; nothing happened", body = Problem, content_type = "application/problem+json"),
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
    let changed = catalog
        .gate
        .write(move |conn| store::replace(conn, &sku, &new, &expected))
        .await?;
    Ok(written(changed))
}

/// Delete a product.
#[utoipa::path(tag = "catalog", security(("session" = [])),
    params(("sku" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 204, description = "Gone"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 421, description = "Another process owns the catalog; nothing happened", body = Problem, content_type = "application/problem+json"),
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
    let deleted = catalog
        .gate
        .write(move |conn| store::delete(conn, &sku, &expected))
        .await?;
    let mut answer = HttpResponse::NoContent();
    positioned(&mut answer, deleted.position);
    Ok(answer.finish())
}

/// Change the price of a product; the old one goes into its price history.
#[utoipa::path(tag = "catalog", request_body = SetPrice, security(("session" = [])),
    params(("sku" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 200, body = Product, headers(("ETag" = String))),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "Not staff", body = Problem, content_type = "application/problem+json"),
    (status = 421, description = "Another process owns the catalog; nothing happened", body = Problem, content_type = "application/problem+json"),
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
    let changed = catalog
        .gate
        .write(move |conn| store::set_price(conn, &sku, &price, &expected))
        .await?;
    Ok(written(changed))
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
            Error::KeyReused => idempotency_key_reused(error.to_string()),
            Error::NotHere(not_here) => not_here.into(),
            Error::Elsewhere => Self::new(
                StatusCode::MISDIRECTED_REQUEST,
                "not-the-owner",
                "Another process owns this data",
            )
            .detail(error.to_string()),
            Error::Copying => Self::unavailable(error.to_string(), 1),
            Error::Database(error) => error.into(),
        }
    }
}
