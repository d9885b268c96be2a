//! Transactions that are open while the pen moves: committed before, or refused; never let through afterwards.

use std::time::{Duration, Instant};

use diesel::result::{DatabaseErrorKind, Error as Diesel};
use handover::gate::is_refusal;

use crate::Work;
use crate::place::{Place, everything, number, run};

pub(crate) fn on_sqlite() -> Vec<(&'static str, Work)> {
    crate::trials![a_transaction_that_read_before_the_fence_cannot_write_after_it]
}

pub(crate) fn on_postgres() -> Vec<(&'static str, Work)> {
    crate::trials![
        a_snapshot_from_before_the_fence_does_not_let_a_write_through,
        a_fence_waits_for_a_writer,
        a_writer_waits_for_a_fence_and_is_refused,
        a_pen_is_installed_behind_a_writer,
        a_writer_waits_for_the_installation_and_sees_the_pen,
        a_snapshot_from_before_the_pen_does_not_let_a_write_through,
        old_snapshots_write_again_once_the_pen_has_been_taken_away,
    ]
}

const WRITE: &str = "UPDATE marks SET body = body || '!'";
const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];
const INSTALL: &str = "BEGIN; LOCK TABLE pen_test_goods IN EXCLUSIVE MODE; \
     INSERT INTO pen_test_goods (side, holder, epoch, state, feed, since) VALUES ('here', 'there', 1, 'held', 'f', 's')";
const FENCE: &str =
    "BEGIN; LOCK TABLE pen_test_goods IN EXCLUSIVE MODE; UPDATE pen_test_goods SET state = 'fenced'";

fn is_serialization(error: &chassis::db::Error) -> bool {
    matches!(
        error,
        chassis::db::Error::Query(Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _))
    )
}

fn a_transaction_that_read_before_the_fence_cannot_write_after_it(place: &Place) {
    place.stock();
    for set in ["there", "here"] {
        place.pen("here", "held");
        let (mut writer, before) = (place.connect(), everything(&mut place.connect()));
        run(&mut writer, "BEGIN; SELECT count(*) FROM pen_test_goods").unwrap();
        place.pen(set, "fenced");
        assert!(run(&mut writer, WRITE).is_err());
        run(&mut writer, "ROLLBACK").unwrap();
        assert!(run(&mut writer, WRITE).as_ref().is_err_and(is_refusal));
        assert_eq!(everything(&mut writer), before);
    }
}

fn a_snapshot_from_before_the_fence_does_not_let_a_write_through(place: &Place) {
    place.stock();
    for level in LEVELS {
        place.pen("here", "held");
        let mut writer = place.connect();
        run(
            &mut writer,
            &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM goods"),
        )
        .unwrap();
        place.pen("here", "fenced");
        let refused = run(&mut writer, WRITE).expect_err(level);
        let fits = if level == LEVELS[0] {
            is_refusal(&refused)
        } else {
            is_serialization(&refused)
        };
        assert!(fits, "{level}: {refused:?}");
        // Run again, as the chassis does after a serialization failure.
        let again = format!("ROLLBACK; BEGIN ISOLATION LEVEL {level}; {WRITE}");
        assert!(
            run(&mut writer, &again).as_ref().is_err_and(is_refusal),
            "{level}"
        );
    }
    assert!(place.noted().is_empty());
}

/// Runs SQL beside, until it waits for a lock; gives what it came to.
fn beside(place: &Place, sql: &str) -> std::thread::JoinHandle<Result<(), chassis::db::Error>> {
    let mut conn = place.connect();
    let pid = number(&mut conn, "SELECT pg_backend_pid()::bigint AS n");
    let sql = sql.to_owned();
    let thread = std::thread::spawn(move || run(&mut conn, &sql));
    let mut watch = place.connect();
    let waits = format!("SELECT count(*) AS n FROM pg_locks WHERE pid = {pid} AND NOT granted");
    let deadline = Instant::now() + Duration::from_secs(8);
    while number(&mut watch, &waits) == 0 {
        assert!(!thread.is_finished(), "it did not wait: {:?}", thread.join());
        assert!(Instant::now() < deadline, "it neither waits nor ends");
        std::thread::sleep(Duration::from_millis(2));
    }
    thread
}

