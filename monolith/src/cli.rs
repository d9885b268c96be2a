//! The command line of the shop.

use std::path::PathBuf;
use std::process::ExitCode;

use chassis::auth::{Claims, Issuer, Role};
use chassis::cli::Common;
use clap::{Args, Parser, Subcommand};

use crate::app::{self, App, MIGRATIONS};
use crate::config::{self, Settings};
use crate::import;
use crate::seed::{Order, Report};

/// The shop before anything was extracted from it: one process, one database, eight modules.
#[derive(Debug, Parser)]
#[command(
    name = "monolith",
    version,
    after_help = "\
Settings come from defaults, then --config FILE, then the environment (MONOLITH_LISTEN, MONOLITH_DATABASE,
MONOLITH_AUTH__KEY_FILE, …), then the command line.

Examples:
  monolith serve --migrate                                 a shop on SQLite in ./shop.db
  monolith serve --database postgres://shop@localhost/shop the same on PostgreSQL
  monolith import online-retail online-retail.csv.gz       the books of a real shop
  monolith seed --products 3000                            goods to look at
  monolith token --role staff                              a token for `Authorization: Bearer`"
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the shop until SIGTERM or Ctrl-C
    Serve(Serve),
    /// Bring the database schema up to date
    Migrate,
    /// Fill the shop with generated goods; running it again doubles nothing
    Seed(Seed),
    /// Take in the books of another shop; running it again adds nothing
    Import(Import),
    /// Print the OpenAPI document
    Openapi,
    /// Print a session token for staff or for another service
    Token(Token),
}

#[derive(Debug, Args)]
struct Serve {
    /// Address to listen at; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Migrate first
    #[arg(long)]
    migrate: bool,
    /// File whose [flags] table is followed: the router's banyan.toml
    #[arg(long, value_name = "FILE")]
    flags: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Seed {
    /// How many different products
    #[arg(long, value_name = "N")]
    products: usize,
    /// Units of each in stock; without it, a plausible number that is different for each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    stock: Option<i64>,
}

#[derive(Debug, Args)]
struct Import {
    #[command(subcommand)]
    source: import::Source,
}

#[derive(Debug, Args)]
struct Token {
    /// What the session may do
    #[arg(long, value_enum, default_value = "staff")]
    role: Role,
    /// Who it is for; a customer id for customers
    #[arg(long, default_value = "command-line")]
    name: String,
    /// Seconds it is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl: i64,
}

/// An error that ends the command, ready to print.
type Failed = Box<dyn std::error::Error>;

/// Runs the command line. Exit code 0: done; 1: failed; 2: wrong usage.
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
        Command::Serve(Serve {
            listen,
            migrate,
            flags,
        }) => {
            let settings = config::load(&common, listen, flags)?;
            if migrate {
                bring_up_to_date(&settings)?;
            }
            serve(&settings)
        }
        Command::Migrate => bring_up_to_date(&config::load(&common, None, None)?),
        Command::Seed(Seed { products, stock }) => fill(&config::load(&common, None, None)?, products, stock),
        Command::Import(Import { source }) => take_in(&config::load(&common, None, None)?, &source),
        Command::Openapi => print(&document().to_pretty_json()?),
        Command::Token(token) => print(&sign(&config::load(&common, None, None)?, token)?),
    }
}

fn serve(settings: &Settings) -> Result<(), Failed> {
    actix_web::rt::System::new().block_on(async {
        let app = App::assemble(settings)?;
        let readiness = app.readiness();
        if let Some(obstacle) = readiness.obstacle().await {
            tracing::warn!(%obstacle, "not ready");
        }
        app.start_workers();
        let beside = app.start_handover(settings).await?;
        let beside: Vec<_> = beside.into_iter().map(|address| ("handover", address)).collect();
        let routes =
            move |config: &mut utoipa_actix_web::service_config::ServiceConfig<'_>| app.configure(config);
        chassis::server::run(
            "monolith",
            &settings.listen,
            &settings.server,
            readiness,
            &beside,
            routes,
        )
        .await?;
        Ok(())
    })
}

fn fill(settings: &Settings, products: usize, stock: Option<i64>) -> Result<(), Failed> {
    actix_web::rt::System::new().block_on(async {
        let app = App::assemble(settings)?;
        if let Some(obstacle) = app.readiness().obstacle().await {
            return Err(obstacle.into());
        }
        let currency = settings.currency.clone();
        let Report { added, stocked } = app.seed(&Order {
            products,
            stock,
            currency,
        })?;
        print(&format!(
            "{added} products added, {stocked} got their first stock"
        ))
    })
}

fn take_in(settings: &Settings, source: &import::Source) -> Result<(), Failed> {
    actix_web::rt::System::new().block_on(async {
        let app = App::assemble(settings)?;
        if let Some(obstacle) = app.readiness().obstacle().await {
            return Err(obstacle.into());
        }
        let import::Outcome { summary, rejects } = app.importer(settings.currency.clone()).run(source)?;
        warn(&rejects);
        print(&summary)
    })
}

fn bring_up_to_date(settings: &Settings) -> Result<(), Failed> {
    let db = chassis::db::Db::open(settings.database.reveal(), &settings.pool)?;
    for name in db.migrate(&MIGRATIONS)? {
        tracing::info!(migration = name, "ran");
    }
    Ok(())
}

fn document() -> utoipa::openapi::OpenApi {
    chassis::server::document("The shop", env!("CARGO_PKG_VERSION"), app::routes)
}

fn sign(settings: &Settings, token: Token) -> Result<String, Failed> {
    let issuer = Issuer::open(&settings.auth.key_file)?;
    Ok(issuer.sign(&Claims::starting_now(token.name, token.role, None, token.ttl))?)
}

#[expect(clippy::print_stdout, reason = "what the command was asked for")]
fn print(text: &str) -> Result<(), Failed> {
    println!("{text}");
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "what the command could not do, apart from what it was asked for"
)]
fn warn(lines: &[String]) {
    for line in lines {
        eprintln!("{line}");
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where the command line tells why it failed"
)]
fn complain(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("monolith: {error}");
    for cause in chassis::error::causes(error).skip(1) {
        eprintln!("  because: {cause}");
    }
    ExitCode::FAILURE
}
