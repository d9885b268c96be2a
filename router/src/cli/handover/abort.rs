//! `banyan abort`: takes a fence back, as long as nothing has been granted.

use std::process::ExitCode;

use clap::Args;
use handover::wire::{self, State};
use serde_json::json;

use super::sides::{End, Sides, failure};
use crate::cli::remote::{Failure, PATIENCE, Remote, Target, actor};
use crate::cli::say;

/// Take back a hand-over that has not been granted yet.
///
/// The holder writes on, two epochs later. After a grant there is only forward: the command says so, and `banyan handover` ends the
/// pass. Needs no router; one that runs lets the writes go on that it holds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan abort catalog

Exit codes: 0 taken back, or there was nothing to take back, 1 refused or failed, 2 wrong usage, 3 the grant was first.")]
pub(in crate::cli) struct Abort {
    /// The module's name.
    module: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Abort {
    pub(in crate::cli) fn run(self) -> ExitCode {
        match self.work() {
            Ok((code, outcome, sentence)) => {
                say(&if self.json {
                    json!({ "outcome": outcome, "sentence": sentence }).to_string()
                } else {
                    sentence
                });
                code
            }
            Err(failure) => failure.end(self.json),
        }
    }

    fn work(&self) -> Result<(ExitCode, &'static str, String), Failure> {
        let sides = Sides::open(&self.target.file.config, &self.module)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Other(error.to_string()))?;
        let mut away = None;
        for end in [End::Monolith, End::Service] {
            let pen = match runtime.block_on(sides.at(end).status()) {
                Ok(status) => status.pen,
                Err(error) => {
                    away = Some(error);
                    continue;
                }
            };
            match (pen.state, pen.pass) {
                (State::Fenced, Some(pass)) => {
                    let command = wire::Abort {
                        pass,
                        epoch: pen.epoch,
                    };
                    let result = runtime.block_on(sides.at(end).abort(&command));
                    return match result {
                        Ok(pen) => {
                            self.release();
                            let told =
                                format!("taken back: `{}` writes on, in epoch {}", pen.holder, pen.epoch);
                            Ok((ExitCode::SUCCESS, "aborted", told))
                        }
                        Err(error) if error.is("lost") => Ok(self.too_late()),
                        Err(error) => Err(failure(error)),
                    };
                }
                (State::Granted, _) => return Ok(self.too_late()),
                _ => {}
            }
        }
        match away {
            Some(error) => Err(failure(error)),
            None => Ok((
                ExitCode::SUCCESS,
                "nothing",
                "nothing to take back: no pass is under way".to_owned(),
            )),
        }
    }

    fn too_late(&self) -> (ExitCode, &'static str, String) {
        let told = format!(
            "the grant was first; there is only forward: `banyan handover {}` ends the pass, and then comes the way back",
            self.module
        );
        (ExitCode::from(3), "granted", told)
    }

    /// A router that holds writes lets them go on; one that is away does so by itself.
    fn release(&self) {
        if let Ok(remote) = Remote::open(&self.target) {
            let body = json!({ "reason": "abort" });
            let _ = remote.post(&["modules", &self.module, "release"], &body, &actor(), PATIENCE);
        }
    }
}
