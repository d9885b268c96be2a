//! The report on what runs out: levels from the inventory, names from the catalog.

use std::collections::HashMap;

use chassis::page::Page;

use super::{Error, Reports};
use crate::inventory::Level;

/// Where a page of the report ended: units available, then SKU.
pub(super) type Place = (i64, String);

/// A product that runs out.
#[derive(Debug)]
pub(super) struct Scarce {
    pub(super) sku: String,
    /// None if the catalog does not have the product any more.
    pub(super) name: Option<String>,
    pub(super) available: i64,
}

impl Reports {
    /// Products of which at most `threshold` units are available, scarcest first, then by SKU.
    pub(super) async fn low_stock(
        &self,
        threshold: i64,
        after: Option<Place>,
        limit: i64,
    ) -> Result<Page<Scarce>, Error> {
        let inventory = self.inventory.clone();
        let levels = self
            .db
            .read(move |conn| {
                let after = after.as_ref().map(|(available, sku)| (*available, sku.as_str()));
                inventory.low(conn, threshold, after, limit + 1)
            })
            .await?;
        let page = Page::of(levels, limit, |level| (level.available(), level.sku.clone()));
        let skus = page
            .items
            .iter()
            .map(|level| level.sku.clone())
            .collect::<Vec<_>>();
        // The catalog may be another process, so it is asked once, and only if there is something to ask.
        let mut products = if skus.is_empty() {
            HashMap::new()
        } else {
            self.catalog.products(skus).await?
        };
        Ok(page.map(|level: Level| Scarce {
            name: products.remove(&level.sku).map(|product| product.name),
            available: level.available(),
            sku: level.sku,
        }))
    }
}
