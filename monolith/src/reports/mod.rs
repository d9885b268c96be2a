//! Reports: what staff and customers want to know across modules.
//!
//! Owns nothing. Every figure comes from the port of the module that owns it; what belongs together is put together here,
//! in code, where a join over foreign tables would have been. So a report survives the extraction of what it reads.

mod history;
mod http;
mod low_stock;
mod sales;

use chassis::db::{self, Db};

use crate::catalog::{self, Catalog};
use crate::inventory::{self, Inventory};
use crate::notifications::{self, Notifications};
use crate::orders::{self, Orders};
use crate::payments::{self, Payments};

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
    /// The notifications could not be asked.
    #[error(transparent)]
    Notifications(#[from] notifications::Error),
    /// The orders could not be asked.
    #[error(transparent)]
    Orders(#[from] orders::Error),
    /// The payments could not be asked.
    #[error(transparent)]
    Payments(#[from] payments::Error),
    /// The database failed.
    #[error("reports database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// The reports; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reports {
    /// For its connections alone.
    pub db: Db,
    /// Gives names of products.
    pub catalog: Catalog,
    /// Gives levels.
    pub inventory: Inventory,
    /// Gives what customers were told.
    pub notifications: Notifications,
    /// Gives what was sold.
    pub orders: Orders,
    /// Gives what was paid.
    pub payments: Payments,
    /// The currency of reports that do not ask for another (ISO 4217).
    pub currency: String,
}
