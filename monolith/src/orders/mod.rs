//! Orders: what was bought, at which price, and how far it has come.
//!
//! Owns `orders`, `order_lines`, `checkout_sagas`, `idempotency_keys`. Placing an order touches every other module: the
//! catalog gives prices, the cart is closed, stock is set aside, money is taken, the customer is told. All of that but the
//! money happens in one transaction, which is what one database is good for; the money cannot, so a saga holds it
//! together (`checkout.rs`), and the state of an order and of its payment always change in one transaction (`book.rs`).

mod book;
mod checkout;
mod expiry;
mod http;
mod model;
mod schema;
mod store;

use std::collections::BTreeSet;

use chassis::db::{self, Conn, Db};
use chrono::NaiveDateTime;

use crate::accounts;
use crate::carts;
use crate::catalog::{self, Catalog};
use crate::inventory;
use crate::notifications;
use crate::payments::{self, Payments};

pub use book::Book;
pub use http::routes;
pub use model::{Imported, ImportedInvoice, ImportedLine, Kind, Order};
pub use store::history::Placed;
pub use store::sales::{Group, GroupBy, SalesQuery, Totals};

/// Why the orders module could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such order, or none that this session may see.
    #[error("there is no order {0}")]
    NoOrder(i64),
    /// There is no such cart, or none that this session may see.
    #[error("there is no cart {0}")]
    NoCart(i64),
    /// The cart holds nothing.
    #[error("cart {0} is empty")]
    CartEmpty(i64),
    /// The cart was ordered already.
    #[error("cart {0} was ordered already")]
    CartOrdered(i64),
    /// The cart was changed while it was being ordered.
    #[error("cart {0} was changed meanwhile")]
    CartChanged(i64),
    /// A product in the cart cannot be bought any more.
    #[error("`{0}` cannot be bought any more")]
    Gone(String),
    /// Prices in more than one currency, or more money than can be counted.
    #[error("the cart cannot be added up: {0}")]
    Sum(String),
    /// There is not enough in stock.
    #[error("only {available} of `{sku}` can be had")]
    Insufficient {
        /// Which line, counted from 0.
        index: usize,
        /// Its product.
        sku: String,
        /// Units that can be had.
        available: i64,
    },
    /// Another request with this key came first.
    #[error("a request with this key came first")]
    Duplicate,
    /// The key was used with another body.
    #[error("this key was used for another order")]
    KeyReused,
    /// A request with this key has not been answered yet.
    #[error("the first request with this key is still being worked on")]
    InProgress,
    /// The order is past the point where this could be done.
    #[error("an order that is {0} does not allow this")]
    State(&'static str),
    /// The payment of the order is under way.
    #[error("the payment of order {0} is under way; try again when it is decided")]
    PaymentUnderWay(i64),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The inventory failed.
    #[error(transparent)]
    Inventory(inventory::Error),
    /// The carts failed.
    #[error(transparent)]
    Carts(carts::Error),
    /// The accounts failed.
    #[error(transparent)]
    Accounts(accounts::Error),
    /// The notifications failed.
    #[error(transparent)]
    Notifications(notifications::Error),
    /// The payments failed.
    #[error(transparent)]
    Payments(payments::Error),
    /// The database failed.
    #[error("orders database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// A failure of the database stays one whichever module met it, so that a transaction that was stopped is run again.
macro_rules! keep_database_failures {
    ($($module:ident => $variant:ident),+) => {
        $(impl From<$module::Error> for Error {
            fn from(error: $module::Error) -> Self {
                match error {
                    $module::Error::Database(error) => Self::Database(error),
                    error => Self::$variant(error),
                }
            }
        })+
    };
}

keep_database_failures!(
    inventory => Inventory, carts => Carts, accounts => Accounts, notifications => Notifications, payments => Payments
);

/// The port of the orders module; cheap to clone. What takes a connection works in the caller's transaction.
#[derive(Clone, Debug)]
pub struct Orders {
    db: Db,
    book: Book,
    catalog: Catalog,
    payments: Payments,
}

impl Orders {
    /// Puts the port together. `payments` settles into the same `book`.
    pub fn new(db: Db, book: Book, catalog: Catalog, payments: Payments) -> Self {
        Self {
            db,
            book,
            catalog,
            payments,
        }
    }

    /// Adds an invoice out of old books, unless its number is there already.
    pub fn import_invoice(&self, conn: &mut Conn, invoice: &ImportedInvoice) -> Result<Imported, Error> {
        Ok(store::import::invoice(conn, invoice)?)
    }

    /// Which of these invoice numbers are taken.
    pub fn known_numbers(&self, conn: &mut Conn, numbers: &[&str]) -> Result<BTreeSet<String>, Error> {
        Ok(store::import::known(conn, numbers)?)
    }

    /// What was sold altogether.
    pub async fn totals(&self, query: SalesQuery) -> Result<Totals, Error> {
        self.db
            .read(move |conn| Ok(store::sales::totals(conn, &query)?))
            .await
    }

    /// What was sold by group, in the order of the groups' keys, after the key `after`.
    pub async fn groups(
        &self,
        query: SalesQuery,
        by: GroupBy,
        after: Option<String>,
        limit: i64,
    ) -> Result<Vec<Group>, Error> {
        self.db
            .read(move |conn| Ok(store::sales::groups(conn, &query, by, after.as_deref(), limit)?))
            .await
    }

    /// A customer's orders, latest first, then by id downwards; only before that moment and id, if they are given.
    pub fn history(
        &self,
        conn: &mut Conn,
        customer: i64,
        before: Option<(NaiveDateTime, i64)>,
        limit: i64,
    ) -> Result<Vec<Placed>, Error> {
        Ok(store::history::of_customer(conn, customer, before, limit)?)
    }

    /// Starts giving up orders that nobody pays in time; goes on until the process ends.
    pub fn start(&self) {
        tokio::spawn(expiry::run(self.clone()));
    }
}
