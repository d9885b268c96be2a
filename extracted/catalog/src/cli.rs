//! The command line of the catalog service.

use std::process::ExitCode;

use actix_web::web::Data;
use chassis::auth::Verifier;
use chassis::cli::Common;
use chassis::db::Db;
use chassis::health::Readiness;
use clap::{Args, Parser, Subcommand};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::config::{self, Settings, Writes};
use crate::load::{self, Load};
use crate::{Catalog, MIGRATIONS, routes};

/// The catalog as a service of its own: products, categories, price history, full-text search.
#[derive(Debug, Parser)]
#[command(
    name = "catalog",
    version,
    after_help = "\
Settings come from defaults, then --config FILE, then the environment (CATALOG_LISTEN, CATALOG_DATABASE,
CATALOG_WRITES, CATALOG_AUTH__PUBLIC_KEY_FILE, …), then the command line.

With a [handover] section the pen decides who writes. Without one, CATALOG_WRITES does: refuse (421) or accept.

Examples:
  catalog serve --migrate                                    on SQLite in ./catalog.db
  catalog serve --database postgres://shop@localhost/catalog on PostgreSQL
  monolith token --role service > service.token
  catalog load --migrate --from http://127.0.0.1:8100 --token @service.token
                                                             copies the monolith's catalog; run it again at any time"
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the catalog until SIGTERM or Ctrl-C
    Serve(Serve),
    /// Bring the database schema up to date
    Migrate,
    /// Make this catalog equal to the monolith's
    Load(Load),
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Debug, Args)]
struct Serve {
    /// Address to listen at; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Migrate first
    #[arg(long)]
    migrate: bool,
}

/// An error that ends the command, ready to print.
type Failed = Box<dyn std::error::Error>;

/// Runs the command line. Exit code 0: done; 1: failed; 2: wrong usage; 3: the source of a load cannot be used.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    chassis::telemetry::init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&*error),
    }
}

fn run(cli: Cli) -> Result<(), Failed> {
    let common = cli.common;
    match cli.command {
        Command::Serve(Serve { listen, migrate }) => {
            let settings = config::load(&common, listen)?;
            if migrate {
                bring_up_to_date(&settings)?;
            }
            serve(&settings)
        }
        Command::Migrate => bring_up_to_date(&config::load(&common, None)?),
        Command::Load(job) => {
            let settings = config::load(&common, None)?;
            if job.migrate {
                bring_up_to_date(&settings)?;
            }
            let summary = actix_web::rt::System::new().block_on(load::run(&settings, &job))?;
            print(&summary)
        }
        Command::Openapi => {
            let document = chassis::server::document("The catalog", env!("CARGO_PKG_VERSION"), routes);
            print(&document.to_pretty_json()?)
        }
    }
}

fn serve(settings: &Settings) -> Result<(), Failed> {
    actix_web::rt::System::new().block_on(async {
        let db = Db::open(settings.database.reveal(), &settings.pool)?;
        let verifier = Data::new(Verifier::open(&settings.auth.public_key_file)?);
        let readiness = Readiness::new(db.clone(), MIGRATIONS);
        if let Some(obstacle) = readiness.obstacle().await {
            tracing::warn!(%obstacle, "not ready");
        }
        // The pen decides where there is one; the setting is for a service that takes part in no hand-over.
        let writes = if settings.handover.is_some() {
            Writes::Accept
        } else {
            settings.writes
        };
        let catalog = Data::new(Catalog::new(db, writes));
        let addresses = match &settings.handover {
            Some(settings) => handover::start(settings, &[catalog.handed_over()]).await?,
            None => Vec::new(),
        };
        let beside: Vec<_> = addresses
            .into_iter()
            .map(|address| ("handover", address))
            .collect();
        let app = move |config: &mut ServiceConfig<'_>| {
            config.app_data(verifier.clone()).app_data(catalog.clone());
            routes(config);
        };
        chassis::server::run(
            "catalog",
            &settings.listen,
            &settings.server,
            readiness,
            &beside,
            app,
        )
        .await?;
        Ok(())
    })
}

fn bring_up_to_date(settings: &Settings) -> Result<(), Failed> {
    let db = Db::open(settings.database.reveal(), &settings.pool)?;
    for name in db.migrate(&MIGRATIONS)? {
        tracing::info!(migration = name, "ran");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the command was asked for")]
fn print(text: &str) -> Result<(), Failed> {
    println!("{text}");
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where the command line tells why it failed"
)]
fn complain(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("catalog: {error}");
    for cause in chassis::error::causes(error).skip(1) {
        eprintln!("  because: {cause}");
    }
    match error.downcast_ref::<load::Error>() {
        Some(error) if error.is_the_source() => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
