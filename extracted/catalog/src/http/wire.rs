//! Bodies, parameters and refusals as they go over the wire. The OpenAPI document is made of these.

use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::model::{self, Details, Filter, Status, is_sku, is_slug};
use crate::money::Money;
use crate::words::Search;

/// SKUs in one question at the most.
const MAX_SKUS: usize = 100;
/// Words in one search at the most.
const MAX_WORDS: usize = 10;

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

impl From<model::Product> for Product {
    fn from(product: model::Product) -> Self {
        let details = product.details;
        Self {
            sku: product.sku,
            name: details.name,
            description: details.description,
            category: details.category,
            price: details.price,
            status: details.status.into(),
            version: product.version,
            created_at: utc(product.created_at),
            updated_at: utc(product.updated_at),
        }
    }
}

#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ProductStatus {
    #[default]
    Active,
    Discontinued,
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

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateProduct {
    #[garde(custom(a_sku))]
    sku: String,
    #[garde(length(chars, min = 1, max = 200))]
    name: String,
    #[garde(length(chars, max = 4000))]
    #[serde(default)]
    description: String,
    #[garde(custom(a_slug))]
    category: String,
    #[garde(dive)]
    price: Money,
    #[garde(skip)]
    #[serde(default)]
    status: ProductStatus,
}

impl CreateProduct {
    /// The SKU, and what is said about it.
    pub(super) fn split(self) -> (String, Details) {
        let details = Details {
            name: self.name,
            description: self.description,
            category: self.category,
            price: self.price,
            status: self.status.into(),
        };
        (self.sku, details)
    }
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplaceProduct {
    #[garde(length(chars, min = 1, max = 200))]
    name: String,
    #[garde(length(chars, max = 4000))]
    #[serde(default)]
    description: String,
    #[garde(custom(a_slug))]
    category: String,
    #[garde(dive)]
    price: Money,
    #[garde(skip)]
    #[serde(default)]
    status: ProductStatus,
}

impl From<ReplaceProduct> for Details {
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

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPrice {
    #[garde(dive)]
    pub(super) price: Money,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Category {
    slug: String,
    name: String,
    /// How many products it holds.
    products: i64,
}

impl From<model::Category> for Category {
    fn from(category: model::Category) -> Self {
        Self {
            slug: category.slug,
            name: category.name,
            products: category.products,
        }
    }
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

impl ListProducts {
    /// The filter that these parameters ask for.
    pub(super) fn filter(self) -> Result<Filter, Problem> {
        let too_long = |field, message: String| {
            Problem::bad_request("A query parameter is too long.").field(field, message)
        };
        let skus: Option<Vec<String>> = self.skus.map(|list| list.split(',').map(str::to_owned).collect());
        if skus.as_ref().is_some_and(|skus| skus.len() > MAX_SKUS) {
            return Err(too_long("skus", format!("must be at most {MAX_SKUS} SKUs")));
        }
        let search = self.q.as_deref().and_then(Search::of);
        if search.as_ref().is_some_and(|search| search.len() > MAX_WORDS) {
            return Err(too_long("q", format!("must be at most {MAX_WORDS} words")));
        }
        Ok(Filter {
            search,
            category: self.category,
            status: self.status.map(Status::from),
            skus,
        })
    }
}

/// Garde rule for a SKU.
fn a_sku(sku: &str, _: &()) -> garde::Result {
    let message = "must be 1 to 64 letters, digits, spaces, `.`, `_` or `-`, with no space at either end";
    is_sku(sku)
        .then_some(())
        .ok_or_else(|| garde::Error::new(message))
}

/// Garde rule for the slug of a category.
fn a_slug(slug: &str, _: &()) -> garde::Result {
    let message = "must be 1 to 64 lower-case letters, digits or `-`";
    is_slug(slug)
        .then_some(())
        .ok_or_else(|| garde::Error::new(message))
}

/// How a list is refused.
#[derive(IntoResponses)]
#[response(
    status = 400,
    description = "A parameter cannot be read",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "for the OpenAPI document alone")]
pub(super) struct UnreadableParameter(Problem);

/// How a body is refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the OpenAPI document alone")]
pub(super) enum UnreadableBody {
    #[response(
        status = 400,
        description = "The body cannot be read",
        content_type = "application/problem+json"
    )]
    Unreadable(Problem),
    #[response(
        status = 422,
        description = "A value is not allowed",
        content_type = "application/problem+json"
    )]
    Invalid(Problem),
}

/// How a writer is refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the OpenAPI document alone")]
pub(super) enum NotThisWrite {
    #[response(
        status = 401,
        description = "No session",
        content_type = "application/problem+json"
    )]
    NoSession(Problem),
    #[response(
        status = 403,
        description = "Not staff",
        content_type = "application/problem+json"
    )]
    NotStaff(Problem),
    #[response(
        status = 421,
        description = "Another process owns the catalog; nothing happened",
        content_type = "application/problem+json"
    )]
    NotHere(Problem),
}

/// How a write to a product that is not there, or not as expected, is refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the OpenAPI document alone")]
pub(super) enum NotThisProduct {
    #[response(
        status = 404,
        description = "No such product",
        content_type = "application/problem+json"
    )]
    Absent(Problem),
    #[response(
        status = 412,
        description = "Not at the version of If-Match",
        content_type = "application/problem+json"
    )]
    Changed(Problem),
}
