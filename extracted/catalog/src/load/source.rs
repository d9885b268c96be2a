//! The monolith's export as this service reads it: pages of products in the order of their SKUs, deleted ones too.
//!
//! It takes what it needs and overlooks the rest, so that the monolith may add to its export.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::StatusCode;
use serde::Deserialize;

use crate::model::{PricePoint, Status, is_sku};
use crate::money::Money;
use crate::store::bulk::Whole;

/// Products to ask for at once: as many as the monolith gives.
const PAGE: u32 = 1000;
/// For one page with all its attempts.
const DEADLINE: Duration = Duration::from_secs(60);
/// Further attempts for a page that did not come.
const RETRIES: u32 = 3;

/// Why the monolith cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The address is none.
    #[error("`{0}` is no address of a monolith: give one such as http://127.0.0.1:8100")]
    Address(String),
    /// No answer came.
    #[error("the monolith at {address} does not answer")]
    Silent {
        /// Where it was asked.
        address: String,
        /// What came instead.
        source: reqwest::Error,
    },
    /// It does not take the token.
    #[error("the monolith refuses the token ({0}): it must be valid and of the role `service`")]
    Token(StatusCode),
    /// It answered something else than products.
    #[error("the monolith answered {0} to the export")]
    Status(StatusCode),
    /// The answer cannot be read.
    #[error("the monolith's export cannot be read")]
    Unreadable(#[source] reqwest::Error),
    /// A product is not as the contract has it.
    #[error("the monolith's export is wrong at the SKU `{sku}`: {reason}")]
    Product {
        /// Which one.
        sku: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A monolith to read from.
pub(super) struct Source {
    client: reqwest::Client,
    url: reqwest::Url,
    token: String,
}

/// Some products, and the SKU to go on after.
pub(super) struct Page {
    pub(super) items: Vec<Whole>,
    pub(super) next: Option<String>,
}

impl Source {
    pub(super) fn new(address: &str, token: &str) -> Result<Self, SourceError> {
        let wrong = || SourceError::Address(address.to_owned());
        let url = format!("{}/internal/catalog/products", address.trim_end_matches('/'));
        let url = reqwest::Url::parse(&url).map_err(|_| wrong())?;
        let host = url.host_str().ok_or_else(wrong)?;
        let client = chassis::client::build(host, DEADLINE, RETRIES).map_err(|_| wrong())?;
        Ok(Self {
            client,
            url,
            token: token.to_owned(),
        })
    }

    /// The products after the SKU `after`.
    pub(super) async fn page(&self, after: Option<&str>) -> Result<Page, SourceError> {
        let mut request = self
            .client
            .get(self.url.clone())
            .bearer_auth(&self.token)
            .query(&[("limit", PAGE)]);
        if let Some(after) = after {
            request = request.query(&[("after", after)]);
        }
        let answer = request.send().await.map_err(|source| SourceError::Silent {
            address: self.url.origin().ascii_serialization(),
            source: source.without_url(),
        })?;
        match answer.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(SourceError::Token(status));
            }
            status => return Err(SourceError::Status(status)),
        }
        let exported: Exported = answer.json().await.map_err(SourceError::Unreadable)?;
        check_order(&exported.items, after)?;
        let items = exported.items.into_iter().map(Item::whole);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next: exported.next,
        })
    }
}

/// Pages must go forward: what lies between two SKUs of the export and is not in it will be removed.
fn check_order(items: &[Item], after: Option<&str>) -> Result<(), SourceError> {
    let mut before = after.unwrap_or("");
    for item in items {
        if item.sku.as_str() <= before {
            return Err(item.wrong("it is not in the order of SKUs"));
        }
        before = &item.sku;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Exported {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    sku: String,
    name: String,
    description: String,
    category: String,
    price: Price,
    status: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    price_history: Vec<Point>,
}

#[derive(Deserialize)]
struct Price {
    amount: i64,
    currency: String,
}

#[derive(Deserialize)]
struct Point {
    price: Price,
    from: DateTime<Utc>,
}

impl From<Price> for Money {
    fn from(price: Price) -> Self {
        Self {
            amount: price.amount,
            currency: price.currency,
        }
    }
}

impl Item {
    fn whole(self) -> Result<Whole, SourceError> {
        if !is_sku(&self.sku) {
            return Err(self.wrong("it is no SKU"));
        }
        if self.version < 1 {
            return Err(self.wrong("its version is below 1"));
        }
        let amounts = self.price_history.iter().map(|point| point.price.amount);
        if amounts.chain([self.price.amount]).any(|amount| amount < 0) {
            return Err(self.wrong("a price is below 0"));
        }
        let status = match self.status.as_str() {
            "active" => Status::Active,
            "discontinued" => Status::Discontinued,
            _ => return Err(self.wrong("its status is not known")),
        };
        let updated_at = self.updated_at.naive_utc();
        Ok(Whole {
            prices: prices(self.price.into(), self.price_history, updated_at),
            sku: self.sku,
            name: self.name,
            description: self.description,
            category: self.category,
            status,
            version: self.version,
            created_at: self.created_at.naive_utc(),
            updated_at,
            deleted_at: self.deleted_at.map(|at| at.naive_utc()),
        })
    }

    fn wrong(&self, reason: &'static str) -> SourceError {
        SourceError::Product {
            sku: self.sku.clone(),
            reason,
        }
    }
}

/// The history, ending in the price in force even where the source's own history does not.
fn prices(now: Money, history: Vec<Point>, updated_at: NaiveDateTime) -> Vec<PricePoint> {
    let mut points: Vec<PricePoint> = history
        .into_iter()
        .map(|point| PricePoint {
            price: point.price.into(),
            from: point.from.naive_utc(),
        })
        .collect();
    if points.last().is_none_or(|last| last.price != now) {
        points.push(PricePoint {
            price: now,
            from: updated_at,
        });
    }
    points
}
