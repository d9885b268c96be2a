//! Fills the shop with generated goods, for demonstrations and tests that need more than a handful.
//!
//! The same order gives the same goods on every machine and in every version, and giving it again changes nothing: what
//! is there is left as the shop has it. Each batch is one transaction, so a run that was stopped is gone on with.

mod goods;

use chassis::db::{self, Conn, Db, transact};
use indicatif::{ProgressBar, ProgressStyle};

use crate::catalog::{self, Catalog, Imported};
use crate::inventory::{self, Inventory};

/// Products per transaction.
const BATCH: usize = 500;
/// What the movements that bring in the first stock refer to.
const REFERENCE: &str = "opening stock";

/// How many goods, and how much of each.
#[derive(Clone, Debug)]
pub struct Order {
    /// Different products.
    pub products: usize,
    /// Units of each; if absent, a plausible number that is different for each.
    pub stock: Option<i64>,
    /// The currency of the prices.
    pub currency: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Products that were not there before.
    pub added: usize,
    /// Products that got their first stock.
    pub stocked: usize,
}

/// Why the shop could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The products could not be added.
    #[error("products could not be added")]
    Catalog(#[source] catalog::Error),
    /// The stock could not be received.
    #[error("stock could not be received")]
    Inventory(#[source] inventory::Error),
    /// The database failed.
    #[error("database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

// A failure of the database stays one, so that a transaction that was stopped is run again.
impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Self {
        match error {
            catalog::Error::Database(error) => Self::Database(error),
            error => Self::Catalog(error),
        }
    }
}

impl From<inventory::Error> for Error {
    fn from(error: inventory::Error) -> Self {
        match error {
            inventory::Error::Database(error) => Self::Database(error),
            error => Self::Inventory(error),
        }
    }
}

/// Fills the shop. Shows a progress bar on a terminal.
pub fn run(db: &Db, catalog: &Catalog, inventory: &Inventory, order: &Order) -> Result<Report, Error> {
    let bar = progress(order.products);
    let mut report = Report::default();
    let mut conn = db.connect()?;
    for first in (0..order.products).step_by(BATCH) {
        let last = order.products.min(first + BATCH);
        let goods: Vec<Imported> = (first..last)
            .map(|i| goods::product(i, &order.currency))
            .collect();
        let units = |i: usize| order.stock.unwrap_or_else(|| goods::stock(first + i));
        let (added, stocked) = transact(&mut conn, |conn| {
            let added = catalog.import(conn, &goods)?;
            Ok::<_, Error>((added, receive(conn, inventory, &goods, units)?))
        })?;
        report.added += added;
        report.stocked += stocked;
        bar.inc((last - first) as u64);
    }
    bar.finish_and_clear();
    Ok(report)
}

/// Brings in the first stock of those goods that never had any.
fn receive(
    conn: &mut Conn,
    inventory: &Inventory,
    goods: &[Imported],
    units: impl Fn(usize) -> i64,
) -> Result<usize, inventory::Error> {
    let skus: Vec<String> = goods.iter().map(|product| product.sku.clone()).collect();
    let levels = inventory.levels(conn, &skus)?;
    let mut stocked = 0;
    for (i, sku) in skus.iter().enumerate() {
        let had_some = levels.binary_search_by(|level| level.sku.cmp(sku)).is_ok();
        if !had_some && units(i) > 0 {
            inventory.receive(conn, sku, units(i), REFERENCE)?;
            stocked += 1;
        }
    }
    Ok(stocked)
}

/// A bar on standard error, if that is a terminal; else nothing.
fn progress(products: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} products, {per_sec}, {eta} to go");
    let bar = ProgressBar::new(products as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests;
