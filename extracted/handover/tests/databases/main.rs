//! The generated SQL on real databases: what the triggers refuse and note, and how rows travel through `Plain`.
//!
//! Each trial runs on SQLite, and on PostgreSQL if `BANYAN_TEST_POSTGRES` names a server; without one its trials are reported as
//! ignored. A trial has a database of its own. The schema is none of the shop's: see `place`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic in a test is a report"
)]

mod capture;
mod guard;
mod install;
mod isolation;
mod place;
mod rows;
mod speed;
mod writing;

use handover::ddl::Backend;
use libtest_mimic::{Arguments, Trial};

use place::Place;

/// What a trial does.
type Work = fn(&Place);

/// The trials of a module, with their names.
macro_rules! trials {
    ($($name:ident),+ $(,)?) => { vec![$((stringify!($name), $name as crate::Work)),+] };
}
pub(crate) use trials;

fn main() -> std::process::ExitCode {
    const BOTH: &[Backend] = &[Backend::Sqlite, Backend::Postgres];
    let mut trials = Vec::new();
    let mut add = |module: &str, works: Vec<(&str, Work)>, backends: &[Backend], asked_for: bool| {
        for (name, work) in works {
            for &backend in backends {
                let ignored = asked_for || !Place::is_there(backend);
                let name = format!("{}::{module}::{name}", place::name(backend));
                let run = move || {
                    work(&Place::make(backend));
                    Ok(())
                };
                trials.push(Trial::test(name, run).with_ignored_flag(ignored));
            }
        }
    };
    add("guard", guard::on_both(), BOTH, false);
    add("guard", guard::on_sqlite(), &[Backend::Sqlite], false);
    add("guard", guard::on_postgres(), &[Backend::Postgres], false);
    add("isolation", isolation::on_sqlite(), &[Backend::Sqlite], false);
    add("isolation", isolation::on_postgres(), &[Backend::Postgres], false);
    add("capture", capture::on_both(), BOTH, false);
    add("capture", capture::on_sqlite(), &[Backend::Sqlite], false);
    add("capture", capture::on_postgres(), &[Backend::Postgres], false);
    add("install", install::on_both(), BOTH, false);
    add("install", install::on_postgres(), &[Backend::Postgres], false);
    add("rows", rows::on_both(), BOTH, false);
    add("rows", rows::on_sqlite(), &[Backend::Sqlite], false);
    add("rows", rows::on_postgres(), &[Backend::Postgres], false);
    add("writing", writing::on_both(), BOTH, false);
    add("speed", speed::on_both(), BOTH, true);
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
