//! The catalog's rows as both sides agree on them, and how this service keeps them: its half of the hand-over.
//!
//! The canonical tables are the monolith's. Here a product's price stands in its history alone, so a product is read together with the
//! entry in force (`products`), and entries are numbered within their product (`prices`). Categories and keys have the canonical form
//! already. The history is taken in before the products, since a product needs a price: one whose history has not come gets a *provisional*
//! entry, which is no row of the history and never travels.

mod canonical;
mod history;
mod prices;
mod products;

use std::collections::BTreeMap;

use chassis::db::{Conn, Error};
use diesel::prelude::*;
use handover::plain::{Plain, sequences};
use handover::row::{Key, Row};
use handover::store::{Range, Store};
#[cfg(test)]
use handover::table::Captured;
use handover::table::{Column, Kind, Table};

use crate::schema;

/// The module's name in the protocol.
pub(crate) const MODULE: &str = "catalog";

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const CATEGORIES: Table = Table {
    name: "categories",
    key: &["id"],
    columns: &[
        column("id", Kind::Integer),
        column("slug", Kind::Text),
        column("name", Kind::Text),
    ],
};

const PRODUCTS: Table = Table {
    name: "products",
    key: &["id"],
    columns: &[
        column("id", Kind::Integer),
        column("sku", Kind::Text),
        column("name", Kind::Text),
        column("description", Kind::Text),
        column("category_id", Kind::Integer),
        column("price_amount", Kind::Integer),
        column("price_currency", Kind::Text),
        column("status", Kind::Text),
        column("version", Kind::Integer),
        column("created_at", Kind::Time),
        column("updated_at", Kind::Time),
        column("deleted_at", Kind::Time),
    ],
};

const PRICES: Table = Table {
    name: "price_history",
    key: &["id"],
    columns: &[
        column("id", Kind::Integer),
        column("product_id", Kind::Integer),
        column("amount", Kind::Integer),
        column("currency", Kind::Text),
        column("effective_from", Kind::Time),
    ],
};

const KEYS: Table = Table {
    name: "catalog_keys",
    key: &["scope", "key"],
    columns: &[
        column("scope", Kind::Text),
        column("key", Kind::Text),
        column("body_hash", Kind::Text),
        column("location", Kind::Text),
        column("etag", Kind::Text),
        column("body", Kind::Text),
        column("created_at", Kind::Time),
    ],
};

/// The tables whose changes are captured, and the triggers made from them.
#[cfg(test)]
const PLAN: handover::ddl::Plan = handover::ddl::Plan {
    module: MODULE,
    captured: &[
        Captured {
            table: "categories",
            of: "categories",
            key: &["id"],
            unique: &[&["slug"]],
        },
        Captured {
            table: "products",
            of: "products",
            key: &["id"],
            unique: &[&["sku"]],
        },
        // An entry's number within its product says nothing that its id and time do not.
        Captured {
            table: "price_history",
            of: "price_history",
            key: &["id"],
            unique: &[&["product_id", "seq"]],
        },
        Captured {
            table: "catalog_keys",
            of: "catalog_keys",
            key: &["scope", "key"],
            unique: &[],
        },
    ],
};

/// What is canonical here already, prices for reading alone.
const PLAIN: Plain = Plain {
    tables: &[CATEGORIES, PRICES, KEYS],
    computed: &[],
    references: &[],
    numbered: &[],
};

/// The columns that the database numbers.
const NUMBERED: &[(&str, &str)] = &[("categories", "id"), ("products", "id"), ("price_history", "id")];

/// The service's rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows;

