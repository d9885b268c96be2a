//! The command line: `banyan serve`, what looks at the file (`check`, `routes`, `why`, `try`), and what asks the running
//! router: `status`, `certify`, `plan`, `promote`, `set`, `revert`, `events`, `audit`; and what moves data: `handover`, `verify`,
//! `abort`, `seal`, `doctor`.
//!
//! For operators and scripts. What a command answers goes to standard output, complaints to standard error; this module is
//! the one place of the router that prints. Exit codes: 0 done, 1 the config is invalid, the router cannot be reached, or it
//! refuses or failed, 2 wrong usage, 3 held by the evidence (`try` has a fourth).

mod address;
mod answer;
mod audit;
mod back;
mod certify;
mod change;
mod check;
mod events;
mod handover;
mod indent;
mod reference;
mod remote;
mod routes;
mod send;
mod serve;
mod status;
mod table;
mod why;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Refused};

/// Sends each route of a monolith to the monolith or to the service extracted from it, as one file says.
#[derive(Debug, Parser)]
#[command(name = "banyan", version, arg_required_else_help = true, after_help = HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Examples:
  banyan check banyan.toml                     is the file valid? every mistake with its line
  banyan serve --config banyan.toml            run; edits of the file take effect within 1.5 s
  banyan routes                                what goes where
  banyan why GET /api/products/ABC             who would serve this, and why
  banyan why GET /api/products/ABC -H 'x-customer: 7'
  banyan try GET /api/products/ABC             send it, and see who did
  banyan status                                how the running router and its routes are doing
  banyan certify get-product                   does the evidence allow its next step?
  banyan promote get-product                   take it; the file is edited
  banyan revert get-product                    go back, at once

A complete banyan.toml:
  [router]
  listen = \"127.0.0.1:8080\"
  admin  = \"127.0.0.1:8081\"

  [upstreams]
  monolith = \"http://127.0.0.1:8100\"
  catalog  = \"http://127.0.0.1:8101\"

  [modules.catalog]
  service = \"catalog\"

  [[modules.catalog.routes]]
  name    = \"get-product\"
  match   = \"GET /api/products/{sku}\"
  mode    = \"canary\"                # monolith | shadow | canary | service
  percent = 10
  sticky  = \"header:x-customer\"     # header:NAME | cookie:NAME | client

Exit codes: 0 done, 1 the config is invalid, the router cannot be reached, refuses or failed, 2 wrong usage, 3 held by the
evidence.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the router.
    Serve(serve::Serve),
    /// Say whether a config file is valid, and what is wrong with it.
    Check(check::Check),
    /// List the routes: what goes where.
    Routes(routes::Routes),
    /// Say who would serve a request, and why.
    Why(why::Why),
    /// Send one request and show who answered it, and why.
    Try(send::Try),
    /// Print every key of the config file.
    Reference(reference::Reference),
    /// Show how the running router, its upstreams and its routes are doing.
    Status(status::Status),
    /// Say whether the evidence allows a route's next step.
    Certify(certify::Certify),
    /// Say what a promote, set or revert would do.
    Plan(change::Plan),
    /// Take a route's next step, if the evidence allows it.
    Promote(change::Promote),
    /// Put a route into a mode.
    Set(change::Set),
    /// Take routes back to the monolith, at once.
    Revert(change::Revert),
    /// Move a module's data, and the right to write it, to the other side.
    Handover(handover::Handover),
    /// Compare all rows of a module on both sides.
    Verify(handover::Verify),
    /// Take back a hand-over that has not been granted yet.
    Abort(handover::Abort),
    /// End the reverse link of a module that has moved.
    Seal(handover::Seal),
    /// Look at both sides of what is handed over, and name the next move.
    Doctor(handover::Doctor),
    /// Show what has happened, and what happens.
    Events(events::Events),
    /// Show who switched what, when and why.
    Audit(audit::Audit),
}

/// The file that is meant if none is named.
const DEFAULT_FILE: &str = "banyan.toml";

/// Where the config file is.
#[derive(Debug, Clone, Args)]
struct ConfigFile {
    /// The config file.
    #[arg(
        long,
        short,
        env = "BANYAN_CONFIG",
        default_value = DEFAULT_FILE,
        value_name = "FILE"
    )]
    config: PathBuf,
}

impl ConfigFile {
    /// It as an argument, for a command that is shown; nothing if it is the usual one.
    fn as_argument(&self) -> String {
        match self.config == Path::new(DEFAULT_FILE) {
            true => String::new(),
            false => format!(" --config {}", self.config.display()),
        }
    }
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Routes(command) => command.run(),
        Command::Why(command) => command.run(),
        Command::Try(command) => command.run(),
        Command::Reference(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Certify(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Promote(command) => command.run(),
        Command::Set(command) => command.run(),
        Command::Revert(command) => command.run(),
        Command::Handover(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Abort(command) => command.run(),
        Command::Seal(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Events(command) => command.run(),
        Command::Audit(command) => command.run(),
    }
}

/// Loads the config or says what is wrong with it.
fn load(path: &Path) -> Result<Config, ExitCode> {
    Config::load(path).map_err(|refused| {
        complain(&refused);
        ExitCode::FAILURE
    })
}

fn complain(refused: &Refused) {
    let (count, plural) = (
        refused.faults.len(),
        if refused.faults.len() == 1 { "" } else { "s" },
    );
    tell(&format!(
        "{refused}\n{}: refused, {count} mistake{plural}",
        refused.file
    ));
}

/// Prints to standard output. A reader that has gone away, such as `head`, is no error.
fn say(text: &str) {
    use std::io::Write;
    let _gone = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints to standard error.
fn tell(text: &str) {
    use std::io::Write;
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}
