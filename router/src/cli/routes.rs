//! `banyan routes`: the routes as a table, those of the file or those that are being served.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::remote::{Failure, Remote, Target};
use super::{load, say, table};
use crate::report;
use crate::report::RouteInfo;

/// List the routes: what goes where.
///
/// Those of the config file; with --live those that the running router serves, which may be an earlier version.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan routes
  banyan routes --live
  banyan routes --config staging.toml --json | jq '.routes[] | select(.mode != \"monolith\")'

Exit codes: 0 listed, 1 the config is invalid, or no router can be reached, 2 wrong usage.")]
pub(super) struct Routes {
    /// Ask the running router instead of the file.
    #[arg(long)]
    live: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Routes {
    pub(super) fn run(self) -> ExitCode {
        let routes = match self.live {
            true => match self.ask() {
                Ok(routes) => routes,
                Err(failure) => return failure.end(self.json),
            },
            false => match load(&self.target.file.config) {
                Ok(config) => report::routes(&config),
                Err(code) => return code,
            },
        };
        match self.json {
            // Texts and numbers always serialise.
            true => say(&serde_json::to_string(&routes).unwrap_or_default()),
            false => say(&listed(&routes)),
        }
        ExitCode::SUCCESS
    }

    fn ask(&self) -> Result<report::Routes, Failure> {
        let told: Value = Remote::open(&self.target)?.get(&["routes"], &[])?;
        serde_json::from_value(told).map_err(|error| {
            Failure::Other(format!(
                "the router is of another version than this command: {error}"
            ))
        })
    }
}

fn listed(routes: &report::Routes) -> String {
    let mut table = table::table(["ROUTE", "MODULE", "MATCH", "MODE", "SERVED BY"]);
    for route in &routes.routes {
        let host = route.host.as_ref().map(|host| format!(" (host {host})"));
        let percent = route.percent.map(|percent| format!(" {percent} %"));
        table.add_row([
            route.name.clone(),
            route.module.clone(),
            format!("{}{}", route.matches, host.unwrap_or_default()),
            format!("{}{}", route.mode, percent.unwrap_or_default()),
            served_by(route),
        ]);
    }
    table.add_row(["-", "-", "everything else", "-", "monolith"]);
    table::text(&table)
}

fn served_by(route: &RouteInfo) -> String {
    let service = route.service.as_deref().unwrap_or("-");
    match route.mode.as_str() {
        "shadow" => format!("monolith; {} % compared with {service}", route.sample),
        "service" => service.to_owned(),
        "canary" => format!("{service}, else monolith; sticky {}", route.sticky),
        _ => "monolith".to_owned(),
    }
}
