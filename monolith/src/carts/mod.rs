//! Carts: what a customer means to buy.
//!
//! Owns `carts`, `cart_items`. Orders take a cart through [`Carts`] inside their own transaction. A cart keeps products
//! and quantities, no prices: those are the catalog's, asked through its port whenever a cart is shown.
//!
//! Architecture invariant: every change of a cart first claims its row while it is `open`, so an ordered cart never
//! changes, and two changes of one cart follow one another.

mod http;
mod model;
mod schema;
mod store;

use chassis::db::{self, Conn, Db};

use crate::catalog::{self, Catalog};

pub use http::routes;
pub use model::State;

use model::MAX_ITEMS;

/// Why a cart could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such cart.
    #[error("there is no cart {0}")]
    NoCart(i64),
    /// The cart does not hold this product.
    #[error("cart {cart} does not hold `{sku}`")]
    NotInCart {
        /// Which cart.
        cart: i64,
        /// Which product.
        sku: String,
    },
    /// The cart was ordered.
    #[error("cart {0} was ordered and cannot be changed")]
    Ordered(i64),
    /// No product has this SKU.
    #[error("no product has the SKU `{0}`")]
    NoProduct(String),
    /// The product is not sold any more.
    #[error("`{0}` is not sold any more")]
    Discontinued(String),
    /// The product is priced in another currency than the cart.
    #[error("the cart is in {cart}, but the product in {product}")]
    Currency {
        /// Of what the cart holds.
        cart: String,
        /// Of what was to be put in.
        product: String,
    },
    /// The cart holds as many products as one can.
    #[error("a cart holds {MAX_ITEMS} products at the most")]
    Full,
    /// The catalog could not be asked.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The database failed.
    #[error("carts database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// What a cart holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Whose it is.
    pub customer_id: i64,
    /// Where it stands.
    pub state: State,
    /// SKU and quantity, in the order in which they were put in.
    pub lines: Vec<(String, i64)>,
}

/// The port of the carts; cheap to clone. What takes a connection works in the caller's transaction.
#[derive(Clone, Debug)]
pub struct Carts {
    db: Db,
    catalog: Catalog,
}

impl Carts {
    /// Puts the port together.
    pub fn new(db: Db, catalog: Catalog) -> Self {
        Self { db, catalog }
    }

    /// What the cart holds now.
    pub fn contents(&self, conn: &mut Conn, cart: i64) -> Result<Contents, Error> {
        Ok(store::find(conn, cart)?.ok_or(Error::NoCart(cart))?.into())
    }

    /// Closes the cart to changes and gives what it holds. Of several who try, one succeeds; the others learn that it
    /// [was ordered](Error::Ordered).
    pub fn take_for_order(&self, conn: &mut Conn, cart: i64) -> Result<Contents, Error> {
        store::take(conn, cart)?;
        self.contents(conn, cart)
    }

    /// Opens a cart again whose order came to nothing. Doing it again changes nothing.
    pub fn reopen(&self, conn: &mut Conn, cart: i64) -> Result<(), Error> {
        store::reopen(conn, cart)
    }
}

impl From<model::Cart> for Contents {
    fn from(cart: model::Cart) -> Self {
        Self {
            customer_id: cart.customer_id,
            state: cart.state,
            lines: cart
                .items
                .into_iter()
                .map(|item| (item.sku, item.quantity))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
