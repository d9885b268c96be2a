//! `banyan doctor`: what both sides say, what that means, and the one move that is right now.

use std::process::ExitCode;

use clap::Args;
use handover::doctor::{self, Diagnosis, Move};
use handover::wire::{Phase, Status};
use serde_json::{Value, json};

use super::sides::Sides;
use crate::cli::remote::{Failure, Target};
use crate::cli::{say, table};
use crate::config::Config;

/// Look at both sides of every module that is handed over, and name the one legal next move.
///
/// Needs no router: it asks the two sides. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan doctor
  banyan doctor catalog --json | jq -r .modules[].next.command

Exit codes: 0 all is well, 1 a side cannot be asked, 2 wrong usage, 3 there is something to do.")]
pub(in crate::cli) struct Doctor {
    /// One module alone.
    module: Option<String>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What was found of one module.
struct Found {
    module: String,
    sides: Vec<Result<Status, String>>,
    diagnosis: Option<Diagnosis>,
    remarks: Vec<String>,
}

impl Doctor {
    pub(in crate::cli) fn run(self) -> ExitCode {
        match self.work() {
            Ok(code) => code,
            Err(failure) => failure.end(self.json),
        }
    }

    fn work(&self) -> Result<ExitCode, Failure> {
        let file = &self.target.file.config;
        let config = Config::load(file).map_err(|refused| Failure::Other(refused.to_string()))?;
        let handed_over = config.modules.iter().filter(|module| module.handover.is_some());
        let names: Vec<&String> = handed_over.map(|module| &module.name).collect();
        let wanted: Vec<&String> = match &self.module {
            Some(module) => vec![module],
            None => names,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Other(error.to_string()))?;
        let mut found = Vec::new();
        for module in wanted {
            let sides = Sides::open(file, module)?;
            let (one, other) =
                runtime.block_on(async { tokio::join!(sides.monolith.status(), sides.service.status()) });
            found.push(Found::of(
                module,
                [one, other].map(|side| side.map_err(|error| error.to_string())),
            ));
        }
        if self.json {
            say(&json!({ "modules": found.iter().map(Found::as_json).collect::<Vec<_>>() }).to_string());
        } else if found.is_empty() {
            say(&format!(
                "{}: no module has a section [modules.….handover]",
                file.display()
            ));
        } else {
            say(&found.iter().map(Found::as_text).collect::<Vec<_>>().join("\n\n"));
        }
        Ok(code(&found))
    }
}

fn code(found: &[Found]) -> ExitCode {
    if found.iter().any(|found| found.diagnosis.is_none()) {
        return ExitCode::FAILURE;
    }
    let is_well = |found: &Found| {
        found.remarks.is_empty()
            && found
                .diagnosis
                .as_ref()
                .is_some_and(|diagnosis| matches!(diagnosis.next, Move::None { .. }))
    };
    if found.iter().all(is_well) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    }
}

impl Found {
    fn of(module: &str, sides: [Result<Status, String>; 2]) -> Self {
        let diagnosis = match &sides {
            [Ok(monolith), Ok(service)] => Some(doctor::diagnose(monolith, service)),
            _ => None,
        };
        let remarks = sides.iter().flatten().flat_map(remarks).collect();
        Self {
            module: module.to_owned(),
            sides: sides.into(),
            diagnosis,
            remarks,
        }
    }

    fn as_text(&self) -> String {
        let mut rows = table::table(["SIDE", "HOLDER", "EPOCH", "STATE", "FOLLOWS", "REACHED", "LAG"]);
        for side in self.sides.iter().flatten() {
            let follow = side.follow.as_ref();
            rows.add_row([
                side.side.clone(),
                side.pen.holder.clone(),
                side.pen.epoch.to_string(),
                side.pen.state.word().to_owned(),
                follow.map_or_else(
                    || "-".to_owned(),
                    |follow| format!("{}, {}", follow.source, follow.phase.word()),
                ),
                follow
                    .and_then(|follow| follow.reached)
                    .map_or_else(|| "-".to_owned(), |reached| reached.to_string()),
                follow
                    .and_then(|follow| follow.lag_seconds)
                    .map_or_else(|| "-".to_owned(), |lag| format!("{lag:.1} s")),
            ]);
        }
        let mut text = format!("{}\n{}", self.module, table::text(&rows));
        for error in self.sides.iter().filter_map(|side| side.as_ref().err()) {
            text += &format!("\n  {error}");
        }
        for remark in &self.remarks {
            text += &format!("\n  {remark}");
        }
        let writes = self
            .diagnosis
            .as_ref()
            .and_then(|diagnosis| diagnosis.writes.as_deref());
        match &self.diagnosis {
            None => text + "\n  both sides must answer before anything can be said",
            Some(diagnosis) => {
                let (sentence, command) = advice(&diagnosis.next, &self.module);
                let who = writes.map_or_else(
                    || "nobody accepts writes".to_owned(),
                    |side| format!("`{side}` accepts writes"),
                );
                let command = command.map_or_else(String::new, |command| format!("\n  next: {command}"));
                format!("{text}\n  {who}; {sentence}{command}")
            }
        }
    }

