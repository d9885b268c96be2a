//! Bodies and parameters of the catalog as they go over the wire.

use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::catalog::model::{self, Filter, NewProduct, Status, words};
use crate::money::Money;
use crate::sku::valid_sku;

#[derive(Serialize, ToSchema)]
pub(super) struct Product {
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
pub(super) struct CreateProduct {
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
pub(super) struct ReplaceProduct {
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
pub(super) struct SetPrice {
    #[garde(dive)]
    pub(super) price: Money,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Category {
    pub(super) slug: String,
    pub(super) name: String,
    /// How many products it holds.
    pub(super) products: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListProducts {
    /// Words that SKU, name and description together must all hold; the last may be cut short.
    q: Option<String>,
    /// Slug of a category.
    category: Option<String>,
    /// Only products in this state.
    status: Option<ProductStatus>,
    /// Only these SKUs: up to 100, separated by commas.
    skus: Option<String>,
}

impl CreateProduct {
    /// The SKU, and what is said about it.
    pub(super) fn split(self) -> (String, NewProduct) {
        let new = NewProduct {
            name: self.name,
            description: self.description,
            category: self.category,
            price: self.price,
            status: self.status.into(),
        };
        (self.sku, new)
    }
}

impl From<ReplaceProduct> for NewProduct {
    fn from(body: ReplaceProduct) -> Self {
        Self {
            name: body.name,
            description: body.description,
            category: body.category,
            price: body.price,
            status: body.status.into(),
        }
    }
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

/// The filter that the parameters of a list ask for.
pub(super) fn filter(query: ListProducts) -> Result<Filter, Problem> {
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
