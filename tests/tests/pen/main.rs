//! The pen, its guards, the feed and the follower on two small databases in one process; on SQLite and on PostgreSQL.
//!
//! For whoever changes `extracted/handover`. What is tested here is the protocol as code: over HTTP, between two links with two tables.
//! The shop, the router and killed processes are in `handover`.

mod follows;
mod guards;
mod limits;
mod moves;
mod questions;
mod races;
mod seals;
mod sides;

use banyan_tests::till::Database;
use libtest_mimic::{Arguments, Failed, Trial};

use sides::Pair;

fn main() -> std::process::ExitCode {
    let args = Arguments::from_args();
    let mut trials = Vec::new();
    for database in Database::both() {
        for (name, work) in WORKS {
            trials.push(trial(name, &database, *work, 0));
        }
        let name = "every_copy_keeps_to_its_rate";
        trials.push(trial(name, &database, limits::throttled, limits::RATE));
        if matches!(database, Database::Postgres(_)) {
            let name = "a_move_comes_through_beside_a_stream_of_writers";
            trials.push(trial(name, &database, races::moves_beside_writers, 0));
            let name = "a_write_that_changes_nothing_keeps_the_pen_until_it_ends";
            trials.push(trial(name, &database, races::a_write_of_nothing, 0));
        }
    }
    libtest_mimic::run(&args, trials).exit_code()
}

type Work = fn(&Pair) -> anyhow::Result<()>;

const WORKS: &[(&str, Work)] = &[
    (
        "a_write_without_the_pen_is_refused_in_every_way_it_can_be_written",
        guards::every_way,
    ),
    (
        "with_no_pen_installed_everything_goes_through_and_nothing_is_captured",
        guards::no_pen,
    ),
    ("the_feed_has_exactly_the_keys_that_changed", guards::keys),
    ("the_mark_ends_with_its_transaction", guards::mark_ends),
    (
        "a_follower_copies_and_follows_and_is_equal_at_every_reached_position",
        follows::copies_and_follows,
    ),
    (
        "a_copy_beside_rows_that_exchange_their_values_is_equal",
        follows::exchanged_meanwhile,
    ),
    (
        "a_repair_comes_to_its_end_beside_writers",
        follows::repaired_beside_writers,
    ),
    (
        "whoever_asks_what_there_is_now_is_answered_at_once",
        follows::up_to_date_at_once,
    ),
    (
        "rows_are_not_looked_at_for_long_while_writes_wait",
        follows::settled_in_time,
    ),
    (
        "a_transaction_that_commits_late_is_not_skipped",
        follows::late_commit,
    ),
    ("a_page_that_is_half_of_a_change_is_applied_whole", follows::swap),
    (
        "a_change_that_cannot_be_applied_is_parked_and_named",
        follows::poison,
    ),
    ("a_follower_behind_the_floor_is_told", follows::floor),
    ("the_pen_goes_there_and_back_with_the_rows", moves::there_and_back),
    (
        "of_grant_and_abort_one_wins_and_the_other_is_told",
        moves::grant_or_abort,
    ),
    (
        "a_fence_waits_for_open_transactions_and_gives_up_in_time",
        moves::open_transactions,
    ),
    (
        "a_grant_needs_the_proof_and_an_acceptance_the_rows",
        moves::proofs,
    ),
    ("a_fence_that_expires_is_taken_back_by_its_holder", moves::expiry),
    ("late_and_repeated_commands_change_nothing", moves::repeated),
    (
        "a_copy_that_meets_an_acceptance_does_nothing",
        races::copy_and_acceptance,
    ),
    ("a_seal_ends_the_link_at_the_holder_first", seals::ends_the_link),
    (
        "a_seal_that_was_broken_off_leaves_a_link_that_can_be_taken_up",
        seals::broken_off,
    ),
    ("a_feed_that_nobody_needs_goes_at_once", limits::pruned),
    ("a_page_of_a_long_backlog_is_cheap", limits::long_backlog),
    (
        "a_chunk_of_rows_has_room_for_so_many_and_says_where_it_ends",
        questions::rows_of_a_table,
    ),
    (
        "malformed_questions_are_told_what_is_wrong_and_strangers_nothing",
        questions::malformed,
    ),
];

fn trial(name: &str, database: &Database, work: Work, copy_rows_per_s: u32) -> Trial {
    let (named, ignored) = (format!("{}::{name}", database.name()), !database.is_there());
    let database = database.clone();
    let run = move || {
        let pair = Pair::open(&database, copy_rows_per_s)?;
        work(&pair).map_err(|error| Failed::from(format!("{error:#}")))
    };
    Trial::test(named, run).with_ignored_flag(ignored)
}
