//! `banyan seal`: ends the way back, and lists what can be deleted.

use std::process::ExitCode;

use clap::Args;
use handover::wire::{self, Phase};
use serde_json::json;

use super::sides::{End, Sides, failure};
use super::verify;
use crate::cli::remote::{Failure, Remote, Target};
use crate::cli::say;

/// End the reverse link of a module that has moved: the one step without a way back.
///
/// Refused unless the service has the pen and the monolith follows it without a difference. Afterwards the monolith's copy stands still,
/// and what can be deleted is listed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan seal catalog              what would end, and whether it may
  banyan seal catalog --yes        end it

Exit codes: 0 sealed (or it could be), 1 refused or failed, 2 wrong usage, 3 held.")]
pub(in crate::cli) struct Seal {
    /// The module's name.
    module: String,
    /// Do it.
    #[arg(long)]
    yes: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Seal {
    pub(in crate::cli) fn run(self) -> ExitCode {
        match self.work() {
            Ok(code) => code,
            Err(failure) => failure.end(self.json),
        }
    }

    fn work(&self) -> Result<ExitCode, Failure> {
        let sides = Sides::open(&self.target.file.config, &self.module)?;
        let remote = Remote::open(&self.target)?;
        let both = sides.both(&remote.runtime)?;
        let (service, monolith) = (&both.service, &both.monolith);
        let phase = monolith.follow.as_ref().map(|follow| follow.phase);
        if phase == Some(Phase::Sealed) {
            return Ok(self.end(
                "sealed",
                &["it has been sealed already".to_owned()],
                ExitCode::SUCCESS,
            ));
        }
        let mut held = Vec::new();
        if !service.pen.is_here() {
            held.push(format!(
                "`{}` does not hold the pen; hand over first",
                service.side
            ));
        }
        let followers = &service.feed.followers;
        let is_known = followers.iter().any(|known| known.side == monolith.side);
        if service.pen.is_here() && !is_known {
            held.push(format!(
                "`{}` keeps no feed for `{}`, which was forgotten, or a seal was broken off; copy once more with `banyan handover {} \
                 --to {} --until copy --again`, then seal",
                service.side, monolith.side, self.module, monolith.side
            ));
        } else if phase != Some(Phase::Following) {
            held.push("the monolith does not follow the service; see `banyan doctor`".to_owned());
        }
        if held.is_empty() {
            let report = verify::look(&sides, &both, End::Monolith, &remote.runtime, self.json)?;
            if !report.is_equal() {
                held = verify::told(&report);
            }
        }
        if !held.is_empty() {
            return Ok(self.end("held", &held, ExitCode::from(3)));
        }
        let mut lines = deletable(&self.module, &sides, &both.monolith);
        if !self.yes {
            lines.insert(
                0,
                "it may be sealed; --yes does it, and there is no way back then".to_owned(),
            );
            return Ok(self.end("possible", &lines, ExitCode::SUCCESS));
        }
        let command = wire::Seal {
            epoch: service.pen.epoch,
        };
        // The holder first: from its word on no pass begins, and only then may the follower stand still.
        for side in [&sides.service, &sides.monolith] {
            remote.runtime.block_on(side.seal(&command)).map_err(failure)?;
        }
        lines.insert(
            0,
            "sealed: the monolith's copy stands still from here on".to_owned(),
        );
        Ok(self.end("sealed", &lines, ExitCode::SUCCESS))
    }

    fn end(&self, outcome: &str, lines: &[String], code: ExitCode) -> ExitCode {
        say(&if self.json {
            json!({ "outcome": outcome, "lines": lines }).to_string()
        } else {
            lines.join("\n")
        });
        code
    }
}

/// What nobody needs any more once the module is sealed.
fn deletable(module: &str, sides: &Sides, monolith: &wire::Status) -> Vec<String> {
    let tables: Vec<&str> = monolith.tables.iter().map(|table| table.name.as_str()).collect();
    vec![
        "what can be deleted in the monolith:".to_owned(),
        format!("  tables   {}", tables.join(", ")),
        format!(
            "           pen_{0}, outbox_{0}, follow_{0}, followers_{0} and their triggers",
            module.replace('-', "_")
        ),
        format!(
            "  routes   every route of the module; writes: {}",
            sides.write_routes.join(", ")
        ),
        format!(
            "  settings handover.modules.{module}; flags.{module} stays on the adapter that asks the service"
        ),
        format!("  files    src/{module}/ but its port and its remote adapter"),
        "what changes in the router's file:".to_owned(),
        format!(
            "  [modules.{module}.handover] goes, writes = \"service\" comes into [modules.{module}], and its routes say mode = \"service\""
        ),
    ]
}
