//! The settings of the shop. Every key has a default, so that `monolith serve` alone runs one.

use std::path::PathBuf;

use chassis::config::{ConfigError, Secret};
use chassis::db::PoolSettings;
use chassis::server::ServerSettings;
use serde::Deserialize;

/// Prefix of the environment variables: `MONOLITH_DATABASE`, `MONOLITH_AUTH__KEY_FILE`, …
pub const PREFIX: &str = "MONOLITH";

/// The defaults, as the file would say them.
pub const DEFAULTS: &str = r#"
listen = "127.0.0.1:8100"
database = "sqlite:shop.db"
currency = "GBP"

[auth]
key_file = "session-key.pem"
session_ttl_s = 3600

[psp]
url = "http://127.0.0.1:8109"
webhook_secret = "change-me-before-production"
timeout_ms = 2000
give_up_s = 60

[notifications]
sink = "file:outbox.jsonl"

[catalog]
url = "http://127.0.0.1:8101"
deadline_ms = 1500
retries = 2
"#;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address to serve at.
    pub listen: String,
    /// The database: `sqlite:PATH` or `postgres://…`.
    pub database: Secret,
    /// The currency of reports and imports (ISO 4217).
    pub currency: String,
    /// Limits of the server.
    #[serde(default)]
    pub server: ServerSettings,
    /// Use of the database.
    #[serde(default)]
    pub pool: PoolSettings,
    /// Sessions.
    pub auth: Auth,
    /// The payment provider.
    pub psp: Psp,
    /// Mails and webhooks.
    pub notifications: Notifications,
    /// The catalog service, for the remote adapter.
    pub catalog: CatalogService,
    /// How modules are handed over to services; without it, none is.
    pub handover: Option<handover::settings::Settings>,
    /// Feature flags of this process; see [`crate::flags`].
    #[serde(default)]
    pub flags: toml::Table,
    /// The file whose `[flags]` table is followed while running: the router's.
    pub flags_file: Option<PathBuf>,
}

/// How sessions are signed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Private key (PEM, Ed25519); made if absent, with the public key beside it as `<file>.pub`.
    pub key_file: PathBuf,
    /// Seconds a session lasts.
    pub session_ttl_s: i64,
}

/// How the payment provider is reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Psp {
    /// Its address.
    pub url: String,
    /// The secret that its webhooks are signed with.
    pub webhook_secret: Secret,
    /// Milliseconds one call may take.
    pub timeout_ms: u64,
    /// Seconds the provider gets to say what became of a charge, before the charge is undone and the payment failed.
    pub give_up_s: i64,
}

/// Where notifications go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// `file:PATH` (one JSON line each) or `smtp://host:port`.
    pub sink: String,
}

/// How the catalog service is reached when the flag `catalog` is `remote`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogService {
    /// Its address.
    pub url: String,
    /// Milliseconds for a call with all its retries.
    pub deadline_ms: u64,
    /// Further attempts of a call that failed.
    pub retries: u32,
}

/// Reads the settings from all layers.
pub fn load(
    common: &chassis::cli::Common,
    listen: Option<String>,
    flags: Option<PathBuf>,
) -> Result<Settings, ConfigError> {
    let overrides = [
        ("listen", listen),
        ("database", common.database.clone()),
        ("flags_file", flags.map(|path| path.display().to_string())),
    ];
    chassis::config::load(
        DEFAULTS,
        common.config_file(PREFIX).as_deref(),
        PREFIX,
        &overrides,
    )
}
