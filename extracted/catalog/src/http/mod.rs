//! The catalog over HTTP: its routes, and how its errors are told. Bodies and parameters stand in `wire`, entity tags
//! and preconditions in `conditional`, who may write in `writer`.

mod conditional;
mod wire;
mod writer;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put, web};
use chassis::extract::{Json, JsonBytes, Path, Query, idempotency_key, idempotency_key_reused};
use chassis::page::{Page, PageQuery};
use chassis::problem::Problem;
use handover::gate::Written;
use handover::wire::{DATA_POSITION, Position};
use sha2::{Digest, Sha256};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::model::{self, entity_tag};
use crate::store::keys::{FirstAnswer, Key};
use crate::{Catalog, Error, store};
use conditional::{if_match, none_match};
use wire::{
    Category, CreateProduct, ListProducts, NotThisProduct, NotThisWrite, Product, ReplaceProduct, SetPrice,
    UnreadableBody, UnreadableParameter,
};
use writer::Writer;

/// Adds the routes of the catalog.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list_products)
        .service(create_product)
        .service(get_product)
        .service(replace_product)
        .service(delete_product)
        .service(set_price)
        .service(list_categories);
}

/// List products, by SKU.
#[utoipa::path(tag = "catalog", params(ListProducts, PageQuery), responses(
    (status = 200, body = Page<Product>), UnreadableParameter,
))]
#[get("/api/products")]
async fn list_products(
    catalog: web::Data<Catalog>,
    Query(query): Query<ListProducts>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (page.limit()?, page.after::<String>()?);
    let filter = query.filter()?;
    // One more than asked for tells whether there is a next page.
    let wanted = usize::try_from(limit).unwrap_or_default() + 1;
    let read = move |conn: &mut _| Ok::<_, Error>(store::list(conn, &filter, after, wanted)?);
    let found = catalog.read(read).await?;
    let page = Page::of(found, limit, |product| product.sku.clone());
    Ok(HttpResponse::Ok().json(page.map(Product::from)))
}

/// Add a product.
///
/// The same `Idempotency-Key` with the same body gives the first answer again and adds nothing, for 24 hours; with another body it is
/// refused (422). A create that was refused keeps no key.
#[utoipa::path(tag = "catalog", params(("Idempotency-Key" = Option<String>, Header)), request_body = CreateProduct,
    security(("session" = [])), responses(
    (status = 201, body = Product, headers(("ETag" = String), ("Location" = String))),
    (status = 409, description = "The SKU is taken", body = Problem, content_type = "application/problem+json"),
    NotThisWrite, UnreadableBody,
))]
#[post("/api/products")]
async fn create_product(
    catalog: web::Data<Catalog>,
    writer: Writer,
    request: HttpRequest,
    JsonBytes(body, bytes): JsonBytes<CreateProduct>,
) -> Result<HttpResponse, Problem> {
    writer.require_staff()?;
    let key = idempotency_key(&request)?.map(|key| Key {
        scope: writer.key_scope(),
        key,
        body_hash: hash(&bytes),
    });
    let (sku, details) = body.split();
    let create = move |conn: &mut _| match key
        .as_ref()
        .map(|key| store::keys::claim(conn, key))
        .transpose()?
        .flatten()
    {
        Some(first) => Ok::<_, Error>((first, true)),
        None => {
            let answer = first_answer(store::create(conn, &sku, &details)?)?;
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
fn first_answer(created: model::Product) -> Result<FirstAnswer, Error> {
    let (location, etag) = (
        format!("/api/products/{}", created.sku.replace(' ', "%20")),
        entity_tag(created.version),
    );
    let body = serde_json::to_string(&Product::from(created)).map_err(|error| {
        chassis::db::Error::from(diesel::result::Error::SerializationError(Box::new(error)))
    })?;
    Ok(FirstAnswer { location, etag, body })
}

fn hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// Says where a write stands in the history of the module's data, if that is known.
fn positioned(answer: &mut actix_web::HttpResponseBuilder, position: Option<Position>) {
    if let Some(position) = position {
        answer.insert_header((DATA_POSITION, position.to_string()));
    }
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
    let product = catalog.read(move |conn| store::find(conn, &sku)).await?;
    let tag = entity_tag(product.version);
    if none_match(request.headers(), &tag) {
        return Ok(with_product(HttpResponse::Ok(), product));
    }
    Ok(HttpResponse::NotModified()
        .insert_header((header::ETAG, tag))
        .finish())
}

/// Replace a product.
#[utoipa::path(tag = "catalog", request_body = ReplaceProduct, security(("session" = [])),
    params(("sku" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 200, body = Product, headers(("ETag" = String))), NotThisWrite, NotThisProduct, UnreadableBody,
))]
#[put("/api/products/{sku}")]
async fn replace_product(
    catalog: web::Data<Catalog>,
    writer: Writer,
    request: HttpRequest,
    Path(sku): Path<String>,
    Json(body): Json<ReplaceProduct>,
) -> Result<HttpResponse, Problem> {
    writer.require_staff()?;
    let (details, precondition) = (model::Details::from(body), if_match(request.headers()));
    let replaced = catalog
        .gate
        .write(move |conn| store::replace(conn, &sku, &details, &precondition))
        .await?;
    Ok(written(replaced))
}

/// Delete a product.
#[utoipa::path(tag = "catalog", security(("session" = [])),
    params(("sku" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 204, description = "Gone"), NotThisWrite, NotThisProduct,
))]
#[delete("/api/products/{sku}")]
async fn delete_product(
    catalog: web::Data<Catalog>,
    writer: Writer,
    request: HttpRequest,
    Path(sku): Path<String>,
) -> Result<HttpResponse, Problem> {
    writer.require_staff()?;
    let precondition = if_match(request.headers());
    let deleted = catalog
        .gate
        .write(move |conn| store::delete(conn, &sku, &precondition))
        .await?;
    let mut answer = HttpResponse::NoContent();
    positioned(&mut answer, deleted.position);
    Ok(answer.finish())
}

