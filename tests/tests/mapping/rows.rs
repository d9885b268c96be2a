//! Single promises of the mapping, each with rows that would show it broken.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use banyan_tests::till::Database;
use handover::row::Row;
use serde_json::json;

use crate::goods::{Shop, category, entry, id, product, text, with};
use crate::side::{Side, Who};

const EARLIER: &str = "2026-11-25T06:17:51.000001Z";
const LATER: &str = "2026-11-25T06:17:52.000001Z";

pub(crate) fn in_and_out(side: &Side) -> anyhow::Result<()> {
    let shop = Shop::awkward();
    side.put_all(&shop)?;
    side.holds(&shop)
}

pub(crate) fn twice(side: &Side) -> anyhow::Result<()> {
    let shop = Shop::awkward();
    side.put_all(&shop)?;
    side.put_all(&shop)?;
    side.holds(&shop)?;
    let numbers = side.transact(|conn| side.store.sequences(conn))?;
    side.transact(|conn| side.store.raise_sequences(conn, &numbers))?;
    ensure!(
        side.transact(|conn| side.store.sequences(conn))? >= numbers,
        "{numbers:?}"
    );
    Ok(())
}

/// Adding is putting where nothing is, whatever the rows; what another row has already is refused with a unique violation, for which the
/// follower puts them instead.
pub(crate) fn added(side: &Side) -> anyhow::Result<()> {
    let shop = Shop::awkward();
    for table in side.store.intake() {
        for rows in shop.rows(table).chunks(1000) {
            side.transact(|conn| side.store.add(conn, table, rows))?;
        }
    }
    side.holds(&shop)?;
    side.transact(|conn| side.store.clear(conn))?;
    let (mut shop, _) = before_and_after();
    side.put_all(&shop)?;
    let products = side.table("products")?;
    // The SKU belongs to another id here, as after an exchange that the feed has yet to bring.
    let taken = [product(8, "MUG", "Tea", 1, 5)];
    let refused = side.transact(|conn| side.store.add(conn, products, &taken));
    let Err(error) = refused else {
        bail!("two products have one SKU");
    };
    ensure!(error.is_unique_violation(), "{error}");
    side.holds(&shop)?;
    // An entry that comes behind a provisional one takes its place, and another one of the same page comes behind it.
    side.put("products", &[product(9, "TEA", "Tea", 1, 6)])?;
    let prices = [entry(90, 9, 5, EARLIER), entry(91, 9, 6, LATER)];
    let table = side.table("price_history")?;
    side.transact(|conn| side.store.add(conn, table, &prices))?;
    shop.add("products", product(9, "TEA", "Tea", 1, 6));
    for price in prices {
        shop.add("price_history", price);
    }
    side.holds(&shop)
}

/// From one side to the other and back, each reading what the one before holds.
pub(crate) fn round_trip(database: &Database) -> anyhow::Result<()> {
    let (shop, monolith) = (Shop::awkward(), Side::open(database, Who::Monolith)?);
    monolith.put_all(&shop)?;
    let (service, back) = (
        Side::open(database, Who::Service)?,
        Side::open(database, Who::Monolith)?,
    );
    for (from, to) in [(&monolith, &service), (&service, &back)] {
        ensure!(
            format!("{:?}", from.store.tables()) == format!("{:?}", to.store.tables()),
            "the two sides do not list the same tables"
        );
        for table in from.store.tables() {
            to.put(table.name, &from.rows(table)?)?;
        }
        to.holds(&shop)?;
    }
    Ok(())
}

/// A shop with one product at version 1 that has one price, and the same one a change of price later.
fn before_and_after() -> (Shop, Shop) {
    let mut before = Shop::default();
    before.add("categories", category(1, "mugs", "Mugs"));
    before.add("products", product(7, "MUG", "Mug", 1, 100));
    before.add("price_history", entry(70, 7, 100, EARLIER));
    let mut after = before.clone();
    after.add(
        "products",
        with(product(7, "MUG", "Mug", 1, 120), "version", json!("2")),
    );
    after.add("price_history", entry(71, 7, 120, LATER));
    (before, after)
}

pub(crate) fn either_order(side: &Side) -> anyhow::Result<()> {
    let (before, after) = before_and_after();
    let row = |shop: &Shop, table, key| shop.get(table, &id(key)).cloned().into_iter().collect::<Vec<_>>();
    for order in [["products", "price_history"], ["price_history", "products"]] {
        side.transact(|conn| side.store.clear(conn))?;
        side.put_all(&before)?;
        for table in order {
            let key = if table == "products" { 7 } else { 71 };
            side.put(table, &row(&after, table, key))?;
        }
        side.holds(&after)?;
    }
    Ok(())
}

