//! The router's own database: what it has to remember over a restart.
//!
//! For whoever opens it. SQLite by default; PostgreSQL when several routers share what they know. Each part of the router
//! brings its own migrations and reads its own tables alone.

use chassis::db::Migrations;
use diesel_migrations::EmbeddedMigrations;

/// The migrations of the router.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: || SQLITE,
    postgres: || POSTGRES,
};

const SQLITE: EmbeddedMigrations = diesel_migrations::embed_migrations!("../migrations/router/sqlite");
const POSTGRES: EmbeddedMigrations = diesel_migrations::embed_migrations!("../migrations/router/postgres");
