//! The carts over HTTP: their routes, and how their errors are told. Bodies stand in `types`.

mod types;

use actix_web::http::header;
use actix_web::{HttpResponse, delete, get, post, put, web};
use chassis::auth::Identity;
use chassis::extract::{Json, Path};
use chassis::problem::{FieldError, Problem};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{self, State};
use super::{Carts, Error, store};
use types::{Cart, NewCart, PutItem};

/// Adds the routes of the carts.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create_cart)
        .service(get_cart)
        .service(put_item)
        .service(remove_item);
}

/// Open a cart.
#[utoipa::path(tag = "carts", request_body = NewCart, security(("session" = [])), responses(
    (status = 201, body = Cart, headers(("Location" = String))),
    (status = 400, description = "The body cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "A cart for somebody else", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A value is not allowed", body = Problem, content_type = "application/problem+json"),
))]
#[post("/api/carts")]
async fn create_cart(
    carts: web::Data<Carts>,
    identity: Identity,
    Json(body): Json<NewCart>,
) -> Result<HttpResponse, Problem> {
    let customer = whose(&identity, &body)?;
    let cart = carts
        .db
        .write(move |conn| Ok::<_, Error>(store::create(conn, customer)?))
        .await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/carts/{}", cart.id)))
        .json(Cart::shown(&cart, Vec::new())))
}

/// Get a cart, at the prices of this moment.
#[utoipa::path(tag = "carts", security(("session" = [])), params(("id" = i64, Path)), responses(
    (status = 200, body = Cart),
    (status = 400, description = "The id is no number", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such cart", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The catalog cannot be asked", body = Problem, content_type = "application/problem+json"),
))]
#[get("/api/carts/{id}")]
async fn get_cart(
    carts: web::Data<Carts>,
    identity: Identity,
    Path(id): Path<i64>,
) -> Result<HttpResponse, Problem> {
    let cart = visible(&carts, &identity, id).await?;
    Ok(HttpResponse::Ok().json(shown(&carts, cart).await?))
}

/// Put so many units of a product into a cart, in the place of those that it held.
#[utoipa::path(tag = "carts", request_body = PutItem, security(("session" = [])),
    params(("id" = i64, Path), ("sku" = String, Path)), responses(
    (status = 200, body = Cart),
    (status = 400, description = "The body or the id cannot be read", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such cart", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The cart was ordered, the product is discontinued or in another currency", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "No such product, or a value is not allowed", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The catalog cannot be asked", body = Problem, content_type = "application/problem+json"),
))]
#[put("/api/carts/{id}/items/{sku}")]
async fn put_item(
    carts: web::Data<Carts>,
    identity: Identity,
    Path((id, sku)): Path<(i64, String)>,
    Json(PutItem { quantity }): Json<PutItem>,
) -> Result<HttpResponse, Problem> {
    let cart = visible(&carts, &identity, id).await?;
    if cart.state == State::Ordered {
        return Err(Error::Ordered(id).into());
    }
    let found = carts.catalog.product(sku.clone()).await?;
    let product = found.ok_or_else(|| Error::NoProduct(sku.clone()))?;
    if !product.on_sale {
        return Err(Error::Discontinued(sku).into());
    }
    let changed = carts
        .db
        .write(move |conn| {
            store::put(conn, id, &product, quantity)?;
            store::find(conn, id)?.ok_or(Error::NoCart(id))
        })
        .await?;
    Ok(HttpResponse::Ok().json(shown(&carts, changed).await?))
}

/// Take a product out of a cart.
#[utoipa::path(tag = "carts", security(("session" = [])),
    params(("id" = i64, Path), ("sku" = String, Path)), responses(
    (status = 204, description = "It is out"),
    (status = 400, description = "The id is no number", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No session", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "No such cart, or not in it", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The cart was ordered", body = Problem, content_type = "application/problem+json"),
))]
#[delete("/api/carts/{id}/items/{sku}")]
async fn remove_item(
    carts: web::Data<Carts>,
    identity: Identity,
    Path((id, sku)): Path<(i64, String)>,
) -> Result<HttpResponse, Problem> {
    visible(&carts, &identity, id).await?;
    carts.db.write(move |conn| store::remove(conn, id, &sku)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whose cart is to be opened: staff says, a customer gets its own.
fn whose(identity: &Identity, body: &NewCart) -> Result<i64, Problem> {
    match (identity.customer(), body.customer_id) {
        (Some(own), None) => Ok(own),
        (own, Some(wanted)) if identity.may_see(Some(wanted)) => Ok(own.unwrap_or(wanted)),
        (_, Some(_)) => Err(Problem::forbidden("A customer opens carts for itself alone.")),
        (None, None) => Err(Problem::validation(vec![FieldError {
            field: "customer_id".to_owned(),
            message: "must say whose cart it is".to_owned(),
        }])),
    }
}

/// The cart, if it is there and this session may see it.
async fn visible(carts: &Carts, identity: &Identity, id: i64) -> Result<model::Cart, Problem> {
    let found = carts
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, id)?))
        .await?;
    let own = found.filter(|cart| identity.may_see(Some(cart.customer_id)));
    Ok(own.ok_or(Error::NoCart(id))?)
}

/// Asks the catalog for names and prices.
async fn shown(carts: &Carts, mut cart: model::Cart) -> Result<Cart, Problem> {
    let items = std::mem::take(&mut cart.items);
    if items.is_empty() {
        return Ok(Cart::shown(&cart, Vec::new()));
    }
    let skus = items.iter().map(|item| item.sku.clone()).collect();
    let products = carts.catalog.products(skus).await?;
    Ok(Cart::shown(&cart, model::price(items, &products)))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let told = error.to_string();
        match error {
            Error::NoCart(_) | Error::NotInCart { .. } => Self::not_found(told),
            Error::Ordered(_) => Self::conflict("cart-ordered", told),
            Error::NoProduct(_) => Self::validation(vec![FieldError {
                field: "sku".to_owned(),
                message: told,
            }]),
            Error::Discontinued(_) => Self::conflict("discontinued", told),
            Error::Currency { .. } => Self::conflict("currency-mismatch", told),
            Error::Full => Self::conflict("conflict", told),
            Error::Catalog(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
