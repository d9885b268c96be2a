//! The catalog port answered by this process's own tables.

use chassis::db::Db;

use super::model::Status;
use super::{Error, Product, store};

/// The local adapter.
#[derive(Clone, Debug)]
pub(super) struct Local {
    db: Db,
}

impl Local {
    pub(super) fn new(db: Db) -> Self {
        Self { db }
    }

    pub(super) async fn products(&self, skus: Vec<String>) -> Result<Vec<Product>, Error> {
        let found = self
            .db
            .read(move |conn| Ok::<_, Error>(store::with_skus(conn, &skus)?))
            .await?;
        Ok(found
            .into_iter()
            .map(|product| Product {
                on_sale: product.status == Status::Active,
                sku: product.sku,
                name: product.name,
                price: product.price,
            })
            .collect())
    }
}
