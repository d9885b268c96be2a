//! Reports: what staff wants to know across modules.
//!
//! Owns nothing. Every figure comes from the port of the module that owns it; what belongs together is put together here,
//! in code, where a join over foreign tables would have been. So a report survives the extraction of what it reads.

mod http;
mod low_stock;

use chassis::db::{self, Db};

use crate::catalog::{self, Catalog};
use crate::inventory::{self, Inventory};

pub use http::routes;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The catalog could not be asked.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The inventory could not be asked.
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    /// The database failed.
    #[error("reports database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// The reports; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reports {
    db: Db,
    catalog: Catalog,
    inventory: Inventory,
}

impl Reports {
    /// Puts the reports together. The database is there for its connections alone.
    pub fn new(db: Db, catalog: Catalog, inventory: Inventory) -> Self {
        Self {
            db,
            catalog,
            inventory,
        }
    }
}
