//! The load programs: what the benchmarks under `tests/bench` call where wrk cannot do it.
//!
//! For whoever measures. `pace` is a load of fixed rate, `idle` holds connections, `stub` is an upstream, fine or faulty,
//! `starts` and `reloads` take the router's times, and [`switches`] is the load over a thousand routes that move.

mod idle;
mod pace;
mod restless;
mod stub;
pub mod switches;
mod town;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use idle::Idle;
use pace::Pace;
use restless::Restless;
use stub::Manner;
use switches::Plan;

/// Loads for benchmarks.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Ask at a fixed rate and tell quantiles, in microseconds since each request was due
    Pace(Pace),
    /// Hold connections that have each made one request, until standard input ends
    Idle(Idle),
    /// Answer as an upstream does, until killed; says `listening stub=ADDRESS`
    Stub {
        /// How it behaves
        #[arg(long, default_value = "fine")]
        manner: Manner,
        /// Bytes of a body
        #[arg(long, default_value_t = 1024)]
        size: usize,
    },
    /// Start the router again and again; tells milliseconds to the first answer
    Starts(Restless),
    /// Edit its file again and again; tells milliseconds until taken, longest answer during it, longest before it
    Reloads(Restless),
    /// Load the router while routes are switched, the file is edited, and the router is restarted
    Switches(Plan),
}

/// Runs one of them. Exit code 0: done and nothing failed; 1: something failed; 2: wrong usage.
pub fn main() -> ExitCode {
    match run(&Args::parse().what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _gone = writeln!(std::io::stderr().lock(), "load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: &What) -> anyhow::Result<bool> {
    match what {
        What::Pace(pace) => {
            let pacing = pace.run()?;
            say(&pacing.line());
            Ok(pacing.is_clean())
        }
        What::Idle(idle) => {
            idle.run(|| say("holding"))?;
            Ok(true)
        }
        What::Stub { manner, size } => {
            say(&format!(
                "listening stub={}",
                stub::start("stub", *size, *manner)?
            ));
            loop {
                std::thread::park();
            }
        }
        What::Starts(starts) => {
            for time in starts.starts()? {
                say(&format!("{time:.2}"));
            }
            Ok(true)
        }
        What::Reloads(reloads) => {
            for [taken, stall, quiet] in reloads.reloads()? {
                say(&format!("{taken:.2} {stall:.2} {quiet:.2}"));
            }
            Ok(true)
        }
        What::Switches(plan) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let outcome = runtime.block_on(switches::run(plan))?;
            outcome.failures.iter().for_each(|failure| say(failure));
            say(&outcome.line());
            Ok(outcome.failed == 0)
        }
    }
}

/// Prints a line. A reader that has gone away is no error.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _gone = writeln!(out, "{text}").and_then(|()| out.flush());
}