/// No entry is made that stands for a history which is there, and what is removed before its product comes leaves nothing behind.
pub(crate) fn history_first(side: &Side) -> anyhow::Result<()> {
    let entries = || side.ask("SELECT CAST(count(*) AS TEXT) AS line FROM price_history");
    side.put("categories", &[category(1, "mugs", "Mugs")])?;
    let (prices, products) = (side.table("price_history")?, side.table("products")?);
    let history = [
        entry(70, 7, 100, EARLIER),
        entry(71, 7, 120, LATER),
        entry(90, 9, 5, EARLIER),
    ];
    side.transact(|conn| side.store.add(conn, prices, &history))?;
    side.put(
        "price_history",
        &[entry(72, 7, 130, LATER), entry(69, 7, 90, LATER)],
    )?;
    side.transact(|conn| side.store.remove(conn, prices, &[id(90)]))?;
    ensure!(entries()? == "4", "{} entries", entries()?);
    let mug = product(7, "MUG", "Mug", 1, 130);
    side.transact(|conn| side.store.add(conn, products, std::slice::from_ref(&mug)))?;
    ensure!(entries()? == "4", "{} entries", entries()?);
    let lost = side.put("products", &[product(8, "LOST", "Lost", 404, 1)]);
    ensure!(lost.is_err(), "a product without a category was taken in");
    let mut shop = Shop::default();
    shop.add("categories", category(1, "mugs", "Mugs"));
    shop.add("products", mug);
    for (id, price, from) in [
        (69, 90, LATER),
        (70, 100, EARLIER),
        (71, 120, LATER),
        (72, 130, LATER),
    ] {
        shop.add("price_history", entry(id, 7, price, from));
    }
    side.holds(&shop)?;
    side.transact(|conn| side.store.remove(conn, products, &[id(7)]))?;
    ensure!(entries()? == "0", "{} entries", entries()?);
    Ok(())
}

pub(crate) fn exchange(side: &Side) -> anyhow::Result<()> {
    let (mut shop, _) = before_and_after();
    shop.add("products", product(8, "TEA", "Tea", 1, 5));
    shop.add("price_history", entry(80, 8, 5, EARLIER));
    side.put_all(&shop)?;
    shop.add("products", product(7, "TEA", "Mug", 1, 100));
    shop.add("products", product(8, "MUG", "Tea", 1, 5));
    side.put("products", &shop.rows(side.table("products")?))?;
    side.holds(&shop)?;
    ensure!(side.found("tea")? == ["MUG", "TEA"], "{:?}", side.found("tea")?);
    Ok(())
}

pub(crate) fn remove(side: &Side) -> anyhow::Result<()> {
    let mut shop = Shop::awkward();
    side.put_all(&shop)?;
    let categories = side.table("categories")?;
    side.transact(|conn| side.store.remove(conn, categories, &[id(1), id(404)]))?;
    shop.remove("categories", &id(1));
    for product in [1, 2, 4, 5] {
        for entry in shop.history(&product.to_string()) {
            shop.remove("price_history", &id(text(&entry, "id").parse()?));
        }
        shop.remove("products", &id(product));
    }
    side.holds(&shop)?;
    ensure!(side.found("mug")?.is_empty(), "{:?}", side.found("mug")?);
    ensure!(side.has_no_orphans()?, "the index has what is no product");
    side.transact(|conn| side.store.clear(conn))?;
    side.holds(&Shop::default())?;
    ensure!(side.has_no_orphans()?, "the index has what is no product");
    ensure!(side.found("far")?.is_empty(), "{:?}", side.found("far")?);
    Ok(())
}

pub(crate) fn words(side: &Side) -> anyhow::Result<()> {
    side.put("categories", &[category(1, "mugs", "Mugs")])?;
    let mug = product(7, "MUG", "Red mug", 1, 100);
    let gone = with(mug.clone(), "deleted_at", json!(LATER));
    let blue = with(mug.clone(), "name", json!("Blue mug"));
    for (row, red, blue) in [
        (&mug, true, false),
        (&gone, false, false),
        (&mug, true, false),
        (&blue, false, true),
    ] {
        side.put("products", std::slice::from_ref(row))?;
        let found = (!side.found("red")?.is_empty(), !side.found("blue")?.is_empty());
        ensure!(found == (red, blue), "{found:?} for {row:?}");
    }
    Ok(())
}

