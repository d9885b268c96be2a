//! What the triggers refuse while the pen is elsewhere, and what they let through.

use diesel::connection::SimpleConnection;
use handover::ddl::Backend;
use handover::gate::is_refusal;

use crate::Work;
use crate::place::{Place, everything, run};

pub(crate) fn on_both() -> Vec<(&'static str, Work)> {
    crate::trials![
        without_a_pen_every_write_goes_through_and_nothing_is_noted,
        with_the_pen_here_every_write_goes_through,
        every_kind_of_write_is_refused_while_the_pen_is_not_here,
        a_marked_transaction_writes_and_nothing_is_noted,
        a_mark_ends_with_its_transaction,
        the_mark_of_another_module_opens_nothing,
    ]
}

pub(crate) fn on_sqlite() -> Vec<(&'static str, Work)> {
    crate::trials![conflict_clauses_do_not_soften_the_refusal]
}

pub(crate) fn on_postgres() -> Vec<(&'static str, Work)> {
    crate::trials![
        copy_is_refused,
        truncate_is_refused_even_where_the_pen_is,
        a_session_that_plays_replica_is_refused,
        the_refusal_names_the_holder,
    ]
}

/// Writes that every SQL knows, one for each table and each verb.
const WRITES: [&str; 11] = [
    "INSERT INTO shelves (slug) VALUES ('new')",
    "INSERT INTO shelves (id, slug) SELECT 9, 'nine'",
    "INSERT INTO shelves (id, slug) VALUES (1, 'other') ON CONFLICT (id) DO UPDATE SET slug = excluded.slug",
    "INSERT INTO shelves (id, slug) VALUES (3, 'new') ON CONFLICT DO NOTHING",
    "UPDATE goods SET amount = amount + 1",
    "UPDATE marks SET key = 'c' WHERE scope = 'a'",
    "UPDATE prices SET amount = 1 WHERE goods_id = 2",
    "DELETE FROM marks WHERE scope = 'a'",
    "DELETE FROM prices",
    "INSERT INTO labels (goods_id) VALUES (2)",
    "DELETE FROM labels WHERE id = 1",
];

const ONLY_POSTGRES: [&str; 5] = [
    "TRUNCATE marks",
    "TRUNCATE shelves CASCADE",
    "MERGE INTO shelves USING (SELECT 1 AS id) AS s ON shelves.id = s.id WHEN MATCHED THEN UPDATE SET slug = 'm'",
    "WITH gone AS (DELETE FROM marks RETURNING body) SELECT count(*) FROM gone",
    "UPDATE goods SET amount = 1 WHERE false",
];

const ONLY_SQLITE: [&str; 3] = [
    "REPLACE INTO shelves (id, slug) VALUES (1, 'again')",
    "REPLACE INTO shelves (id, slug) VALUES (9, 'empty')",
    "UPDATE OR REPLACE goods SET sku = 'TEA' WHERE id = 1",
];

fn writes(place: &Place) -> Vec<&'static str> {
    let more: &[&str] = match place.backend {
        Backend::Sqlite => &ONLY_SQLITE,
        Backend::Postgres => &ONLY_POSTGRES,
    };
    WRITES.iter().chain(more).copied().collect()
}

/// The beginnings of transactions at every isolation that there is.
fn begins(place: &Place) -> &'static [&'static str] {
    match place.backend {
        Backend::Sqlite => &["BEGIN", "BEGIN IMMEDIATE"],
        Backend::Postgres => &[
            "BEGIN ISOLATION LEVEL READ COMMITTED",
            "BEGIN ISOLATION LEVEL REPEATABLE READ",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
        ],
    }
}

fn go_through(place: &Place, writes: &[&str]) {
    let mut conn = place.connect();
    for begin in begins(place) {
        for write in writes {
            run(&mut conn, begin).unwrap();
            run(&mut conn, write).unwrap_or_else(|error| panic!("{begin}: {write}: {error:?}"));
            run(&mut conn, "ROLLBACK").unwrap();
        }
    }
}

fn without_a_pen_every_write_goes_through_and_nothing_is_noted(place: &Place) {
    place.stock();
    go_through(place, &writes(place));
    let mut conn = place.connect();
    for write in writes(place) {
        // What one of them has taken away, another cannot find any more: that is no refusal.
        let done = run(&mut conn, write);
        assert!(!done.as_ref().is_err_and(is_refusal), "{write}: {done:?}");
    }
    assert!(place.noted().is_empty(), "{:?}", place.noted());
}

fn with_the_pen_here_every_write_goes_through(place: &Place) {
    place.pen("here", "held");
    place.stock();
    let writes: Vec<&str> = writes(place)
        .into_iter()
        .filter(|write| !write.starts_with("TRUNCATE"))
        .collect();
    go_through(place, &writes);
}

fn every_kind_of_write_is_refused_while_the_pen_is_not_here(place: &Place) {
    place.stock();
    let mut conn = place.connect();
    let before = everything(&mut conn);
    for (holder, state) in [
        ("there", "held"),
        ("here", "fenced"),
        ("there", "granted"),
        ("here", "granted"),
    ] {
        place.pen(holder, state);
        for begin in begins(place) {
            for write in writes(place) {
                run(&mut conn, begin).unwrap();
                let refused = run(&mut conn, write);
                assert!(
                    refused.as_ref().is_err_and(is_refusal),
                    "{holder} {state}, {begin}: {write}: {refused:?}"
                );
                run(&mut conn, "ROLLBACK").unwrap();
            }
        }
    }
    assert_eq!(everything(&mut conn), before);
    assert!(place.noted().is_empty());
}