fn a_fence_waits_for_a_writer(place: &Place) {
    place.stock();
    for level in LEVELS {
        place.pen("here", "held");
        let mut writer = place.connect();
        run(&mut writer, &format!("BEGIN ISOLATION LEVEL {level}; {WRITE}")).unwrap();
        let fence = beside(place, &format!("{FENCE}; COMMIT"));
        run(&mut writer, "COMMIT").unwrap();
        fence.join().unwrap().unwrap();
        assert!(run(&mut writer, WRITE).as_ref().is_err_and(is_refusal));
    }
    assert_eq!(place.noted().len(), 3);
}

fn a_writer_waits_for_a_fence_and_is_refused(place: &Place) {
    place.stock();
    for level in LEVELS {
        place.pen("here", "held");
        let mut holder = place.connect();
        run(&mut holder, FENCE).unwrap();
        let writer = beside(place, &format!("BEGIN ISOLATION LEVEL {level}; {WRITE}; COMMIT"));
        run(&mut holder, "COMMIT").unwrap();
        let refused = writer.join().unwrap().expect_err(level);
        assert!(
            is_refusal(&refused) || is_serialization(&refused),
            "{level}: {refused:?}"
        );
    }
    assert!(place.noted().is_empty());
}

/// While there is no pen, there is no row to lock; the lock of the table is what counts.
fn a_pen_is_installed_behind_a_writer(place: &Place) {
    place.stock();
    let mut writer = place.connect();
    run(&mut writer, &format!("BEGIN; {WRITE}")).unwrap();
    let install = beside(place, &format!("{INSTALL}; COMMIT"));
    run(&mut writer, &format!("{WRITE}; COMMIT")).unwrap();
    install.join().unwrap().unwrap();
    assert!(run(&mut writer, WRITE).as_ref().is_err_and(is_refusal));
}

fn a_writer_waits_for_the_installation_and_sees_the_pen(place: &Place) {
    place.stock();
    for level in LEVELS {
        let mut process = place.connect();
        run(&mut process, INSTALL).unwrap();
        let writer = beside(place, &format!("BEGIN ISOLATION LEVEL {level}; {WRITE}; COMMIT"));
        run(&mut process, "COMMIT").unwrap();
        let refused = writer.join().unwrap().expect_err(level);
        assert!(
            is_refusal(&refused) || is_serialization(&refused),
            "{level}: {refused:?}"
        );
        run(&mut process, "TRUNCATE pen_test_goods").unwrap();
    }
}

/// Such a transaction sees an empty table for as long as it lives, whatever happens to the pen.
fn a_snapshot_from_before_the_pen_does_not_let_a_write_through(place: &Place) {
    place.stock();
    for level in LEVELS {
        let mut writer = place.connect();
        run(
            &mut writer,
            &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM goods"),
        )
        .unwrap();
        run(&mut place.connect(), &format!("{INSTALL}; COMMIT")).unwrap();
        let refused = run(&mut writer, WRITE).expect_err(level);
        let fits = if level == LEVELS[0] {
            is_refusal(&refused)
        } else {
            is_serialization(&refused)
        };
        assert!(fits, "{level}: {refused:?}");
        run(&mut writer, "ROLLBACK").unwrap();
        run(&mut writer, "TRUNCATE pen_test_goods").unwrap();
    }
}

fn old_snapshots_write_again_once_the_pen_has_been_taken_away(place: &Place) {
    place.stock();
    place.pen("here", "held");
    run(&mut place.connect(), "TRUNCATE pen_test_goods").unwrap();
    for level in LEVELS {
        run(
            &mut place.connect(),
            &format!("BEGIN ISOLATION LEVEL {level}; {WRITE}; COMMIT"),
        )
        .unwrap();
    }
    assert!(place.noted().is_empty());
}
