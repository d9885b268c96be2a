//! The tables and triggers as a migration: there, and gone again.

use handover::ddl::{self, Backend};

use crate::Work;
use crate::place::{PLAN, Place, run, texts};

pub(crate) fn on_both() -> Vec<(&'static str, Work)> {
    crate::trials![
        down_takes_everything_away_and_up_puts_it_back,
        there_is_one_pen_at_the_most,
        a_state_or_phase_that_the_protocol_does_not_have_is_refused,
    ]
}

pub(crate) fn on_postgres() -> Vec<(&'static str, Work)> {
    crate::trials![two_modules_live_in_one_database]
}

/// Names of everything in the schema.
fn things(place: &Place) -> Vec<String> {
    let query = match place.backend {
        Backend::Sqlite => "SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS text FROM sqlite_schema ORDER BY 1",
        Backend::Postgres => {
            "SELECT text FROM (SELECT relkind::text || ' ' || relname AS text FROM pg_class WHERE relnamespace = 'public'::regnamespace
             UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
             UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace) AS t
             ORDER BY 1"
        }
    };
    texts(&mut place.connect(), query)
}

fn down_takes_everything_away_and_up_puts_it_back(place: &Place) {
    place.pen("there", "held");
    let there = things(place);
    run(&mut place.connect(), &ddl::down(&PLAN, place.backend)).unwrap();
    let left: Vec<String> = things(place)
        .into_iter()
        .filter(|thing| {
            thing.contains("test_goods") || thing.contains("trigger") || thing.contains("function")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
    run(&mut place.connect(), "INSERT INTO shelves (slug) VALUES ('free')").unwrap();
    run(&mut place.connect(), &ddl::up(&PLAN, place.backend)).unwrap();
    assert_eq!(things(place), there);
}

fn there_is_one_pen_at_the_most(place: &Place) {
    place.pen("here", "held");
    let second = "INSERT INTO pen_test_goods (side, holder, epoch, state, feed, since) VALUES ('two', 'two', 2, 'held', 'f', 's')";
    assert!(run(&mut place.connect(), second).is_err());
}

fn a_state_or_phase_that_the_protocol_does_not_have_is_refused(place: &Place) {
    place.pen("here", "held");
    let mut conn = place.connect();
    for wrong in [
        "UPDATE pen_test_goods SET state = 'mine'",
        "UPDATE pen_test_goods SET epoch = 0",
        "INSERT INTO follow_test_goods (source, feed, epoch, cursor, phase) VALUES ('s', 'f', 1, '', 'resting')",
    ] {
        assert!(run(&mut conn, wrong).is_err(), "{wrong}");
    }
}

fn two_modules_live_in_one_database(place: &Place) {
    let mut conn = place.connect();
    run(&mut conn, "CREATE TABLE parcels (id BIGINT PRIMARY KEY)").unwrap();
    let other = ddl::Plan {
        module: "parcels",
        captured: &[handover::table::Captured {
            table: "parcels",
            of: "parcels",
            key: &["id"],
            unique: &[],
        }],
    };
    run(&mut conn, &ddl::up(&other, place.backend)).unwrap();
    place.pen("there", "held");
    run(&mut conn, "INSERT INTO parcels VALUES (1)").unwrap();
    run(&mut conn, &ddl::down(&other, place.backend)).unwrap();
    assert!(run(&mut conn, "DELETE FROM marks").is_err());
}
