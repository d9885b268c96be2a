//! The catalog and its data moved to the service and back, under traffic, with everything killed that can be killed; on both databases.
//!
//! For whoever doubts promises P1 to P4. Clients, history checker and row comparison trust nothing of the product. By default each trial is
//! short; `BANYAN_HANDOVERS=10 BANYAN_SECONDS=30` makes the long run of *there and back* ten passes each way with 30 s of writes after each.

mod back;
mod beside;
mod books;
mod kills;
mod rows;
mod stale;
mod tails;
mod world;

use libtest_mimic::{Arguments, Failed, Trial};

use banyan_tests::till::Database;
use world::World;

fn main() -> std::process::ExitCode {
    let mut args = Arguments::from_args();
    // Two keep a small machine busy; one waits for most of its time.
    args.test_threads = args.test_threads.or(Some(2));
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
        for (name, work) in WORKS {
            trials.push(trial(name, &database, *work));
        }
        let books = trial(
            "the_real_books_sold_under_passes_add_up",
            &database,
            books::replayed,
        );
        let ignored = !database.is_there() || !banyan_tests::books::file().exists();
        trials.push(books.with_ignored_flag(ignored));
    }
    for (name, work) in SERVER {
        let run = || work().map_err(|error| Failed::from(format!("{error:#}")));
        let trial = Trial::test(format!("postgres::{name}"), run);
        trials.push(trial.with_ignored_flag(banyan_tests::postgres::programs().is_none()));
    }
    libtest_mimic::run(&args, trials).exit_code()
}

type Alone = fn() -> anyhow::Result<()>;

/// With a database server of their own.
const SERVER: &[(&str, Alone)] = &[
    (
        "the_database_server_is_killed_at_any_step_and_nothing_is_lost",
        kills::database_server,
    ),
    (
        "the_database_server_is_killed_in_a_copy_which_is_whole_in_the_end",
        kills::database_server_in_a_copy,
    ),
];

type Work = fn(&mut World) -> anyhow::Result<()>;

const WORKS: &[(&str, Work)] = &[
    (
        "there_and_back_under_traffic_loses_and_doubles_nothing",
        back::there_and_back,
    ),
    (
        "reads_split_between_both_sides_show_each_client_its_own_writes",
        back::split_reads,
    ),
    (
        "two_routers_one_of_them_stale_fail_no_request_and_lose_nothing",
        stale::two_routers,
    ),
    (
        "a_product_that_is_never_at_rest_does_not_keep_the_pen",
        back::never_at_rest,
    ),
    (
        "the_monolith_answers_for_a_dead_service_and_never_with_less_than_a_client_wrote",
        back::in_the_services_stead,
    ),
    (
        "what_travels_with_the_rows_holds_on_the_other_side",
        tails::what_travels,
    ),
    (
        "two_coordinators_at_once_and_an_abort_make_one_pass_or_none",
        tails::two_at_once,
    ),
    (
        "an_altered_row_is_named_and_mended_and_stops_a_hand_over",
        tails::altered_row,
    ),
    (
        "a_service_that_loses_a_field_is_refused_the_pen",
        tails::lost_field,
    ),
    (
        "a_monolith_that_could_not_follow_keeps_the_pen",
        tails::no_way_back,
    ),
    (
        "a_follower_behind_the_floor_says_so_and_copies_anew_when_told",
        tails::behind_the_floor,
    ),
    (
        "a_write_past_the_service_is_refused_by_the_database",
        tails::rogue_write,
    ),
    ("generated_goods_are_refused_where_the_pen_is_not", beside::seed),
    ("a_load_is_refused_where_there_is_a_pen", beside::load),
    ("half_a_copy_is_not_shown", beside::half_a_copy),
    (
        "whoever_is_killed_at_any_step_one_side_writes_or_the_doctor_names_the_move",
        kills::everywhere,
    ),
];

fn trial(name: &str, database: &Database, work: Work) -> Trial {
    let (named, ignored) = (format!("{}::{name}", database.name()), !database.is_there());
    let database = database.clone();
    let run = move || {
        let mut world = World::open(&database)?;
        work(&mut world).map_err(|error| Failed::from(format!("{error:#}\n{}", world.logs())))
    };
    Trial::test(named, run).with_ignored_flag(ignored)
}