/// Change the price of a product; the old one goes into its price history.
#[utoipa::path(tag = "catalog", request_body = SetPrice, security(("session" = [])),
    params(("sku" = String, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 200, body = Product, headers(("ETag" = String))), NotThisWrite, NotThisProduct, UnreadableBody,
))]
#[put("/api/products/{sku}/price")]
async fn set_price(
    catalog: web::Data<Catalog>,
    writer: Writer,
    request: HttpRequest,
    Path(sku): Path<String>,
    Json(SetPrice { price }): Json<SetPrice>,
) -> Result<HttpResponse, Problem> {
    writer.require_staff()?;
    let precondition = if_match(request.headers());
    let priced = catalog
        .gate
        .write(move |conn| store::set_price(conn, &sku, &price, &precondition))
        .await?;
    Ok(written(priced))
}

/// List the categories that hold products, by slug.
#[utoipa::path(tag = "catalog", params(PageQuery), responses(
    (status = 200, body = Page<Category>), UnreadableParameter,
))]
#[get("/api/categories")]
async fn list_categories(
    catalog: web::Data<Catalog>,
    Query(page): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, after) = (page.limit()?, page.after::<String>()?);
    let read = move |conn: &mut _| Ok::<_, Error>(store::categories(conn, after.as_deref(), limit + 1)?);
    let found = catalog.read(read).await?;
    let page = Page::of(found, limit, |category| category.slug.clone());
    Ok(HttpResponse::Ok().json(page.map(Category::from)))
}

/// The answer to a change of a product.
fn written(changed: Written<model::Product>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    positioned(&mut answer, changed.position);
    with_product(answer, changed.value)
}

/// Finishes an answer with a product and its entity tag.
fn with_product(mut answer: actix_web::HttpResponseBuilder, product: model::Product) -> HttpResponse {
    answer
        .insert_header((header::ETAG, entity_tag(product.version)))
        .json(Product::from(product))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let told = error.to_string();
        match error {
            Error::NotFound(_) => Self::not_found(told),
            Error::SkuTaken(_) => Self::conflict("sku-taken", told),
            Error::Changed { .. } => Self::precondition_failed(told),
            Error::KeyReused => idempotency_key_reused(told),
            Error::Copying => Self::unavailable(told, 1),
            Error::NotHere(not_here) => not_here.into(),
            Error::Database(error) => error.into(),
        }
    }
}
