//! `banyan events`: what has happened, and what happens.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::remote::{Failure, Remote, Target};
use super::tell;

/// How long to wait before a lost router is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest event that is read.
const LONGEST: usize = 1 << 20;

/// Show what has happened: switches, reloads, refused files, breaches, circuits.
///
/// The router keeps the last 500 of its run; the audit log (`banyan audit`) keeps switches for ever.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan events
  banyan events --follow                              until Ctrl-C, also over a restart of the router
  banyan events --follow --json | jq -c 'select(.kind == \"breach\")'

Exit codes: 0 shown, 1 no router can be reached, 2 wrong usage.")]
pub(super) struct Events {
    /// Go on showing what happens.
    #[arg(long, short)]
    follow: bool,
    /// Answer as JSON, one event in a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Events {
    pub(super) fn run(self) -> ExitCode {
        let mut reader = Reader {
            seen: "0".to_owned(),
            as_json: self.json,
            is_shown: false,
        };
        let remote = match Remote::open(&self.target) {
            Ok(remote) => remote,
            Err(failure) => return failure.end(self.json),
        };
        loop {
            let read = remote.runtime.block_on(reader.read(&remote, self.follow));
            match read {
                Ok(Ended::NobodyReads) => return ExitCode::SUCCESS,
                Ok(Ended::Stream) if !self.follow => return ExitCode::SUCCESS,
                Ok(Ended::Stream) => {}
                Err(failure @ Failure::Unreachable { .. }) if self.follow && reader.is_shown => {
                    tell("the router is gone; it is asked again each second");
                    drop(failure);
                }
                Err(failure) => return failure.end(self.json),
            }
            std::thread::sleep(PAUSE);
        }
    }
}

struct Reader {
    /// The number of the last event that was shown.
    seen: String,
    as_json: bool,
    /// Whether the router has answered before.
    is_shown: bool,
}

enum Ended {
    /// The router has ended it.
    Stream,
    /// What we print goes nowhere, as with `head`.
    NobodyReads,
}

impl Reader {
    async fn read(&mut self, remote: &Remote, follow: bool) -> Result<Ended, Failure> {
        let query = if follow {
            vec![]
        } else {
            vec![("follow", "false".to_owned())]
        };
        let request = remote.request(Method::GET, &["events"], &query);
        let answer = request.header("last-event-id", &self.seen).send().await;
        let answer = answer.map_err(|error| remote.unreachable(&error))?;
        let mut answer = remote.accepted(answer).await?;
        self.is_shown = true;
        let mut buffer = Vec::new();
        loop {
            // A connection that breaks is an end like any other.
            let Ok(Some(piece)) = answer.chunk().await else {
                return Ok(Ended::Stream);
            };
            buffer.extend_from_slice(&piece);
            while let Some(end) = buffer.windows(2).position(|two| two == b"\n\n") {
                let message: Vec<u8> = buffer.drain(..end + 2).collect();
                if !self.show(&String::from_utf8_lossy(&message)) {
                    return Ok(Ended::NobodyReads);
                }
            }
            if buffer.len() > LONGEST {
                return Err(Failure::Other("an event is too long".to_owned()));
            }
        }
    }

    /// Shows a message; whether anybody reads.
    fn show(&mut self, message: &str) -> bool {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
        if field("event: ") == Some("gap") {
            tell("some events are not kept any more; see `banyan audit` for switches");
            return true;
        }
        let (Some(id), Some(data)) = (field("id: "), field("data: ")) else {
            return true;
        };
        self.seen = id.to_owned();
        let line = match self.as_json {
            true => data.to_owned(),
            false => text(data),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
    }
}

fn text(data: &str) -> String {
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    let part = |key: &str| event[key].as_str().unwrap_or_default();
    let at = part("at").get(..19).unwrap_or_default().replace('T', " ");
    format!("{at}Z  {:<15} {}", part("kind"), part("text").replace('\n', " "))
}
