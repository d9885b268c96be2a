//! The settings of the service. Every key has a default, so that `catalog serve` alone runs one.

use std::path::PathBuf;

use chassis::config::{ConfigError, Secret};
use chassis::db::PoolSettings;
use chassis::server::ServerSettings;
use serde::Deserialize;

/// Prefix of the environment variables: `CATALOG_DATABASE`, `CATALOG_AUTH__PUBLIC_KEY_FILE`, …
pub const PREFIX: &str = "CATALOG";

/// The defaults, as the file would say them.
pub const DEFAULTS: &str = r#"
listen = "127.0.0.1:8101"
database = "sqlite:catalog.db"
writes = "refuse"

[auth]
public_key_file = "session-key.pem.pub"
"#;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address to serve at.
    pub listen: String,
    /// The database: `sqlite:PATH` or `postgres://…`.
    pub database: Secret,
    /// Whether this process changes products. With `handover` the pen decides, and this says nothing.
    pub writes: Writes,
    /// Limits of the server.
    #[serde(default)]
    pub server: ServerSettings,
    /// Use of the database.
    #[serde(default)]
    pub pool: PoolSettings,
    /// Sessions.
    pub auth: Auth,
    /// How the catalog is handed over; without it, it is not.
    pub handover: Option<handover::settings::Settings>,
}

/// Whether this process changes products, where no pen says it. While the monolith owns them, it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Writes {
    /// They are done here.
    Accept,
    /// They are answered 421 and told who the owner is.
    Refuse,
}

/// How sessions are checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Public half of the key that the monolith signs sessions with (PEM, Ed25519).
    pub public_key_file: PathBuf,
}

/// Reads the settings from all layers.
pub fn load(common: &chassis::cli::Common, listen: Option<String>) -> Result<Settings, ConfigError> {
    let overrides = [("listen", listen), ("database", common.database.clone())];
    chassis::config::load(
        DEFAULTS,
        common.config_file(PREFIX).as_deref(),
        PREFIX,
        &overrides,
    )
}
