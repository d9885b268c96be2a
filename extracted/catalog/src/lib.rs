//! The catalog as a service of its own: products, categories, price history and full-text search on its own database.
//!
//! It answers the catalog routes as the monolith does, and shares no code with it: what binds the two is the OpenAPI
//! document and the behaviour suite. Its data model is a better one: prices live in an append-only history alone, and
//! search has an index. `http` holds the routes, `model` and `words` the rules, `store` the SQL, `load` the bulk copy
//! from the monolith.

pub mod cli;
pub mod config;
mod follow;
mod http;
mod load;
mod model;
mod money;
mod schema;
mod store;
mod words;

use std::sync::Arc;

use chassis::db::{self, Conn, Db, Migrations};
use diesel_migrations::EmbeddedMigrations;
use handover::gate::{Gate, NotHere};

pub use http::routes;

use config::Writes;

/// The migrations of the service.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: || SQLITE,
    postgres: || POSTGRES,
};

const SQLITE: EmbeddedMigrations = diesel_migrations::embed_migrations!("../../migrations/catalog/sqlite");
const POSTGRES: EmbeddedMigrations =
    diesel_migrations::embed_migrations!("../../migrations/catalog/postgres");

/// Why the catalog could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No product has this SKU.
    #[error("no product has the SKU `{0}`")]
    NotFound(String),
    /// A product with this SKU exists already.
    #[error("a product with the SKU `{0}` exists already")]
    SkuTaken(String),
    /// The product is not at a version that the client names.
    #[error("the product is at version {current} now")]
    Changed {
        /// The version it is at.
        current: i64,
    },
    /// An idempotency key came with another body.
    #[error("the key was used with another body")]
    KeyReused,
    /// The rows are still being copied here.
    #[error("the catalog is being copied to this service; ask the monolith")]
    Copying,
    /// Another process has the right to write.
    #[error(transparent)]
    NotHere(#[from] NotHere),
    /// The database failed.
    #[error("catalog database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// What the handlers work with; cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalog {
    db: Db,
    gate: Gate,
    writes: Writes,
}

impl Catalog {
    /// A catalog on this database, which takes or refuses writes. Where the pen is installed, it decides.
    pub fn new(db: Db, writes: Writes) -> Self {
        Self {
            gate: Gate::new(db.clone(), follow::MODULE),
            db,
            writes,
        }
    }

    /// The catalog as it is handed over.
    pub fn handed_over(&self) -> handover::Module {
        handover::Module {
            gate: self.gate.clone(),
            store: Arc::new(follow::Rows),
        }
    }

    /// Runs work that reads, unless the rows are still on their way here.
    async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, Error> + Send + 'static,
    {
        if !self.gate.standing().may_answer() {
            return Err(Error::Copying);
        }
        self.db.read(work).await
    }
}
