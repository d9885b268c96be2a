//! What the accounts module promises, on SQLite. The behaviour suite holds it to the same over HTTP, on both databases.

use chassis::db::{PoolSettings, transact};

use super::store::{Address, Change};
use super::*;
use crate::app::MIGRATIONS;

fn shop(dir: &tempfile::TempDir) -> Db {
    let url = format!("sqlite:{}", dir.path().join("shop.db").display());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    db.migrate(&MIGRATIONS).unwrap();
    db
}

fn write<T>(db: &Db, work: impl Fn(&mut Conn) -> Result<T, Error>) -> Result<T, Error> {
    transact(&mut db.connect().unwrap(), work)
}

fn ada(db: &Db) -> i64 {
    write(db, |conn| store::insert(conn, "Ada@example.org", "Ada", "hash"))
        .unwrap()
        .id
}

fn login(db: &Db) -> store::Login {
    write(db, |conn| Ok(store::login(conn, "ADA@example.org")?))
        .unwrap()
        .unwrap()
}

fn runs(db: &Db, session: i64) -> bool {
    write(db, |conn| Ok(store::session_runs(conn, session)?)).unwrap()
}

fn address() -> Address {
    Address {
        id: 0,
        line1: "1 Mill Lane".into(),
        line2: None,
        city: "Bath".into(),
        postcode: None,
        country: "GB".into(),
    }
}

#[test]
fn an_address_belongs_to_one_customer_however_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    let id = ada(&db);
    let again = write(&db, |conn| store::insert(conn, "aDA@EXAMPLE.org", "Eve", "hash"));
    assert!(matches!(again, Err(Error::EmailTaken)));
    let eve = write(&db, |conn| store::insert(conn, "eve@example.org", "Eve", "hash")).unwrap();
    let taken = Change {
        email: Some("ADA@example.org".into()),
        login: Some("ada@example.org".into()),
        ..Change::default()
    };
    assert!(matches!(
        write(&db, |conn| store::change(conn, eve.id, &taken)),
        Err(Error::EmailTaken)
    ));
    // One's own address may be written otherwise.
    assert_eq!(
        write(&db, |conn| store::change(conn, id, &taken)).unwrap().email,
        "ADA@example.org"
    );
}

#[test]
fn a_change_leaves_alone_what_it_does_not_name() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    let id = ada(&db);
    let rename = Change {
        name: Some("Augusta".into()),
        ..Change::default()
    };
    let changed = write(&db, |conn| store::change(conn, id, &rename)).unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.email.as_str(), changed.version),
        ("Augusta", "Ada@example.org", 2)
    );
    assert_eq!(login(&db).password_hash.as_deref(), Some("hash"));
}

#[test]
fn a_new_password_ends_all_sessions_and_one_that_is_just_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    let id = ada(&db);
    let checked = login(&db);
    let session = write(&db, |conn| store::begin_session(conn, &checked, 60)).unwrap();
    assert!(runs(&db, session));
    let change = Change {
        password_hash: Some("other".into()),
        ..Change::default()
    };
    write(&db, |conn| store::change(conn, id, &change)).unwrap();
    assert!(!runs(&db, session));
    let late = write(&db, |conn| store::begin_session(conn, &checked, 60));
    assert!(matches!(late, Err(Error::WrongCredentials)));
}

#[test]
fn nobody_gets_into_an_account_that_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    let id = ada(&db);
    let checked = login(&db);
    let session = write(&db, |conn| store::begin_session(conn, &checked, 60)).unwrap();
    write(&db, |conn| store::insert_address(conn, id, &address())).unwrap();
    write(&db, |conn| store::delete(conn, id)).unwrap();
    assert!(!runs(&db, session));
    let late = write(&db, |conn| store::begin_session(conn, &checked, 60));
    assert!(matches!(late, Err(Error::WrongCredentials)));
    let late = write(&db, |conn| store::insert_address(conn, id, &address()));
    assert!(matches!(late, Err(Error::NoCustomer(_))));
    assert!(matches!(
        write(&db, |conn| store::delete(conn, id)),
        Err(Error::NoCustomer(_))
    ));
    assert!(
        write(&db, |conn| Ok(store::addresses_of(conn, id, None, 9)?))
            .unwrap()
            .is_empty()
    );
    // The e-mail address is free again.
    assert_ne!(ada(&db), id);
}

#[test]
fn a_customer_of_old_books_is_found_again_even_when_it_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    let import =
        |reference: &'static str| write(&db, |conn| Ok(store::by_reference(conn, reference)?)).unwrap();
    let id = import("17850");
    assert_eq!((import("17850"), import("13047") == id), (id, false));
    let none = write(&db, |conn| Ok(store::login(conn, "17850@import.invalid")?)).unwrap();
    assert!(none.is_none());
    write(&db, |conn| store::delete(conn, id)).unwrap();
    assert_eq!(import("17850"), id);
}

#[test]
fn sessions_long_past_are_swept_out_when_the_customer_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    ada(&db);
    let ada = login(&db);
    let [old, running, _] =
        [-7200, 60, 60].map(|ttl| write(&db, |conn| store::begin_session(conn, &ada, ttl)).unwrap());
    assert_eq!((runs(&db, old), runs(&db, running)), (false, true));
}
