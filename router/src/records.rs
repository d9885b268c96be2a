//! The router's own database: where its audit log and its evidence are kept.

use chassis::db::Migrations;
use diesel_migrations::EmbeddedMigrations;

/// The migrations of the router.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: || SQLITE,
    postgres: || POSTGRES,
};

const SQLITE: EmbeddedMigrations = diesel_migrations::embed_migrations!("../migrations/router/sqlite");
const POSTGRES: EmbeddedMigrations = diesel_migrations::embed_migrations!("../migrations/router/postgres");
