//! The demo: builds the programs, starts the shop with its router in a temporary folder, and moves two routes back and
//! forth while customers browse; or, with `--migrate`, the catalog's data while clients write.
//!
//! For whoever wants to see it before reading, and, as `--smoke`, for CI: it is the only test that goes the way a newcomer
//! goes. `shop` puts the servers up, `traffic` browses, `tour` switches, `checks` is what the smoke run asserts. `journey` hands the
//! data over and proves that it is whole.

mod checkout;
mod checks;
mod database;
mod journey;
mod routing;
mod screen;
mod shop;
mod tour;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::programs;
use screen::say;
use shop::{Moves, Shop};

/// Start a shop, its catalog service and the router in a temporary folder, and watch two routes, or all data, move under traffic.
#[derive(Debug, Parser)]
#[command(
    name = "cargo demo --",
    after_help = "\
Examples:
  cargo demo                                          a generated shop on SQLite; nothing to install
  cargo demo -- --data online-retail.csv.gz           the real books of a gift wholesaler (UCI Online Retail)
  cargo demo -- --database postgres://me@localhost/postgres
                                                      on PostgreSQL, in databases of its own, dropped at the end
  cargo demo -- --smoke                               once through with checks, then exit with 0 or 1
  cargo demo -- --migrate                             the catalog's data moves too, there, back and there; about a minute

What happens: the programs are built; the payment provider's simulator, the monolith, the catalog service and the router
start; 5,000 customers browse; the routes get-product and list-products go from the monolith to canary 10 %, canary 50 %,
the service, and back, each by an edit of banyan.toml. Then everything stays up until Ctrl-C: edit that file yourself.

With --migrate 16 clients read, create, change and delete products meanwhile: the rows are copied to the service and compared, the
right to write them is handed over, back, and over again. At the end both databases are compared by SQL, every acknowledged write is
looked for, and the exit code is 1 if anything is not as it should be.

It listens at 127.0.0.1 only: at 8080 (clients), 8081 (operators), 8100 to 8103 and 8109, or at free ports where those are
taken."
)]
struct Args {
    /// Import these books (CSV, also gzipped) instead of generating a shop
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// A PostgreSQL server: a database on it from which others may be created
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Move the catalog's data with its routes, under traffic that writes, and prove at the end that it is whole
    #[arg(long)]
    migrate: bool,
    /// Check everything once and exit: 0 if all is well, 1 if not; with --migrate, a journey of a few seconds
    #[arg(long)]
    smoke: bool,
    /// Keep the folder with the databases, the config files and the logs
    #[arg(long)]
    keep: bool,
}

/// Runs the demo. Exit code 0: stopped in order, or all checks passed; 1: something failed; 2: wrong usage.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&args)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// The shop lives out here, so that it is stopped in order whether the show ends, fails or is interrupted.
async fn run(args: &Args) -> anyhow::Result<()> {
    let mut shop = None;
    let outcome = tokio::select! {
        outcome = show(args, &mut shop) => outcome,
        stopped = stop_signal() => stopped.and_then(|()| interrupted(args)),
    };
    if let Some(mut shop) = shop {
        if outcome.is_err() {
            screen::logs(&shop);
        }
        tokio::select! {
            stopped = shop.stop() => stopped?,
            // Whoever presses Ctrl-C twice does not want to wait; dropping the shop kills what still runs.
            _ = stop_signal() => {}
        }
        let kept = shop.clear(args.keep)?;
        match kept {
            Some(folder) => say(&format!("Stopped. Everything is kept in {}", folder.display())),
            None => say("Stopped; nothing is left behind."),
        }
    }
    outcome
}

/// A tour ends when it is interrupted; checks, or a journey, that were interrupted have not passed.
fn interrupted(args: &Args) -> anyhow::Result<()> {
    let has_proof = args.smoke || args.migrate;
    anyhow::ensure!(!has_proof, "interrupted before all checks were done");
    say("\nStopping …");
    Ok(())
}

async fn show(args: &Args, stage: &mut Option<Shop>) -> anyhow::Result<()> {
    // What is wrong with the arguments is said before the long wait.
    let books = match &args.data {
        Some(books) => Some(
            books
                .canonicalize()
                .with_context(|| books.display().to_string())?,
        ),
        None => None,
    };
    let moves = if args.migrate { Moves::Data } else { Moves::Routes };
    let shop = stage.insert(Shop::prepare(args.database.as_deref(), moves)?);
    say("Building the programs (the first time takes some minutes) …");
    programs::build_all().await?;
    shop.open(books.as_deref()).await?;
    if args.migrate {
        screen::addresses(shop);
        return journey::run(shop, args.smoke).await;
    }
    screen::welcome(shop).await?;
    if args.smoke {
        checks::run(shop).await
    } else {
        tour::run(shop).await
    }
}

async fn stop_signal() -> anyhow::Result<()> {
    let (mut int, mut term, mut hangup) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    tokio::select! { _ = int.recv() => {} _ = term.recv() => {} _ = hangup.recv() => {} }
    Ok(())
}