/// The next rows of this side's own get ids behind those that came and those that were told.
pub(crate) fn numbers(side: &Side) -> anyhow::Result<()> {
    let add = |slug: &str| -> anyhow::Result<i64> {
        let sql = format!(
            "INSERT INTO categories (slug, name) VALUES ('{slug}', '') RETURNING CAST(id AS TEXT) AS line"
        );
        Ok(side.ask(&sql)?.parse()?)
    };
    side.put("categories", &[category(50, "fifty", "")])?;
    let tell = |number: i64| {
        let told = ["categories.id", "products.id", "price_history.id"].map(|name| (name.to_owned(), number));
        side.transact(|conn| side.store.raise_sequences(conn, &BTreeMap::from(told.clone())))
    };
    tell(0)?;
    ensure!(add("a")? == 51, "not behind the greatest that is there");
    tell(900)?;
    ensure!(add("b")? == 901, "not behind the one that was told");
    tell(900)?;
    ensure!(add("c")? == 902, "it went back");
    side.transact(|conn| side.store.clear(conn))?;
    ensure!(add("d")? > 902, "an id was given twice");
    let numbers = side.transact(|conn| side.store.sequences(conn))?;
    ensure!(
        numbers["products.id"] == 900 && numbers["price_history.id"] == 900 && numbers["categories.id"] > 902,
        "{numbers:?}"
    );
    Ok(())
}

pub(crate) fn another_price(side: &Side) -> anyhow::Result<()> {
    let (before, mut after) = before_and_after();
    side.put_all(&before)?;
    // The product says 999, and its history does not.
    side.put("products", &[product(7, "MUG", "Mug", 1, 999)])?;
    side.holds(&before)?;
    // And the other way round.
    side.put("price_history", &[entry(71, 7, 120, LATER)])?;
    after.add("products", product(7, "MUG", "Mug", 1, 120));
    side.holds(&after)
}

pub(crate) fn clocks(side: &Side) -> anyhow::Result<()> {
    let (mut shop, _) = before_and_after();
    side.put_all(&shop)?;
    shop.add("price_history", entry(71, 7, 120, "2026-11-25T06:17:50.000000Z"));
    shop.add("products", product(7, "MUG", "Mug", 1, 120));
    side.put_all(&shop)?;
    side.holds(&shop)?;
    // One in the middle comes late.
    shop.add("price_history", entry(69, 7, 1, LATER));
    side.put("price_history", &[entry(69, 7, 1, LATER)])?;
    side.holds(&shop)
}

/// A product whose price has changed for years takes the next change as quickly as a new one does: a follower that must look at the whole
/// history falls behind.
pub(crate) fn long_history(side: &Side) -> anyhow::Result<()> {
    side.put("categories", &[category(1, "mugs", "Mugs")])?;
    let change = |id: i64| -> anyhow::Result<()> {
        side.put("products", &[product(7, "MUG", "Mug", 1, id)])?;
        side.put("price_history", &[entry(id, 7, id, LATER)])
    };
    let changes = |ids: std::ops::Range<i64>| -> anyhow::Result<Duration> {
        let began = Instant::now();
        ids.into_iter().try_for_each(change)?;
        Ok(began.elapsed())
    };
    changes(1..11)?;
    let short = changes(11..61)?;
    for first in (61..20_061).step_by(1000) {
        let entries: Vec<Row> = (first..first + 1000).map(|id| entry(id, 7, id, LATER)).collect();
        side.put("price_history", &entries)?;
    }
    let long = changes(20_061..20_111)?;
    ensure!(long < short * 5, "{long:?} and not {short:?}");
    Ok(())
}

pub(crate) fn no_history(side: &Side) -> anyhow::Result<()> {
    let (mut shop, _) = before_and_after();
    side.put_all(&shop)?;
    let prices = side.table("price_history")?;
    side.transact(|conn| side.store.remove(conn, prices, &[id(70)]))?;
    shop.remove("price_history", &id(70));
    side.holds(&shop)?;
    // What it costs changes with the product then.
    shop.add("products", product(7, "MUG", "Mug", 1, 101));
    side.put_all(&shop)?;
    side.holds(&shop)?;
    // An entry that goes over to another product leaves the same behind.
    shop.add("products", product(8, "TEA", "Tea", 1, 5));
    shop.add("price_history", entry(70, 7, 101, EARLIER));
    side.put_all(&shop)?;
    shop.add("price_history", entry(70, 8, 5, EARLIER));
    side.put("price_history", &[entry(70, 8, 5, EARLIER)])?;
    side.holds(&shop)
}
