//! `banyan verify`: both sides' rows compared while traffic runs, to the row and the column; and mended, if wished.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use handover::compare::{self, Difference, Progress, Report};
use handover::wire::Repair;
use serde_json::Value;

use super::pass::Pass;
use super::progress;
use super::sides::{Both, End, Sides, failure};
use crate::cli::remote::{Failure, Target};
use crate::cli::say;

/// How long rows may be looked at while writes wait: a part of the pause, which is to stay below a second.
const SETTLE: Duration = Duration::from_millis(500);
/// Differences that are shown; all of them are counted.
const SHOWN: usize = 20;

/// Compare all rows of a module on both sides.
///
/// While traffic runs: a row that is only late is asked again and is no difference. Nothing is changed, unless --repair is given:
/// then each row that differs is replaced by the holder's.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan verify catalog
  banyan verify catalog --repair
  banyan verify catalog --json | jq '.differences[] | {table, key, columns}'

Exit codes: 0 equal (or repaired), 1 refused or failed, 2 wrong usage, 3 they differ.")]
pub(in crate::cli) struct Verify {
    /// The module's name.
    module: String,
    /// Replace each row that differs by the holder's.
    #[arg(long)]
    repair: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Verify {
    pub(in crate::cli) fn run(self) -> ExitCode {
        match self.work() {
            Ok(code) => code,
            Err(failure) => failure.end(self.json),
        }
    }

    fn work(&self) -> Result<ExitCode, Failure> {
        let sides = Sides::open(&self.target.file.config, &self.module)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Other(error.to_string()))?;
        let both = sides.both(&runtime)?;
        let follower = if both.service.pen.holder == both.service.side {
            End::Monolith
        } else {
            End::Service
        };
        let report = look(&sides, &both, follower, &runtime, self.json)?;
        if self.repair && !report.is_equal() {
            for difference in &report.differences {
                let command = repair(difference);
                runtime
                    .block_on(sides.at(follower).repair(&command))
                    .map_err(failure)?;
            }
            let again = look(&sides, &both, follower, &runtime, self.json)?;
            return Ok(self.end(&again, Some(report.differences.len())));
        }
        Ok(self.end(&report, None))
    }

    fn end(&self, report: &Report, repaired: Option<usize>) -> ExitCode {
        if self.json {
            let mut value = serde_json::to_value(report).unwrap_or_default();
            value["repaired"] = repaired.into();
            say(&value.to_string());
        } else {
            let repaired = repaired.map_or_else(String::new, |rows| format!("{rows} rows repaired; "));
            let told = if report.is_equal() {
                summary(report)
            } else {
                told(report).join("\n")
            };
            say(&format!("{repaired}{told}"));
        }
        if report.is_equal() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(3)
        }
    }
}

/// The range that holds one row alone, as the holder has it.
fn repair(difference: &Difference) -> Repair {
    Repair {
        table: difference.table.clone(),
        after: difference.after.clone(),
        through: Some(difference.key.clone()),
    }
}

/// The verification of a pass.
pub(super) fn run(pass: &mut Pass<'_>, both: &Both) -> Result<Report, Failure> {
    let report = look(pass.sides, both, pass.to, &pass.remote.runtime, pass.quiet)?;
    pass.note("verify", &summary(&report));
    Ok(report)
}

/// Looks once more at the rows that did not come to rest. For when writes wait at the router: the pause grows by a look.
pub(super) fn settle(pass: &mut Pass<'_>, report: &mut Report) -> Result<(), Failure> {
    let (holder, follower) = (pass.sides.at(pass.from), pass.sides.at(pass.to));
    let settled = pass
        .remote
        .runtime
        .block_on(compare::settle(holder, follower, report, SETTLE));
    settled.map_err(failure)?;
    pass.note("verify", &summary(report));
    Ok(())
}

pub(super) fn look(
    sides: &Sides,
    both: &Both,
    follower: End,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> Result<Report, Failure> {
    let holder = if follower == End::Service {
        End::Monolith
    } else {
        End::Service
    };
    let bar = progress::rows("verify", quiet);
    let mut tell = |progress: Progress<'_>| {
        bar.set_position(progress.rows);
        bar.set_message(format!("{} ({} differ)", progress.table, progress.differences));
    };
    let tables = &both.at(holder).tables;
    let compared = runtime.block_on(compare::compare(
        sides.at(holder),
        sides.at(follower),
        tables,
        &mut tell,
    ));
    bar.finish_and_clear();
    compared.map_err(failure)
}

fn summary(report: &Report) -> String {
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let tables = report.tables.len();
    match (report.total, report.unsettled.len()) {
        (0, 0) => format!("{tables} tables, {rows} rows: equal"),
        (total, 0) => format!("{tables} tables, {rows} rows: {total} differ"),
        (total, unsettled) => {
            format!("{tables} tables, {rows} rows: {total} differ, {unsettled} did not come to rest")
        }
    }
}

/// The differences, a line each.
pub(super) fn told(report: &Report) -> Vec<String> {
    let mut lines = vec![summary(report)];
    lines.extend(report.differences.iter().take(SHOWN).map(line));
    let moves = |row: &compare::Unsettled| {
        format!(
            "{} {}: changed faster than it could be looked at on both sides",
            row.table,
            row.key.text()
        )
    };
    lines.extend(report.unsettled.iter().take(SHOWN).map(moves));
    let more = report
        .total
        .saturating_sub(SHOWN.min(report.differences.len()) as u64);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn line(difference: &Difference) -> String {
    let row = format!("{} {}", difference.table, difference.key.text());
    match &difference.missing_at {
        Some(side) => format!("{row}: missing at {side}"),
        None => {
            let value = |value: &Option<Value>| {
                value
                    .as_ref()
                    .map_or_else(|| "absent".to_owned(), Value::to_string)
            };
            let column = |column: &compare::Column| {
                format!(
                    "{}: {} at the holder, {} at the follower",
                    column.name,
                    value(&column.holder),
                    value(&column.follower)
                )
            };
            format!(
                "{row}: {}",
                difference
                    .columns
                    .iter()
                    .map(column)
                    .collect::<Vec<_>>()
                    .join("; ")
            )
        }
    }
}