impl Store for Rows {
    fn tables(&self) -> &'static [Table] {
        &[CATEGORIES, PRODUCTS, PRICES, KEYS]
    }

    /// With a history that is there already, a product needs no provisional entry, which would be written twice.
    fn intake(&self) -> &'static [Table] {
        &[CATEGORIES, PRICES, PRODUCTS, KEYS]
    }

    fn find(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Error> {
        match table.name {
            "products" => products::find(conn, &ids(keys)),
            _ => PLAIN.find(conn, table, keys),
        }
    }

    fn page(&self, conn: &mut Conn, table: &Table, range: &Range, limit: usize) -> Result<Vec<Row>, Error> {
        match table.name {
            "products" => products::page(conn, range, limit),
            "price_history" => PLAIN.page(conn, table, &real_entries(range), limit),
            _ => PLAIN.page(conn, table, range, limit),
        }
    }

    fn put(&self, conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<(), Error> {
        match table.name {
            "products" => products::put(conn, rows),
            "price_history" => prices::put(conn, rows),
            _ => PLAIN.put(conn, table, rows),
        }
    }

    fn add(&self, conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<(), Error> {
        match table.name {
            "products" => products::add(conn, rows),
            "price_history" => prices::add(conn, rows),
            _ => PLAIN.put(conn, table, rows),
        }
    }

    fn remove(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<(), Error> {
        match table.name {
            // Their history goes with them, and so does what the index has of them.
            "products" => Ok(crate::store::bulk::remove(conn, &ids(keys)).map(drop)?),
            "price_history" => prices::remove(conn, &ids(keys)),
            "categories" => {
                let within = schema::products::category_id.eq_any(ids(keys));
                let hanging: Vec<i64> = schema::products::table
                    .filter(within)
                    .select(schema::products::id)
                    .load(conn)?;
                crate::store::bulk::remove(conn, &hanging)?;
                PLAIN.remove(conn, table, keys)
            }
            _ => PLAIN.remove(conn, table, keys),
        }
    }

    fn clear(&self, conn: &mut Conn) -> Result<(), Error> {
        diesel::delete(schema::products::table).execute(conn)?;
        diesel::delete(schema::categories::table).execute(conn)?;
        diesel::sql_query("DELETE FROM catalog_keys").execute(conn)?;
        Ok(())
    }

    fn sequences(&self, conn: &mut Conn) -> Result<BTreeMap<String, i64>, Error> {
        sequences::last(NUMBERED, conn)
    }

    fn raise_sequences(&self, conn: &mut Conn, past: &BTreeMap<String, i64>) -> Result<(), Error> {
        sequences::raise(NUMBERED, conn, past)
    }
}

/// Ids from keys; what is none matches nothing.
fn ids(keys: &[Key]) -> Vec<i64> {
    keys.iter()
        .filter_map(|key| key.0.first()?.parse().ok())
        .collect()
}

/// A range without the provisional entries, whose ids are negative.
fn real_entries(range: &Range) -> Range {
    let is_behind = |key: &Key| {
        key.0
            .first()
            .and_then(|id| id.parse::<i64>().ok())
            .is_some_and(|id| id >= 0)
    };
    let after = range.after.clone().filter(is_behind);
    Range {
        after: after.or_else(|| Some(Key(vec!["0".to_owned()]))),
        through: range.through.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use handover::ddl::{Backend, down, up};

    use super::*;

    /// The committed migrations are what the list of tables gives. After a change of the list: a new migration, and its name here; while
    /// it has not been released, `BANYAN_REWRITE=1` writes it.
    #[test]
    fn the_committed_triggers_are_those_of_the_list() {
        for (folder, backend) in [("sqlite", Backend::Sqlite), ("postgres", Backend::Postgres)] {
            let migration = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(format!("../../migrations/catalog/{folder}/2026-11-25-000300_pen"));
            for (file, text) in [("up.sql", up(&PLAN, backend)), ("down.sql", down(&PLAN, backend))] {
                let path = migration.join(file);
                if std::env::var_os("BANYAN_REWRITE").is_some() {
                    std::fs::create_dir_all(&migration).unwrap();
                    std::fs::write(&path, &text).unwrap();
                }
                assert_eq!(
                    std::fs::read_to_string(&path).unwrap_or_default(),
                    text,
                    "{}",
                    path.display()
                );
            }
        }
    }
}
