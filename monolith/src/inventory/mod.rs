//! The inventory: how much of each product is in the house, how much of it is promised, and every change with its reason.
//!
//! Owns `stock_levels`, `reservations`, `reservation_lines`, `movements`. Orders reserve, confirm, release and restock
//! through [`Inventory`] inside their own transaction: that is what a good modular monolith can still do, and what
//! extracting this module will have to give up. Reports read levels. It calls the catalog alone, to know what exists.
//!
//! Architecture invariant: units available are never below nothing. Each change is one conditional update, which two
//! transactions cannot both pass, and CHECK constraints stand behind it. Rows are locked in the order of their SKUs.

mod expiry;
mod http;
mod model;
mod schema;
mod store;

use chassis::db::{self, Conn, Db};

use crate::catalog::{self, Catalog};

pub use http::routes;
pub use model::{Level, Line, State};

use model::Kind;
use store::{levels, movements, reservations};

/// Units of one product at the most. Keeps sums far from the end of 64 bits; a CHECK constraint says the same.
const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// Why the inventory could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The product has never been in stock.
    #[error("there has never been stock of `{0}`")]
    NeverStocked(String),
    /// No product has this SKU.
    #[error("no product has the SKU `{0}`")]
    NoProduct(String),
    /// There is no such reservation.
    #[error("there is no reservation {0}")]
    NoReservation(i64),
    /// A line asks for more than there is.
    #[error("only {available} of `{sku}` can be had")]
    Insufficient {
        /// Which line, counted from 0, in the order they were given.
        index: usize,
        /// Its product.
        sku: String,
        /// Units that can be had.
        available: i64,
    },
    /// A movement would take units that are not there or are promised.
    #[error("only {available} of `{sku}` can be taken")]
    Short {
        /// Which product.
        sku: String,
        /// Units that can be taken.
        available: i64,
    },
    /// A movement would bring in more than can be counted.
    #[error("no more than {MAX_ON_HAND} of `{0}` can be on hand")]
    Full(String),
    /// The reservation is past the point where this could be done.
    #[error("reservation {id} is {} already", state.as_str())]
    Decided {
        /// Which reservation.
        id: i64,
        /// Where it stands.
        state: State,
    },
    /// The catalog could not be asked.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The database failed.
    #[error("inventory database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// The port of the inventory; cheap to clone. What takes a connection works in the caller's transaction.
#[derive(Clone, Debug)]
pub struct Inventory {
    db: Db,
    catalog: Catalog,
}

impl Inventory {
    /// Puts the port together.
    pub fn new(db: Db, catalog: Catalog) -> Self {
        Self { db, catalog }
    }

    /// Starts giving back what reservations hold beyond their time; goes on until the process ends.
    pub fn start(&self) {
        tokio::spawn(expiry::run(self.db.clone()));
    }

    /// Sets aside all lines, or none, for `ttl` from now, and gives the id of the reservation. No SKU may come twice.
    pub fn reserve(
        &self,
        conn: &mut Conn,
        lines: &[Line],
        ttl: chrono::Duration,
        reference: &str,
    ) -> Result<i64, Error> {
        reservations::hold(conn, lines, ttl, reference)
    }

    /// Makes a sale of what was set aside: the units leave. Doing it again changes nothing.
    /// A reservation beyond its time is still good as long as nobody has given its units back.
    pub fn confirm(&self, conn: &mut Conn, id: i64) -> Result<(), Error> {
        reservations::confirm(conn, id)
    }

    /// Gives back what was set aside. Doing it again, or after it expired, changes nothing.
    pub fn release(&self, conn: &mut Conn, id: i64) -> Result<(), Error> {
        reservations::release(conn, id)
    }

    /// Takes sold units back into stock.
    pub fn restock(&self, conn: &mut Conn, lines: &[Line], reference: &str) -> Result<(), Error> {
        for (_, line) in model::in_lock_order(lines) {
            movements::add(conn, &line.sku, Kind::Return, line.quantity, reference)?;
        }
        Ok(())
    }

    /// Brings units into stock.
    pub fn receive(&self, conn: &mut Conn, sku: &str, quantity: i64, reference: &str) -> Result<(), Error> {
        movements::add(conn, sku, Kind::Receipt, quantity, reference).map(drop)
    }

    /// The levels of these products, by SKU; those that were never in stock are left out.
    pub fn levels(&self, conn: &mut Conn, skus: &[String]) -> Result<Vec<Level>, Error> {
        let limit = i64::try_from(skus.len()).unwrap_or(i64::MAX);
        Ok(levels::list(conn, Some(skus), None, limit)?)
    }

    /// Levels of which at most `threshold` units are available, scarcest first, then by SKU; after that place.
    pub fn low(
        &self,
        conn: &mut Conn,
        threshold: i64,
        after: Option<(i64, &str)>,
        limit: i64,
    ) -> Result<Vec<Level>, Error> {
        Ok(levels::low(conn, threshold, after, limit)?)
    }
}
