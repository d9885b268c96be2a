//! `banyan routes`: the file as a table.

use std::process::ExitCode;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};

use super::{ConfigFile, load, say};
use crate::config::{Config, Mode};
use crate::report;

/// List the routes: what goes where.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan routes
  banyan routes --config staging.toml --json | jq '.routes[] | select(.mode != \"monolith\")'

Exit codes: 0 listed, 1 the config is invalid, 2 wrong usage.")]
pub(super) struct Routes {
    #[command(flatten)]
    file: ConfigFile,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Routes {
    pub(super) fn run(self) -> ExitCode {
        let config = match load(&self.file.config) {
            Ok(config) => config,
            Err(code) => return code,
        };
        if self.json {
            say(&report::routes(&config).to_string());
        } else {
            say(&table(&config));
        }
        ExitCode::SUCCESS
    }
}

fn table(config: &Config) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    // On a terminal the columns wrap to its width; in a pipe every route stays on one line.
    if let Some((width, _)) = terminal_size::terminal_size() {
        table.set_width(width.0);
    }
    table.set_header(["ROUTE", "MODULE", "MATCH", "MODE", "SERVED BY"]);
    for route in &config.routes {
        let module = &config.modules[route.module];
        let service = module
            .service
            .map_or("-", |index| config.upstreams[index].name.as_str());
        let served = match route.mode {
            Mode::Monolith => "monolith".to_owned(),
            Mode::Shadow => format!("monolith; {} % compared with {service}", route.sample),
            Mode::Service => service.to_owned(),
            Mode::Canary(_) => format!("{service}, else monolith; sticky {}", route.sticky),
        };
        let host = route
            .host
            .as_ref()
            .map(|host| format!(" (host {host})"))
            .unwrap_or_default();
        let rule = format!("{}{host}", route.rule);
        table.add_row([
            route.name.clone(),
            module.name.clone(),
            rule,
            route.mode.to_string(),
            served,
        ]);
    }
    table.add_row(["-", "-", "everything else", "-", "monolith"]);
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}
