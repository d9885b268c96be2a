//! `banyan audit`: who switched what, when, why, and how it ended.

use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::Args;
use serde_json::Value;

use super::remote::{Remote, Target};
use super::{say, table};

/// Show the audit log: who switched what, when and why.
///
/// Newest first. Every switch is in it, and every edit of the file that the router took or refused; what was done against
/// the evidence begins with FORCED. Rows are chained by their hashes, and --verify finds the first that is not as it was written.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan audit
  banyan audit --route get-product --limit 5
  banyan audit --module catalog --since 2026-01-31
  banyan audit --actor auto --since 24h
  banyan audit --verify --limit 1

Exit codes: 0 shown, 1 the log is not as it was written, or cannot be read, or no router can be reached, 2 wrong usage.")]
pub(super) struct Audit {
    /// Entries that concern this route.
    #[arg(long)]
    route: Option<String>,
    /// Entries that concern a route of this module.
    #[arg(long)]
    module: Option<String>,
    /// Entries of this actor: cli:USER@HOST, api:NAME, auto, or file.
    #[arg(long)]
    actor: Option<String>,
    /// Entries from this time on: a day, a time as 2026-01-31T09:30:00Z, or so long ago as 90m, 24h or 7d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Entries before the one with this number: the next page.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// So many at the most, 1 to 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Verify the whole log as well.
    #[arg(long)]
    verify: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Audit {
    pub(super) fn run(self) -> ExitCode {
        match Remote::open(&self.target).and_then(|remote| remote.get(&["audit"], &self.query())) {
            Ok(page) => {
                say(&if self.json { page.to_string() } else { text(&page) });
                ExitCode::SUCCESS
            }
            Err(failure) => failure.end(self.json),
        }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("route", self.route.clone()),
            ("module", self.module.clone()),
            ("actor", self.actor.clone()),
            ("since", self.since.map(|since| since.to_rfc3339())),
            ("before", self.before.map(|before| before.to_string())),
            ("limit", Some(self.limit.to_string())),
            ("verify", self.verify.then(|| "true".to_owned())),
        ];
        given
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }
}

fn text(page: &Value) -> String {
    let mut table = table::table(["ID", "WHEN", "OUTCOME", "WHAT"]);
    for entry in page["entries"].as_array().into_iter().flatten() {
        let part = |key: &str| entry[key].as_str().unwrap_or_default();
        let when = part("at").get(..19).unwrap_or_default().replace('T', " ");
        let outcome = entry["outcome"].as_str().unwrap_or("under way");
        let what = match part("detail") {
            "" => part("sentence").to_owned(),
            detail => format!("{} ({detail})", part("sentence")),
        };
        let what = what.replace('\n', " ");
        table.add_row([
            entry["id"].to_string(),
            format!("{when}Z"),
            outcome.to_owned(),
            what,
        ]);
    }
    let mut text = table::text(&table);
    if let Some(verified) = page["verified"].as_object() {
        let head = verified["head"].as_str().unwrap_or_default();
        text += &format!(
            "\n\nthe log is as it was written: {} rows, head {head}",
            verified["rows"]
        );
    }
    text
}

/// Reads a day, a time, or how long ago.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let ago = |text: &str| {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: i64 = number
            .parse()
            .ok()
            .filter(|number| (0..=100_000).contains(number))?;
        let ago = match unit {
            "s" => TimeDelta::try_seconds(number),
            "m" => TimeDelta::try_minutes(number),
            "h" => TimeDelta::try_hours(number),
            "d" => TimeDelta::try_days(number),
            _ => None,
        };
        Utc::now().checked_sub_signed(ago?)
    };
    let day = |text: &str| Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    let exact = text.parse::<DateTime<Utc>>().ok();
    exact
        .or_else(|| day(text))
        .or_else(|| ago(text))
        .ok_or_else(|| "write such as 2026-01-31, 2026-01-31T09:30:00Z, 90m, 24h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(
            time("2026-01-31").unwrap().to_rfc3339(),
            "2026-01-31T00:00:00+00:00"
        );
        assert_eq!(
            time("2026-01-31T09:30:00+01:00").unwrap().to_rfc3339(),
            "2026-01-31T08:30:00+00:00"
        );
        let day = Utc::now() - time("24h").unwrap();
        assert!((day.num_seconds() - 86_400).abs() < 60);
        for bad in ["", "h", "yesterday", "-1h", "1w", "99999999999d"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
