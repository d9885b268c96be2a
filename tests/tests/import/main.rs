//! The import of old books: a real shop's, if they are at hand, and small ones with every kind of mistake.
//!
//! The real books lie beside the project, in `../shared/data`, and are no part of it; without them their trials are
//! reported as ignored. What the shop says was sold is held against sums that the test makes straight from the file.

mod ledger;
mod trials;

use std::path::{Path, PathBuf};

use banyan_tests::till::{Database, Till};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> std::process::ExitCode {
    let args = Arguments::from_args();
    if !args.list
        && !banyan_tests::programs::build()
            .status()
            .is_ok_and(|status| status.success())
    {
        // Cargo has said why.
        return std::process::ExitCode::FAILURE;
    }
    let books = banyan_tests::books::file();
    let mut trials = Vec::new();
    for database in Database::both() {
        let ignored = !database.is_there();
        let real = trial(
            "the_real_books_add_up_and_importing_again_changes_nothing",
            &database,
            &books,
            trials::real_books,
        );
        trials.push(real.with_ignored_flag(ignored || !books.exists()));
        let broken = trial(
            "what_cannot_be_taken_is_reported_by_line",
            &database,
            &books,
            trials::broken_books,
        );
        trials.push(broken.with_ignored_flag(ignored));
    }
    libtest_mimic::run(&args, trials).exit_code()
}

type Work = fn(&Till, &Path) -> anyhow::Result<()>;

fn trial(name: &str, database: &Database, books: &Path, work: Work) -> Trial {
    let (database, books): (Database, PathBuf) = (database.clone(), books.to_owned());
    Trial::test(format!("{}::{name}", database.name()), move || {
        let till = Till::open(&database)?;
        work(&till, &books).map_err(|error| Failed::from(format!("{error:#}\n{}", till.logs())))
    })
}
