//! Command-line arguments that every server of the project takes in the same words.

use std::path::PathBuf;

/// Where the settings come from, and the two that are most often set by hand. Taken before or after the subcommand.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Common {
    /// TOML file with settings; keys it leaves out keep their defaults
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Database: `sqlite:PATH` or `postgres://user:password@host/name`
    #[arg(long, global = true, value_name = "URL")]
    pub database: Option<String>,
}

impl Common {
    /// The file to read: the one given here, else the one that `<PREFIX>_CONFIG` names.
    pub fn config_file(&self, prefix: &str) -> Option<PathBuf> {
        self.config
            .clone()
            .or_else(|| std::env::var_os(format!("{prefix}_CONFIG")).map(PathBuf::from))
    }
}

/// Reads an argument that is either the text itself or `@FILE`, the file that holds it: what stands on a command line can
/// be read by everybody on the machine, so secrets had better come from a file.
pub fn text_or_file(given: &str) -> Result<String, String> {
    match given.strip_prefix('@') {
        None => Ok(given.to_owned()),
        Some(file) => std::fs::read_to_string(file)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("{file}: {error}")),
    }
}
