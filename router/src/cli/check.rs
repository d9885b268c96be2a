//! `banyan check`: the same reading of the file that `serve` begins with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{complain, say};
use crate::config::Config;

/// Say whether a config file is valid, and what is wrong with it.
///
/// Every mistake is listed as FILE:LINE:COLUMN: KEY: what is wrong; what to write instead.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan check                       checks ./banyan.toml, or $BANYAN_CONFIG
  banyan check staging.toml
  banyan check --json | jq '.faults[].line'

Exit codes: 0 valid, 1 invalid, 2 wrong usage.")]
pub(super) struct Check {
    /// The config file.
    #[arg(env = "BANYAN_CONFIG", default_value = "banyan.toml")]
    file: PathBuf,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        match (Config::load(&self.file), self.json) {
            (Ok(config), true) => {
                let (routes, modules) = (config.routes.len(), config.modules.len());
                say(
                    &json!({ "valid": true, "hash": config.hash, "routes": routes, "modules": modules })
                        .to_string(),
                );
                ExitCode::SUCCESS
            }
            (Ok(config), false) => {
                let plural =
                    |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
                say(&format!(
                    "{}: valid: {}, {}, {}",
                    self.file.display(),
                    plural(config.upstreams.len(), "upstream"),
                    plural(config.modules.len(), "module"),
                    plural(config.routes.len(), "route"),
                ));
                ExitCode::SUCCESS
            }
            (Err(refused), true) => {
                say(&json!({ "valid": false, "file": refused.file, "faults": refused.faults }).to_string());
                ExitCode::FAILURE
            }
            (Err(refused), false) => {
                complain(&refused);
                ExitCode::FAILURE
            }
        }
    }
}
