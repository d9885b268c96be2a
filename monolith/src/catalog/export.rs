//! The paged export that the catalog service is loaded from. For services alone; not part of the public contract.

use actix_web::{HttpResponse, web};
use chassis::auth::Identity;
use chassis::extract::Query;
use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::store::history;
use super::{Catalog, Error, model};
use crate::money::Money;

/// Products per page at the most.
const MAX_LIMIT: i64 = 1000;

/// Adds the internal route.
pub(super) fn routes(config: &mut web::ServiceConfig) -> &mut web::ServiceConfig {
    config.route("/internal/catalog/products", web::get().to(export))
}

#[derive(Deserialize)]
struct Window {
    /// The SKU after which to go on.
    after: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
struct Exported {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Item {
    sku: String,
    name: String,
    description: String,
    category: String,
    price: Money,
    status: &'static str,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    price_history: Vec<PricePoint>,
}

#[derive(Serialize)]
struct PricePoint {
    price: Money,
    from: DateTime<Utc>,
}

/// Deleted products are exported too: their versions must go on counting where the data goes.
async fn export(
    catalog: web::Data<Catalog>,
    identity: Identity,
    Query(window): Query<Window>,
) -> Result<HttpResponse, Problem> {
    identity.require_service()?;
    let limit = window.limit.unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
    let after = window.after;
    let mut items = catalog
        .read(move |conn| Ok::<_, Error>(history::page(conn, after.as_deref(), limit + 1)?))
        .await?
        .into_iter()
        .map(|(product, prices)| item(product, prices))
        .collect::<Vec<_>>();
    let more = items.len() > usize::try_from(limit).unwrap_or(0);
    if more {
        items.pop();
    }
    let next = items.last().filter(|_| more).map(|item| item.sku.clone());
    Ok(HttpResponse::Ok().json(Exported { items, next }))
}

fn item(product: model::Product, prices: Vec<history::PricePoint>) -> Item {
    let point = |point: history::PricePoint| PricePoint {
        price: point.price,
        from: utc(point.from),
    };
    Item {
        sku: product.sku,
        name: product.name,
        description: product.description,
        category: product.category,
        price: product.price,
        status: product.status.as_str(),
        version: product.version,
        created_at: utc(product.created_at),
        updated_at: utc(product.updated_at),
        deleted_at: product.deleted_at.map(utc),
        price_history: prices.into_iter().map(point).collect(),
    }
}
