//! The catalog port answered by the catalog service over HTTP.
//!
//! It speaks the public contract (`GET /api/products?skus=`), reads only what the port needs, and so is indifferent to
//! what else the service grows. Reads alone, so retries are safe.

use std::time::Duration;

use serde::Deserialize;

use super::{Error, Product};
use crate::config::CatalogService;
use crate::money::Money;

/// The remote adapter.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    client: reqwest::Client,
    url: String,
}

#[derive(Deserialize)]
struct Listing {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    sku: String,
    name: String,
    price: Money,
    status: String,
}

impl Remote {
    pub(super) fn new(service: &CatalogService) -> reqwest::Result<Self> {
        let url = service.url.trim_end_matches('/').to_owned();
        let host = reqwest::Url::parse(&url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        let deadline = Duration::from_millis(service.deadline_ms);
        let client = chassis::client::build(&host.unwrap_or_default(), deadline, service.retries)?;
        Ok(Self {
            client,
            url: format!("{url}/api/products"),
        })
    }

    pub(super) async fn products(&self, skus: Vec<String>) -> Result<Vec<Product>, Error> {
        let query = [("skus", skus.join(",")), ("limit", skus.len().max(1).to_string())];
        let request = self
            .client
            .get(&self.url)
            .query(&query)
            .headers(chassis::client::context_headers());
        let answer = request.send().await.map_err(Error::Remote)?;
        if !answer.status().is_success() {
            return Err(Error::RemoteStatus(answer.status()));
        }
        let listing: Listing = answer.json().await.map_err(Error::Remote)?;
        Ok(listing
            .items
            .into_iter()
            .map(|item| Product {
                on_sale: item.status == "active",
                sku: item.sku,
                name: item.name,
                price: item.price,
            })
            .collect())
    }
}
