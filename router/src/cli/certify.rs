//! `banyan certify`: whether the evidence allows a route's next step, criterion by criterion.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::remote::{Remote, Target};
use super::{say, table};

/// Say whether the evidence allows a route's next step.
///
/// Every criterion with what is wanted and what there is. Nothing known is never good enough: it holds the route back. The
/// bounds are those of [certificate] in the config file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan certify get-product
  banyan certify get-product --json | jq '.criteria[] | select(.holds | not)'

Exit codes: 0 the step may be taken, 1 refused, or no router can be reached, 2 wrong usage, 3 held.")]
pub(super) struct Certify {
    /// The route's name.
    route: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Certify {
    pub(super) fn run(self) -> ExitCode {
        let asked = Remote::open(&self.target);
        let asked = asked.and_then(|remote| remote.get(&["routes", &self.route, "certificate"], &[]));
        let certificate = match asked {
            Ok(certificate) => certificate,
            Err(failure) => return failure.end(self.json),
        };
        say(&if self.json {
            certificate.to_string()
        } else {
            text(&certificate)
        });
        match certificate["is_open"] == true {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(3),
        }
    }
}

fn text(certificate: &Value) -> String {
    let part = |key: &str| certificate[key].as_str().unwrap_or("unknown");
    let verdict = match (certificate["is_needed"] == true, part("verdict")) {
        (false, _) => "open: this step needs no certificate",
        (true, "pass") => "pass",
        (true, _) => "hold",
    };
    let mut table = table::table(["CRITERION", "WANTED", "THERE IS", ""]);
    for criterion in certificate["criteria"].as_array().into_iter().flatten() {
        let part = |key: &str| criterion[key].as_str().unwrap_or_default().to_owned();
        let mark = if criterion["holds"] == true { "ok" } else { "no" };
        table.add_row([part("name"), part("bound"), part("value"), mark.to_owned()]);
    }
    format!(
        "{}: {} → {}: {verdict}\n\n{}\n\ncertificate {}, good until {}; builds: monolith {}, service {}",
        part("route"),
        part("from"),
        part("to"),
        table::text(&table),
        part("id"),
        part("expires_at"),
        part("monolith_build"),
        part("service_build"),
    )
}