fn a_marked_transaction_writes_and_nothing_is_noted(place: &Place) {
    place.stock();
    place.pen("there", "held");
    for begin in begins(place) {
        for write in writes(place) {
            let mut conn = place.connect();
            run(&mut conn, &format!("{begin}; {}", place.mark())).unwrap();
            run(&mut conn, write).unwrap_or_else(|error| panic!("{begin}: {write}: {error:?}"));
            run(&mut conn, "ROLLBACK").unwrap();
        }
    }
    let mut conn = place.connect();
    let write = "INSERT INTO shelves (slug) VALUES ('copied'); UPDATE goods SET id = 12 WHERE id = 2 AND false; DELETE FROM marks";
    run(
        &mut conn,
        &format!("BEGIN; {}; {write}; {}; COMMIT", place.mark(), place.unmark()),
    )
    .unwrap();
    assert!(everything(&mut conn).contains("copied"));
    assert!(place.noted().is_empty());
}

fn a_mark_ends_with_its_transaction(place: &Place) {
    place.stock();
    place.pen("there", "held");
    let mut conn = place.connect();
    let (mark, unmark) = (place.mark(), place.unmark());
    let write = "DELETE FROM marks WHERE scope = 'none' OR scope = 'a'";
    for end in ["ROLLBACK".to_owned(), format!("{unmark}; COMMIT")] {
        run(
            &mut conn,
            &format!("BEGIN; {mark}; UPDATE marks SET body = 'y'; {end}"),
        )
        .unwrap();
        let refused = run(&mut conn, write);
        assert!(
            refused.as_ref().is_err_and(is_refusal),
            "after {end}: {refused:?}"
        );
    }
    if place.backend == Backend::Postgres {
        // The mark of one connection is no other's, even while it is there.
        run(&mut conn, &format!("BEGIN; {mark}")).unwrap();
        let refused = run(&mut place.connect(), write);
        assert!(refused.as_ref().is_err_and(is_refusal), "{refused:?}");
    }
}

fn the_mark_of_another_module_opens_nothing(place: &Place) {
    place.stock();
    place.pen("there", "held");
    let mut conn = place.connect();
    let other = match place.backend {
        Backend::Sqlite => "CREATE TABLE mark_other (module TEXT); INSERT INTO mark_other VALUES ('other')",
        Backend::Postgres => "SET banyan.follower = 'other'",
    };
    run(&mut conn, other).unwrap();
    assert!(
        run(&mut conn, "DELETE FROM marks")
            .as_ref()
            .is_err_and(is_refusal)
    );
}

fn conflict_clauses_do_not_soften_the_refusal(place: &Place) {
    place.stock();
    place.pen("there", "held");
    let mut conn = place.connect();
    let before = everything(&mut conn);
    for clause in ["IGNORE", "REPLACE", "FAIL", "ROLLBACK", "ABORT"] {
        for write in [
            format!("INSERT OR {clause} INTO shelves (id, slug) VALUES (7, 'x')"),
            format!("UPDATE OR {clause} goods SET sku = 'TEA' WHERE id = 1"),
        ] {
            let refused = run(&mut conn, &write);
            assert!(refused.as_ref().is_err_and(is_refusal), "{write}: {refused:?}");
        }
    }
    assert_eq!(everything(&mut conn), before);
}

diesel::table! {
    marks (scope, key) {
        scope -> Text,
        key -> Text,
        body -> Text,
    }
}

fn copy_is_refused(place: &Place) {
    let mut conn = place.connect();
    let chassis::db::Conn::Postgres(conn) = &mut *conn else {
        panic!("this is PostgreSQL");
    };
    let mut copy = |row: &'static [u8]| {
        let query = diesel::copy_from(marks::table).from_raw_data(marks::table, |copy| {
            std::io::Write::write_all(copy, row)
                .map_err(|error| diesel::result::Error::SerializationError(error.into()))
        });
        diesel::prelude::ExecuteCopyFromDsl::execute(query, conn)
    };
    assert_eq!(
        copy(b"s\tk\tb\n").unwrap(),
        1,
        "the statement itself must be right"
    );
    place.pen("there", "held");
    let refused = copy(b"s\tl\tb\n").map_err(chassis::db::Error::from);
    assert!(refused.as_ref().is_err_and(is_refusal), "{refused:?}");
}

fn truncate_is_refused_even_where_the_pen_is(place: &Place) {
    place.stock();
    place.pen("here", "held");
    let mut conn = place.connect();
    let refused = run(&mut conn, "TRUNCATE marks");
    let told = format!("{refused:?}");
    assert!(
        told.contains("use DELETE") && !refused.as_ref().is_err_and(is_refusal),
        "{told}"
    );
    assert!(everything(&mut conn).contains("abx"));
}

fn a_session_that_plays_replica_is_refused(place: &Place) {
    place.stock();
    place.pen("there", "held");
    let mut conn = place.connect();
    conn.batch_execute("SET session_replication_role = replica")
        .unwrap();
    for write in ["DELETE FROM marks", "TRUNCATE marks"] {
        assert!(run(&mut conn, write).as_ref().is_err_and(is_refusal), "{write}");
    }
    place.pen("here", "held");
    run(&mut conn, "DELETE FROM marks").unwrap();
    assert_eq!(place.noted(), [r#"marks ["a", "b"]"#]);
}

fn the_refusal_names_the_holder(place: &Place) {
    place.pen("there", "granted");
    let told = format!("{:?}", run(&mut place.connect(), "DELETE FROM marks"));
    assert!(
        told.contains("the pen of test-goods is not here: there in epoch 1, granted"),
        "{told}"
    );
}