    fn as_json(&self) -> Value {
        let side = |side: &Result<Status, String>| match side {
            Ok(status) => serde_json::to_value(status).unwrap_or_default(),
            Err(error) => json!({ "error": error }),
        };
        let next = self.diagnosis.as_ref().map(|diagnosis| {
            let (sentence, command) = advice(&diagnosis.next, &self.module);
            json!({ "move": word(&diagnosis.next), "sentence": sentence, "command": command })
        });
        json!({
            "module": self.module,
            "writes": self.diagnosis.as_ref().and_then(|diagnosis| diagnosis.writes.clone()),
            "next": next,
            "remarks": self.remarks,
            "sides": self.sides.iter().map(side).collect::<Vec<_>>(),
        })
    }
}

/// What is wrong with a side by itself.
fn remarks(side: &Status) -> Vec<String> {
    let Some(follow) = &side.follow else {
        return Vec::new();
    };
    match (follow.phase, &follow.parked) {
        (Phase::Parked, Some(parked)) => {
            let row = match (&parked.table, &parked.key) {
                (Some(table), Some(key)) => format!(" at {table} {}", key.text()),
                _ => String::new(),
            };
            vec![format!(
                "`{}` is parked{row}: {}; mend the cause, then hand over with --again",
                side.side, parked.error
            )]
        }
        _ => Vec::new(),
    }
}

fn word(next: &Move) -> &'static str {
    match next {
        Move::None { .. } => "none",
        Move::Grant { .. } => "grant",
        Move::Drain { .. } => "drain",
        Move::Accept { .. } => "accept",
        Move::Await { .. } => "await",
        Move::Turn { .. } => "turn",
        Move::Restored { .. } => "restored",
    }
}

/// The move in words, and the command that makes it.
fn advice(next: &Move, module: &str) -> (String, Option<String>) {
    let go_on = |to: &str| {
        Some(format!(
            "banyan handover {module} --to {to}   (it goes on where it was left)"
        ))
    };
    match next {
        Move::None { holder } => (format!("no pass is under way, `{holder}` has the pen"), None),
        Move::Grant { at } => (
            format!(
                "`{at}` is fenced and the other side has everything: it can grant, or take the fence back"
            ),
            Some(format!(
                "banyan handover {module}   (to go on), or banyan abort {module}"
            )),
        ),
        Move::Drain { at, until } => (
            format!("the holder is fenced, and `{at}` has not come to {until} yet: it goes on by itself"),
            Some(format!("banyan abort {module}   (or wait)")),
        ),
        Move::Accept { at } => (
            format!("the pen was granted to `{at}`, which has everything: it can accept"),
            go_on(end(at)),
        ),
        Move::Await { at, until } => (
            format!(
                "the pen was granted to `{at}`, which has not come to {until} yet: it must, there is no way back"
            ),
            go_on(end(at)),
        ),
        Move::Turn { at } => (
            format!("the new holder writes; `{at}` must turn and follow"),
            go_on(if end(at) == "monolith" {
                "service"
            } else {
                "monolith"
            }),
        ),
        Move::Restored { right } => (
            format!(
                "the sides contradict each other, as after a restored backup: `{right}` has the greater epoch and is right"
            ),
            Some("stop the other side and see *Restored databases* in the protocol's page".to_owned()),
        ),
    }
}

fn end(side: &str) -> &'static str {
    if side == handover::MONOLITH {
        "monolith"
    } else {
        "service"
    }
}
