//! `banyan reference`: every key of the config file, as the page in the book.

use std::process::ExitCode;

use clap::Args;

use super::say;
use crate::config::reference;

/// Print every key of the config file: what it takes, what holds without it, what it is for.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan reference | less
  banyan reference > docs/src/reference/config.md

Exit codes: 0 printed, 2 wrong usage.")]
pub(super) struct Reference {}

impl Reference {
    pub(super) fn run(self) -> ExitCode {
        say(reference::markdown().trim_end());
        ExitCode::SUCCESS
    }
}
