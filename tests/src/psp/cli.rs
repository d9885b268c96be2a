//! The provider's command line.

use std::process::ExitCode;
use std::time::Duration;

use actix_web::web::Data;
use chassis::db::{Db, Migrations, PoolSettings, Target as Database};
use chassis::health::Readiness;
use chassis::server::ServerSettings;
use clap::Parser;
use diesel_migrations::EmbeddedMigrations;

use super::http::{Faults, routes};
use super::webhooks::{self, Target};

/// A payment provider to test against: durable books, idempotency keys, signed webhooks, and faults on request
#[derive(Debug, Parser)]
#[command(name = "psp-simulator", version)]
struct Cli {
    /// Address to listen at; port 0 takes any free one
    #[arg(long, env = "PSP_LISTEN", default_value = "127.0.0.1:8109")]
    listen: String,
    /// Where the books are kept: `sqlite:PATH`
    #[arg(long, env = "PSP_DATABASE", default_value = "sqlite:psp.db")]
    database: String,
    /// The shop's address for events; without it none are sent
    #[arg(long, env = "PSP_WEBHOOK_URL")]
    webhook_url: Option<String>,
    /// What events are signed with
    #[arg(
        long,
        env = "PSP_WEBHOOK_SECRET",
        default_value = "change-me-before-production"
    )]
    webhook_secret: String,
}

const MIGRATIONS: Migrations = Migrations {
    sqlite: || SQLITE,
    postgres: || SQLITE,
};
const SQLITE: EmbeddedMigrations = diesel_migrations::embed_migrations!("../migrations/psp/sqlite");

/// Runs the provider. Exit code 0: stopped as told; 1: failed; 2: wrong usage.
#[expect(
    clippy::print_stderr,
    reason = "the one place where the command line tells why it failed"
)]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    chassis::telemetry::init();
    match actix_web::rt::System::new().block_on(serve(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("psp-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    let db = Db::open(&cli.database, &PoolSettings::default())?;
    if !matches!(db.target(), Database::Sqlite(_)) {
        return Err("the simulator keeps its books in SQLite: use `--database sqlite:PATH`".into());
    }
    db.migrate(&MIGRATIONS)?;
    let target = cli.webhook_url.map(|url| Target {
        url,
        secret: cli.webhook_secret,
    });
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()?;
    tokio::spawn(webhooks::deliver(db.clone(), target, client));
    let (books, faults) = (Data::new(db.clone()), Data::new(Faults::default()));
    // Requests that hang on purpose hang for 30 s: the server must not end them before that.
    let settings = ServerSettings {
        workers: 2,
        request_timeout_s: 60,
        drain_s: 1,
        ..ServerSettings::default()
    };
    chassis::server::run(
        "psp-simulator",
        &cli.listen,
        &settings,
        Readiness::new(db, MIGRATIONS),
        &[],
        move |config| {
            config.app_data(books.clone());
            config.app_data(faults.clone());
            config.map(routes);
        },
    )
    .await?;
    Ok(())
}
