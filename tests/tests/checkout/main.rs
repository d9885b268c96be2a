//! Checkouts under stress: many at once, a payment provider that does not answer, and processes that are killed.
//!
//! Whatever happens, an order ends confirmed or cancelled, stock is never negative, and the provider's own ledger shows one
//! charge for each order that is paid. Each trial has processes and a database of its own, so that its ledger can be read
//! to the penny.

mod trials;

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
    let mut trials = Vec::new();
    for database in Database::both() {
        let ignored = !database.is_there();
        trials.push(
            trial("one_of_200_gets_the_last_unit", &database, trials::last_unit).with_ignored_flag(ignored),
        );
        trials.push(
            trial(
                "a_charge_without_an_answer_is_found",
                &database,
                trials::unanswered,
            )
            .with_ignored_flag(ignored),
        );
        trials.push(
            trial("a_killed_shop_goes_on_with_its_charge", &database, trials::killed)
                .with_ignored_flag(ignored),
        );
        trials.push(
            trial(
                "a_dead_provider_costs_an_order_not_money",
                &database,
                trials::given_up,
            )
            .with_ignored_flag(ignored),
        );
    }
    libtest_mimic::run(&args, trials).exit_code()
}

type Work = fn(&mut Till) -> anyhow::Result<()>;

fn trial(name: &str, database: &Database, work: Work) -> Trial {
    let database = database.clone();
    Trial::test(format!("{}::{name}", database.name()), move || {
        let mut till = Till::open(&database)?;
        work(&mut till).map_err(|error| Failed::from(format!("{error:#}\n{}", till.logs())))
    })
}
