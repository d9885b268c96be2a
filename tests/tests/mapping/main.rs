//! The catalog's rows as they go into each side's tables and come out again: monolith and service, on both databases.
//!
//! For whoever changes a table of the catalog, or the code that maps it. A hand-over is as good as this mapping: a field that is lost here
//! is lost to the shop. Nothing is started here; the two stores are asked directly.

mod goods;
mod migration;
mod random;
mod rows;
mod side;

use banyan_tests::till::Database;
use libtest_mimic::{Arguments, Failed, Trial};

use side::{Side, Who};

fn main() -> std::process::ExitCode {
    let args = Arguments::from_args();
    let mut trials = Vec::new();
    for database in Database::both() {
        for who in [Who::Monolith, Who::Service] {
            trials.extend(
                BOTH.iter()
                    .map(|(name, work)| on_side(name, &database, who, *work)),
            );
        }
        let service = SERVICE.iter();
        trials.extend(service.map(|(name, work)| on_side(name, &database, Who::Service, *work)));
        trials.push(trial(
            "service",
            "entries_that_are_there_are_numbered_in_their_order",
            &database,
            migration::numbers,
        ));
        trials.push(trial(
            "service",
            "a_copy_under_way_begins_anew_when_the_order_of_tables_changes_and_no_id_is_given_twice",
            &database,
            migration::under_way,
        ));
        trials.push(trial(
            "service",
            "what_it_writes_itself_is_held_to_the_rules_of_prices",
            &database,
            migration::rules,
        ));
        trials.push(trial(
            "both",
            "rows_come_back_from_the_other_side_as_they_were",
            &database,
            rows::round_trip,
        ));
    }
    libtest_mimic::run(&args, trials).exit_code()
}

type Work = fn(&Side) -> anyhow::Result<()>;

/// What holds on either side.
const BOTH: &[(&str, Work)] = &[
    ("rows_come_out_as_they_went_in", rows::in_and_out),
    ("rows_are_added_where_nothing_is", rows::added),
    ("putting_rows_twice_is_putting_them_once", rows::twice),
    ("a_price_may_come_before_or_after_its_product", rows::either_order),
    ("two_products_may_exchange_their_skus", rows::exchange),
    ("what_hangs_on_a_removed_row_goes_with_it", rows::remove),
    ("words_are_found_as_the_rows_say", rows::words),
    ("numbers_go_on_behind_those_of_the_other_side", rows::numbers),
    (
        "however_changes_are_cut_into_pages_the_end_is_the_same",
        random::pages,
    ),
];

/// What holds where a product's price stands in its history alone.
const SERVICE: &[(&str, Work)] = &[
    (
        "a_product_whose_history_says_another_price_is_seen",
        rows::another_price,
    ),
    (
        "the_entry_with_the_last_id_is_in_force_whatever_the_clocks_say",
        rows::clocks,
    ),
    (
        "a_long_history_makes_the_next_entry_no_slower",
        rows::long_history,
    ),
    ("a_history_may_come_before_its_product", rows::history_first),
    (
        "a_product_that_loses_its_history_keeps_a_price_that_does_not_travel",
        rows::no_history,
    ),
];

fn on_side(name: &'static str, database: &Database, who: Who, work: Work) -> Trial {
    let run = move |database: &Database| work(&Side::open(database, who)?);
    trial(who.name(), name, database, run)
}

fn trial(
    who: &str,
    name: &str,
    database: &Database,
    work: impl FnOnce(&Database) -> anyhow::Result<()> + Send + 'static,
) -> Trial {
    let (named, ignored) = (
        format!("{who}::{}::{name}", database.name()),
        !database.is_there(),
    );
    let database = database.clone();
    let run = move || work(&database).map_err(|error| Failed::from(format!("{error:#}")));
    Trial::test(named, run).with_ignored_flag(ignored)
}
