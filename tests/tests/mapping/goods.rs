//! A shop's catalog in canonical form: what both sides must be able to hold.

use std::collections::HashMap;

use handover::row::{Key, Row};
use handover::table::Table;
use serde_json::{Value, json};

/// Rows by table and key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shop {
    rows: HashMap<(&'static str, Key), Row>,
}

impl Shop {
    /// Everything that is awkward, and a few things that are not.
    pub(crate) fn awkward() -> Self {
        let mut shop = Self::default();
        let far = 9_007_199_254_740_993;
        shop.add("categories", category(1, "mugs", "Mugs"));
        shop.add(
            "categories",
            category(2, "tassen", "Tassen \u{2615} \"gro\u{df}\" \\ /"),
        );
        shop.add("categories", category(far, "far", ""));
        for product in [
            product(1, "MUG", "Red mug", 1, 250),
            with(
                product(2, "Sp ace", "Gone", 1, 100),
                "deleted_at",
                json!("2026-11-25T06:17:51.000000Z"),
            ),
            with(
                product(
                    3,
                    "UMLAUT",
                    "\u{1d11e} caf\u{e9} cafe\u{301}\t\"x\" \\ \u{2028}\u{1} 日本",
                    2,
                    0,
                ),
                "description",
                json!("first line\nsecond line; '); DROP TABLE products; --"),
            ),
            with(
                product(4, "TIMES", "Times", 1, 10_000_000_000),
                "updated_at",
                json!("2026-11-25T06:17:51.500000Z"),
            ),
            with(
                product(5, "NEW", "Without a history yet", 1, 77),
                "version",
                json!("9007199254740995"),
            ),
            with(
                product(far, "FAR", "Far", far, 5),
                "status",
                json!("discontinued"),
            ),
        ] {
            shop.add("products", product);
        }
        shop.add_prices(far);
        shop.add(
            "catalog_keys",
            key("staff command-line", "k-1", "{\"sku\":\"\u{2615}\"}\n"),
        );
        shop.add("catalog_keys", key("staff command-line", "K-1", ""));
        shop.add("catalog_keys", key("customer 7", "\u{e9}", "null"));
        shop
    }

    fn add_prices(&mut self, far: i64) {
        let at = |micros: u32| format!("2026-11-25T06:17:51.{micros:06}Z");
        for (id, product, amount, from) in [
            (1, 1, 100, at(120)),
            // The clock was put back between the two.
            (2, 1, 250, at(1)),
            (3, 2, 100, at(0)),
            (4, 3, 0, at(999_999)),
            (5, 4, 1, at(500_000)),
            (6, 4, 1, at(500_000)),
            (far, 4, 10_000_000_000, at(500_000)),
            (far + 2, far, 5, at(7)),
        ] {
            self.add("price_history", entry(id, product, amount, &from));
        }
    }

    /// Puts a row in the place of the one with its key.
    pub(crate) fn add(&mut self, table: &'static str, row: Row) {
        let names: &[&str] = match table {
            "catalog_keys" => &["scope", "key"],
            _ => &["id"],
        };
        let key = Key(names.iter().map(|name| text(&row, name).to_owned()).collect());
        self.rows.insert((table, key), row);
    }

    pub(crate) fn remove(&mut self, table: &'static str, key: &Key) {
        self.rows.remove(&(table, key.clone()));
    }

    pub(crate) fn get(&self, table: &'static str, key: &Key) -> Option<&Row> {
        self.rows.get(&(table, key.clone()))
    }

    /// The rows of a table, by key.
    pub(crate) fn rows(&self, table: &Table) -> Vec<Row> {
        let mut rows: Vec<(&Key, &Row)> = self
            .rows
            .iter()
            .filter(|((name, _), _)| *name == table.name)
            .map(|((_, key), row)| (key, row))
            .collect();
        rows.sort_by(|(left, _), (right, _)| table.compare(left, right));
        rows.into_iter().map(|(_, row)| row.clone()).collect()
    }

    /// The keys of a table, in no order that means anything but always in the same one.
    pub(crate) fn keys(&self, table: &'static str) -> Vec<Key> {
        let mut keys: Vec<Key> = self
            .rows
            .keys()
            .filter(|(name, _)| *name == table)
            .map(|(_, key)| key.clone())
            .collect();
        keys.sort_by(|left, right| left.0.cmp(&right.0));
        keys
    }

    /// The entries of a product's history, by id.
    pub(crate) fn history(&self, product: &str) -> Vec<Row> {
        let mut entries: Vec<Row> = self
            .rows
            .iter()
            .filter(|((name, _), row)| *name == "price_history" && text(row, "product_id") == product)
            .map(|(_, row)| row.clone())
            .collect();
        entries.sort_by_key(|row| text(row, "id").parse::<i64>().unwrap_or_default());
        entries
    }
}

/// The text of a column; empty if it is none.
pub(crate) fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// The row with another value in one column.
pub(crate) fn with(mut row: Row, column: &str, value: Value) -> Row {
    row.insert(column.to_owned(), value);
    row
}

pub(crate) fn id(id: i64) -> Key {
    Key(vec![id.to_string()])
}

fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row.into_iter().collect(),
        _ => Row::new(),
    }
}

pub(crate) fn category(id: i64, slug: &str, name: &str) -> Row {
    row(json!({ "id": id.to_string(), "slug": slug, "name": name }))
}

pub(crate) fn product(id: i64, sku: &str, name: &str, category: i64, price: i64) -> Row {
    row(json!({
        "id": id.to_string(), "sku": sku, "name": name, "description": "", "category_id": category.to_string(),
        "price_amount": price.to_string(), "price_currency": "GBP", "status": "active", "version": "1",
        "created_at": "2026-11-25T06:17:51.000120Z", "updated_at": "2026-11-25T06:17:51.000120Z", "deleted_at": null,
    }))
}

pub(crate) fn entry(id: i64, product: i64, amount: i64, from: &str) -> Row {
    row(json!({
        "id": id.to_string(), "product_id": product.to_string(), "amount": amount.to_string(), "currency": "GBP",
        "effective_from": from,
    }))
}

pub(crate) fn key(scope: &str, key: &str, body: &str) -> Row {
    row(json!({
        "scope": scope, "key": key, "body_hash": "e3b0c442", "location": "/api/products/A%20B", "etag": "\"v1\"", "body": body,
        "created_at": "2026-11-25T06:17:51.000120Z",
    }))
}
