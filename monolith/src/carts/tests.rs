//! What the port of the carts promises, on SQLite.

use chassis::db::{Db, PoolSettings, transact};

use super::*;
use crate::app::MIGRATIONS;
use crate::catalog::Product;
use crate::money::Money;

fn shop(dir: &tempfile::TempDir) -> Db {
    let url = format!("sqlite:{}", dir.path().join("shop.db").display());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    db.migrate(&MIGRATIONS).unwrap();
    db
}

fn write<T>(db: &Db, work: impl Fn(&mut Conn) -> Result<T, Error>) -> Result<T, Error> {
    transact(&mut db.connect().unwrap(), work)
}

fn put(db: &Db, cart: i64, sku: &str, currency: &str) -> Result<(), Error> {
    let product = Product {
        sku: sku.to_owned(),
        name: sku.to_owned(),
        price: Money::new(100, currency),
        on_sale: true,
    };
    write(db, |conn| store::put(conn, cart, &product, 2))
}

fn open(db: &Db) -> i64 {
    write(db, |conn| Ok(store::create(conn, 7)?.id)).unwrap()
}

#[test]
fn of_50_who_order_a_cart_one_gets_it_and_it_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    let cart = open(&db);
    put(&db, cart, "b", "GBP").unwrap();
    put(&db, cart, "a", "GBP").unwrap();
    put(&db, cart, "b", "GBP").unwrap();
    let taken = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| write(&db, |conn| store::take(conn, cart)).is_ok()))
            .collect();
        tries
            .into_iter()
            .filter_map(|one| one.join().unwrap().then_some(()))
            .count()
    });
    assert_eq!(taken, 1);
    assert!(matches!(put(&db, cart, "c", "GBP"), Err(Error::Ordered(_))));
    assert!(matches!(
        write(&db, |conn| store::remove(conn, cart, "a")),
        Err(Error::Ordered(_))
    ));
    let contents: Contents = store::find(&mut db.connect().unwrap(), cart)
        .unwrap()
        .unwrap()
        .into();
    assert_eq!(contents.lines, [("b".to_owned(), 2), ("a".to_owned(), 2)]);
    for _ in 0..2 {
        write(&db, |conn| store::reopen(conn, cart)).unwrap();
    }
    put(&db, cart, "c", "GBP").unwrap();
}

#[test]
fn a_cart_keeps_to_one_currency_and_to_100_products() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    let cart = open(&db);
    put(&db, cart, "0", "GBP").unwrap();
    assert!(matches!(put(&db, cart, "1", "EUR"), Err(Error::Currency { .. })));
    put(&db, cart, "0", "EUR").unwrap();
    for i in 1..MAX_ITEMS {
        put(&db, cart, &i.to_string(), "EUR").unwrap();
    }
    assert!(matches!(put(&db, cart, "more", "EUR"), Err(Error::Full)));
    put(&db, cart, "0", "EUR").unwrap();
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(&dir);
    assert!(matches!(put(&db, 9, "a", "GBP"), Err(Error::NoCart(9))));
    assert!(matches!(
        write(&db, |conn| store::reopen(conn, 9)),
        Err(Error::NoCart(9))
    ));
    let cart = open(&db);
    assert!(matches!(
        write(&db, |conn| store::remove(conn, cart, "a")),
        Err(Error::NotInCart { .. })
    ));
}
