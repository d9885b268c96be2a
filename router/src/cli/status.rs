//! `banyan status`: how the router, its upstreams and its routes are doing.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::remote::{Remote, Target};
use super::{say, table};

/// Show how the router, its upstreams and its routes are doing.
///
/// Figures of traffic are those of the last minute: requests, errors, and the latency that one in a hundred exceeds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan status
  watch -n 1 banyan status
  banyan status --json | jq '.routes[] | select(.breach)'

Exit codes: 0 shown, 1 no router can be reached, 2 wrong usage.")]
pub(super) struct Status {
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Status {
    pub(super) fn run(self) -> ExitCode {
        match Remote::open(&self.target).and_then(|remote| remote.get(&["status"], &[])) {
            Ok(status) => {
                say(&if self.json {
                    status.to_string()
                } else {
                    text(&status)
                });
                ExitCode::SUCCESS
            }
            Err(failure) => failure.end(self.json),
        }
    }
}

fn text(status: &Value) -> String {
    let part = |key: &str| status[key].as_str().unwrap_or_default();
    let hash = part("hash").get(..12).unwrap_or_default();
    let mut lines = vec![format!(
        "banyan {} since {}; config {hash} for {} s{}",
        part("version"),
        minute(part("began")),
        status["age_seconds"],
        if status["draining"] == true {
            "; DRAINING"
        } else {
            ""
        },
    )];
    if let Some(faults) = status["refused"]["faults"].as_array() {
        let file = status["refused"]["file"].as_str().unwrap_or_default();
        lines.push("THE FILE IS NOT TAKEN, what was served before goes on:".to_owned());
        lines.extend(faults.iter().map(|fault| {
            let part = |key: &str| fault[key].as_str().unwrap_or_default();
            let (reason, remedy) = (part("reason"), part("remedy"));
            format!(
                "  {file}:{}:{}: {}: {reason}; {remedy}",
                fault["line"],
                fault["column"],
                part("key")
            )
        }));
    }
    if status["audit_waiting"]
        .as_u64()
        .is_some_and(|waiting| waiting > 0)
    {
        lines.push(format!(
            "THE AUDIT LOG misses {} entries: mend the state database",
            status["audit_waiting"]
        ));
    }
    lines.push(String::new());
    lines.push(upstreams(status));
    lines.push(String::new());
    if status["pens"].as_array().is_some_and(|pens| !pens.is_empty()) {
        lines.push(pens(status));
        lines.push(String::new());
    }
    lines.push(routes(status));
    lines.join("\n")
}

fn upstreams(status: &Value) -> String {
    let mut table = table::table(["UPSTREAM", "ADDRESS", "CIRCUIT", "BUILD", "DATA AT"]);
    for upstream in status["upstreams"].as_array().into_iter().flatten() {
        let part = |key: &str| upstream[key].as_str().unwrap_or("-").to_owned();
        let positions = upstream["positions"].as_object().into_iter().flatten();
        let positions: Vec<String> = positions
            .map(|(module, position)| format!("{module} {}", position.as_str().unwrap_or_default()))
            .collect();
        let positions = if positions.is_empty() {
            "-".to_owned()
        } else {
            positions.join(", ")
        };
        table.add_row([
            part("name"),
            addresses(upstream),
            part("circuit"),
            part("build"),
            positions,
        ]);
    }
    table::text(&table)
}

/// The address, or each of several with a line of its own.
fn addresses(upstream: &Value) -> String {
    let several = upstream["addresses"].as_array().into_iter().flatten();
    let lines: Vec<String> = several
        .map(|address| {
            let name = address["address"].as_str().unwrap_or_default();
            match address["left_alone_ms"].as_u64() {
                Some(millis) => format!("{name} LEFT ALONE, tried in {:.1} s", millis as f64 / 1000.0),
                None => name.to_owned(),
            }
        })
        .collect();
    match lines.is_empty() {
        true => upstream["address"].as_str().unwrap_or("-").to_owned(),
        false => lines.join("\n"),
    }
}

/// Who may write each module that is handed over; writes go there, whatever the modes of their routes say.
fn pens(status: &Value) -> String {
    let mut table = table::table(["MODULE", "PEN", "EPOCH", "STATE", "WRITES", "OTHER SIDE"]);
    for pen in status["pens"].as_array().into_iter().flatten() {
        let part = |key: &str| pen[key].as_str().unwrap_or("not known yet").to_owned();
        let writes = match (pen["held"] == true, pen["waiting"].as_u64().unwrap_or_default()) {
            (true, waiting) => format!("wait: {waiting}"),
            (false, _) => "go on".to_owned(),
        };
        let follower = match pen["holder"].as_str() {
            Some("service") => &pen["monolith"],
            _ => &pen["service"],
        };
        let follower = match (follower["phase"].as_str(), follower["lag_seconds"].as_f64()) {
            (Some(phase), Some(lag)) => format!("{phase}, {lag:.1} s behind"),
            (Some(phase), None) => phase.to_owned(),
            (None, _) if follower.is_object() => "does not follow".to_owned(),
            (None, _) => "does not answer".to_owned(),
        };
        table.add_row([
            part("module"),
            part("holder"),
            pen["epoch"].to_string(),
            part("state"),
            writes,
            follower,
        ]);
    }
    table::text(&table)
}

fn routes(status: &Value) -> String {
    let mut table = table::table([
        "ROUTE", "MODE", "SINCE", "MONOLITH", "SERVICE", "COMPARED", "NEXT",
    ]);
    for route in status["routes"].as_array().into_iter().flatten() {
        let part = |key: &str| route[key].as_str().unwrap_or_default().to_owned();
        let percent = route["percent"].as_f64().map(|percent| format!(" {percent} %"));
        let auto = if route["auto"] == true { ", auto" } else { "" };
        let compared = match (route["comparisons"].as_u64(), route["mismatches"].as_u64()) {
            (Some(0), _) | (None, _) => "-".to_owned(),
            (Some(all), differing) => format!("{all}, {} differ", differing.unwrap_or_default()),
        };
        let next = match &route["breach"] {
            Value::Object(breach) => format!("BREACH of {}", breach["metric"].as_str().unwrap_or_default()),
            _ => route["next"].as_str().unwrap_or("-").to_owned(),
        };
        table.add_row([
            part("name"),
            format!("{}{}{auto}", part("mode"), percent.unwrap_or_default()),
            minute(&part("since")),
            side(&route["monolith"]),
            side(&route["service"]),
            compared,
            next,
        ]);
    }
    table::text(&table)
}

fn side(side: &Value) -> String {
    match side["requests"].as_u64() {
        None | Some(0) => "-".to_owned(),
        Some(requests) => {
            let p99 = side["p99_ms"].as_f64().map(|p99| format!(", p99 {p99:.1} ms"));
            format!("{requests}, {} failed{}", side["errors"], p99.unwrap_or_default())
        }
    }
}

/// A time to the minute, as `2026-01-31 09:30Z`.
pub(super) fn minute(time: &str) -> String {
    match (time.get(..10), time.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute}Z"),
        _ => time.to_owned(),
    }
}
