//! What the inventory promises, on SQLite. The behaviour suite holds it to the same over HTTP, on both databases.

use std::sync::atomic::{AtomicUsize, Ordering};

use chassis::db::{Db, PoolSettings, transact};
use chassis::time::now;
use chrono::Duration;

use super::*;
use crate::app::MIGRATIONS;
use crate::inventory::model::{Kind, Level, Line, State};
use crate::inventory::{Error, expiry};

fn shop(dir: &tempfile::TempDir) -> Db {
    let url = format!("sqlite:{}", dir.path().join("shop.db").display());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    db.migrate(&MIGRATIONS).unwrap();
    db
}

fn receive(db: &Db, sku: &str, quantity: i64) {
    let mut conn = db.connect().unwrap();
    transact(&mut conn, |conn| {
        movements::add(conn, sku, Kind::Receipt, quantity, "opening")
    })
    .unwrap();
}

fn hold(db: &Db, lines: &[(&str, i64)], ttl: Duration) -> Result<i64, Error> {
    let line = |(sku, quantity): &(&str, i64)| Line {
        sku: (*sku).to_owned(),
        quantity: *quantity,
    };
    let lines: Vec<Line> = lines.iter().map(line).collect();
    let mut conn = db.connect().unwrap();
    transact(&mut conn, |conn| reservations::hold(conn, &lines, ttl, "order 1"))
}

fn write(db: &Db, work: impl Fn(&mut chassis::db::Conn) -> Result<(), Error>) -> Result<(), Error> {
    transact(&mut db.connect().unwrap(), work)
}

fn level(db: &Db, sku: &str) -> Level {
    levels::find(&mut db.connect().unwrap(), sku).unwrap().unwrap()
}

fn units(db: &Db, sku: &str) -> (i64, i64) {
    let level = level(db, sku);
    (level.on_hand, level.reserved)
}

#[test]
fn of_200_who_want_the_last_unit_one_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    receive(&db, "LAST", 1);
    let (won, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                let tried = hold(&db, &[("LAST", 1)], Duration::minutes(15));
                if tried.is_err() {
                    assert!(
                        matches!(tried, Err(Error::Insufficient { available: 0, .. })),
                        "{tried:?}"
                    );
                }
                let count = if tried.is_ok() { &won } else { &lost };
                count.fetch_add(1, Ordering::Relaxed)
            });
        }
    });
    assert_eq!((won.into_inner(), lost.into_inner()), (1, 199));
    assert_eq!(units(&db, "LAST"), (1, 1));
}

#[test]
fn all_lines_are_held_or_none_and_the_line_at_fault_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    receive(&db, "A", 5);
    receive(&db, "B", 2);
    let refused = hold(&db, &[("B", 3), ("A", 5)], Duration::minutes(1)).unwrap_err();
    assert!(
        matches!(&refused, Error::Insufficient { index: 0, sku, available: 2 } if sku == "B"),
        "{refused:?}"
    );
    assert_eq!((units(&db, "A"), units(&db, "B")), ((5, 0), (2, 0)));
    assert!(hold(&db, &[("NEVER", 1)], Duration::minutes(1)).is_err());
}

#[test]
fn a_reservation_is_decided_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    receive(&db, "A", 10);
    let sold = hold(&db, &[("A", 3)], Duration::minutes(1)).unwrap();
    let freed = hold(&db, &[("A", 4)], Duration::minutes(1)).unwrap();
    for _ in 0..2 {
        write(&db, |conn| reservations::confirm(conn, sold)).unwrap();
        write(&db, |conn| reservations::release(conn, freed)).unwrap();
        assert_eq!(units(&db, "A"), (7, 0));
    }
    let refused = [
        write(&db, |conn| reservations::release(conn, sold)),
        write(&db, |conn| reservations::confirm(conn, freed)),
    ];
    assert!(
        refused
            .iter()
            .all(|answer| matches!(answer, Err(Error::Decided { .. }))),
        "{refused:?}"
    );
    assert!(matches!(
        write(&db, |conn| reservations::confirm(conn, 99)),
        Err(Error::NoReservation(99))
    ));
}

#[test]
fn movements_stop_at_what_is_reserved_and_add_up_to_what_is_on_hand() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    receive(&db, "A", 10);
    let id = hold(&db, &[("A", 6)], Duration::minutes(1)).unwrap();
    let add = |kind, quantity| {
        write(&db, |conn| {
            movements::add(conn, "A", kind, quantity, "").map(drop)
        })
    };
    assert!(matches!(
        add(Kind::Sale, 5),
        Err(Error::Short { available: 4, .. })
    ));
    add(Kind::Adjustment, -4).unwrap();
    add(Kind::Return, 1).unwrap();
    write(&db, |conn| reservations::confirm(conn, id)).unwrap();
    assert!(matches!(
        add(Kind::Receipt, crate::inventory::MAX_ON_HAND),
        Err(Error::Full(_))
    ));
    assert_eq!(units(&db, "A"), (1, 0));
    assert_eq!(movements::sum(&mut db.connect().unwrap(), "A"), 1);
}

#[tokio::test]
async fn what_is_overdue_is_given_back_once_and_the_rest_kept() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    receive(&db, "A", 10);
    let late = hold(&db, &[("A", 3)], Duration::seconds(-1)).unwrap();
    hold(&db, &[("A", 4)], Duration::minutes(5)).unwrap();
    assert_eq!(expiry::expire(&db).await.unwrap(), 1);
    assert_eq!(expiry::expire(&db).await.unwrap(), 0);
    assert_eq!(units(&db, "A"), (10, 4));
    let state = reservations::find(&mut db.connect().unwrap(), late)
        .unwrap()
        .state;
    assert_eq!(state, State::Expired);
    assert!(write(&db, |conn| reservations::confirm(conn, late)).is_err());
    assert!(write(&db, |conn| reservations::release(conn, late)).is_ok());
}

#[test]
fn the_database_itself_refuses_what_the_code_must_never_do() {
    use diesel::RunQueryDsl;
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    receive(&db, "A", 1);
    for rogue in [
        "UPDATE stock_levels SET on_hand = -1",
        "UPDATE stock_levels SET reserved = 2",
        "UPDATE stock_levels SET reserved = -1",
    ] {
        let mut conn = db.connect().unwrap();
        assert!(diesel::sql_query(rogue).execute(&mut *conn).is_err(), "{rogue}");
    }
    assert!(level(&db, "A").updated_at <= now());
}

#[test]
fn the_scarcest_come_first_and_pages_join() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    for (sku, quantity) in [("C", 1), ("B", 2), ("A", 2), ("D", 50)] {
        receive(&db, sku, quantity);
    }
    let mut conn = db.connect().unwrap();
    let first = levels::low(&mut conn, 10, None, 2).unwrap();
    let rest = levels::low(&mut conn, 10, Some((2, "A")), 10).unwrap();
    let skus: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|level| level.sku.as_str())
        .collect();
    assert_eq!(skus, ["C", "A", "B"]);
}
