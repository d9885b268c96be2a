//! The catalog: what the shop sells, under which category, at which price, now and before.
//!
//! Owns `products`, `categories`, `price_history`, `catalog_keys`. Other modules ask through [`Catalog`] alone; they never join to its
//! tables. This port has two adapters, `local` and `remote`, and the flag `catalog` says which one answers: that is
//! branch by abstraction (Newman, *Monolith to Microservices*, chapter 4), and what makes the catalog extractable.
//! The routes in `http.rs` always speak for this database; which of the two sides a client reaches is the router's affair.

mod export;
mod handed_over;
mod http;
mod local;
mod model;
mod remote;
mod schema;
mod store;

use std::collections::HashMap;
use std::sync::Arc;

use chassis::db::{self, Conn, Db};
use handover::gate::{Gate, NotHere, is_refusal};

use crate::config::CatalogService;
use crate::flags::{Adapter, LiveFlags};
use crate::money::Money;

pub use http::routes;
use local::Local;
use remote::Remote;

/// A product as the other modules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// How it is addressed.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// What it costs now.
    pub price: Money,
    /// Whether it can be bought.
    pub on_sale: bool,
}

/// A product that comes in bulk: from imported books, or generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// How it is addressed.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// What is said about it; may be empty.
    pub description: String,
    /// Slug of its category.
    pub category: String,
    /// What it costs.
    pub price: Money,
    /// Whether it can be bought.
    pub on_sale: bool,
}

/// Why the catalog could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No product has this SKU.
    #[error("no product has the SKU `{0}`")]
    NotFound(String),
    /// A product with this SKU exists already.
    #[error("a product with the SKU `{0}` exists already")]
    SkuTaken(String),
    /// The product is not at the version that the client saw.
    #[error("the product is at version {current} now")]
    Changed {
        /// The version it is at.
        current: i64,
    },
    /// An idempotency key came with another body.
    #[error("the key was used with another body")]
    KeyReused,
    /// Another process has the right to write.
    #[error(transparent)]
    NotHere(#[from] NotHere),
    /// Products were to be added in bulk while another process has the right to write.
    #[error(
        "another process owns the catalog's data, so its products cannot be added here; add them through the router, or take the \
         data back first: banyan handover catalog --to monolith"
    )]
    Elsewhere,
    /// The rows are still being copied here.
    #[error("the catalog is being copied to this process; ask its service")]
    Copying,
    /// The catalog service did not answer.
    #[error("the catalog service does not answer")]
    Remote(#[source] reqwest::Error),
    /// The catalog service answered what cannot be used.
    #[error("the catalog service answered {0}")]
    RemoteStatus(reqwest::StatusCode),
    /// The database failed.
    #[error("catalog database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// The port of the catalog; cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalog {
    db: Db,
    gate: Gate,
    local: Local,
    remote: Remote,
    flags: LiveFlags,
}

impl Catalog {
    /// Puts the port together. The remote adapter connects only when it is used.
    pub fn new(db: Db, service: &CatalogService, flags: LiveFlags) -> reqwest::Result<Self> {
        Ok(Self {
            local: Local::new(db.clone()),
            gate: Gate::new(db.clone(), handed_over::MODULE),
            remote: Remote::new(service)?,
            db,
            flags,
        })
    }

    /// The catalog as it is handed over to its service.
    pub fn handed_over(&self) -> handover::Module {
        handover::Module {
            gate: self.gate.clone(),
            store: Arc::new(handed_over::ROWS),
        }
    }

    /// The products with these SKUs, by SKU; unknown ones are left out. At most 100 at once.
    pub async fn products(&self, skus: Vec<String>) -> Result<HashMap<String, Product>, Error> {
        let found = match self.flags.now().catalog {
            Adapter::Local => {
                self.must_be_whole()?;
                self.local.products(skus).await?
            }
            Adapter::Remote => self.remote.products(skus).await?,
        };
        Ok(found
            .into_iter()
            .map(|product| (product.sku.clone(), product))
            .collect())
    }

    /// Adds the products whose SKU was never used, in the caller's transaction, and tells how many that were. Always on
    /// this process's own tables: what a service owns is imported there.
    pub fn import(&self, conn: &mut Conn, products: &[Imported]) -> Result<usize, Error> {
        store::import::add_missing(conn, products).map_err(|error| {
            let error = db::Error::from(error);
            if is_refusal(&error) {
                Error::Elsewhere
            } else {
                error.into()
            }
        })
    }

    /// The product with this SKU.
    pub async fn product(&self, sku: String) -> Result<Option<Product>, Error> {
        Ok(self.products(vec![sku.clone()]).await?.remove(&sku))
    }

    /// Runs work that reads, unless the rows are still on their way here.
    async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, Error> + Send + 'static,
    {
        self.must_be_whole()?;
        self.db.read(work).await
    }

    fn must_be_whole(&self) -> Result<(), Error> {
        if self.gate.standing().may_answer() {
            Ok(())
        } else {
            Err(Error::Copying)
        }
    }
}
