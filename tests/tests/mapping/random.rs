//! Changes as they happen in a shop, cut into pages anywhere: a side that takes the pages one after the other ends where the shop is.
//!
//! Pages are made as the feed makes them: the keys in the order in which they changed first, each with the row as it is by then, so that a
//! row may be ahead of those before it. A page that does not fit is taken together with all that follow, as a follower does.

use anyhow::Context;
use chassis::db::Error;
use handover::row::{Key, Row};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::goods::{Shop, category, entry, id, key, product, text, with};
use crate::side::Side;

/// Shops, and changes in each.
const SHOPS: u64 = 6;
const CHANGES: usize = 80;

pub(crate) fn pages(side: &Side) -> anyhow::Result<()> {
    for seed in 0..SHOPS {
        side.transact(|conn| side.store.clear(conn))?;
        let mut life = Life::begin(seed);
        for _ in 0..CHANGES {
            life.change();
            if life.random.random_bool(0.4) {
                let some = life.random.random_range(0..=life.pending.len());
                life.page(side, some).with_context(|| format!("seed {seed}"))?;
            }
        }
        life.page(side, life.pending.len())
            .with_context(|| format!("seed {seed}"))?;
        side.holds(&life.shop).with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

/// A shop that changes, and what of it has not been passed on.
struct Life {
    random: StdRng,
    shop: Shop,
    next: i64,
    pending: Vec<(&'static str, Key)>,
}

impl Life {
    fn begin(seed: u64) -> Self {
        let mut life = Self {
            random: StdRng::seed_from_u64(seed),
            shop: Shop::default(),
            next: 1,
            pending: Vec::new(),
        };
        life.set("categories", category(1, "first", "First"));
        life
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn time(&mut self) -> String {
        format!("2026-11-25T06:17:{:02}.000000Z", self.random.random_range(0..60))
    }

    fn pick(&mut self, table: &'static str) -> Option<Key> {
        let keys = self.shop.keys(table);
        (!keys.is_empty()).then(|| keys[self.random.random_range(0..keys.len())].clone())
    }

    fn note(&mut self, table: &'static str, key: Key) {
        if !self.pending.contains(&(table, key.clone())) {
            self.pending.push((table, key));
        }
    }

    fn set(&mut self, table: &'static str, row: Row) {
        let names: &[&str] = if table == "catalog_keys" {
            &["scope", "key"]
        } else {
            &["id"]
        };
        let key = Key(names.iter().map(|name| text(&row, name).to_owned()).collect());
        self.shop.add(table, row);
        self.note(table, key);
    }

    fn unset(&mut self, table: &'static str, key: Key) {
        self.shop.remove(table, &key);
        self.note(table, key);
    }

    /// Something happens.
    fn change(&mut self) {
        match self.random.random_range(0..12) {
            0 => {
                let number = self.number();
                self.set("categories", category(number, &format!("c-{number}"), "Named"));
            }
            1..=3 => self.create(),
            4 | 5 => self.reprice(),
            6 => self.edit("name"),
            7 => self.edit("deleted_at"),
            8 => self.exchange(),
            9 => self.correct(),
            10 => self.drop_product(),
            _ => self.keys(),
        }
    }

    fn create(&mut self) {
        let (number, at) = (self.number(), self.time());
        let category = self
            .pick("categories")
            .and_then(|key| key.0.first()?.parse().ok())
            .unwrap_or(1);
        self.set(
            "products",
            product(number, &format!("S-{number}"), "Thing", category, number),
        );
        let entry_id = self.number();
        self.set("price_history", entry(entry_id, number, number, &at));
    }

    fn reprice(&mut self) {
        let Some(key) = self.pick("products") else { return };
        let Some(row) = self.shop.get("products", &key).cloned() else {
            return;
        };
        let (number, at) = (self.number(), self.time());
        let product: i64 = text(&row, "id").parse().unwrap_or_default();
        self.set("products", with(row, "price_amount", json!(number.to_string())));
        self.set("price_history", entry(number, product, number, &at));
    }

    fn edit(&mut self, column: &str) {
        let Some(key) = self.pick("products") else { return };
        let Some(row) = self.shop.get("products", &key).cloned() else {
            return;
        };
        let value = match (column, row.get(column)) {
            ("deleted_at", Some(Value::Null)) => json!(self.time()),
            ("deleted_at", _) => Value::Null,
            _ => json!(format!("Thing {}", self.number())),
        };
        self.set("products", with(row, column, value));
    }

    fn exchange(&mut self) {
        let (Some(one), Some(other)) = (self.pick("products"), self.pick("products")) else {
            return;
        };
        let rows = (self.shop.get("products", &one), self.shop.get("products", &other));
        let (Some(left), Some(right)) = (rows.0.cloned(), rows.1.cloned()) else {
            return;
        };
        let (sku, other_sku) = (json!(text(&left, "sku")), json!(text(&right, "sku")));
        self.set("products", with(left, "sku", other_sku));
        if one != other {
            self.set("products", with(right, "sku", sku));
        }
    }

    /// Somebody corrects the books: an entry is changed, or taken out unless it is the only one.
    fn correct(&mut self) {
        let Some(key) = self.pick("products") else { return };
        let Some(row) = self.shop.get("products", &key).cloned() else {
            return;
        };
        let entries = self.shop.history(text(&row, "id"));
        let chosen = entries[self.random.random_range(0..entries.len())].clone();
        if entries.len() > 1 && self.random.random_bool(0.5) {
            self.unset(
                "price_history",
                id(text(&chosen, "id").parse().unwrap_or_default()),
            );
        } else {
            let amount = self.number().to_string();
            self.set("price_history", with(chosen, "amount", json!(amount)));
        }
        let last = self.shop.history(text(&row, "id")).pop().unwrap_or_default();
        let price = json!(text(&last, "amount"));
        if row.get("price_amount") != Some(&price) {
            self.set("products", with(row, "price_amount", price));
        }
    }

    fn drop_product(&mut self) {
        let Some(key) = self.pick("products") else { return };
        for entry in self.shop.history(&key.0.concat()) {
            self.unset(
                "price_history",
                id(text(&entry, "id").parse().unwrap_or_default()),
            );
        }
        self.unset("products", key);
    }

    fn keys(&mut self) {
        let number = self.number();
        match self.pick("catalog_keys") {
            Some(old) if self.random.random_bool(0.5) => self.unset("catalog_keys", old),
            _ => self.set("catalog_keys", key("staff", &format!("k-{number}"), "{}")),
        }
    }

    /// Passes on the first so many changes; all, if those alone do not fit.
    fn page(&mut self, side: &Side, some: usize) -> anyhow::Result<()> {
        let taken = match self.apply(side, &self.pending[..some]) {
            Ok(()) => some,
            Err(_) => {
                self.apply(side, &self.pending)?;
                self.pending.len()
            }
        };
        self.pending.drain(..taken);
        Ok(())
    }

    /// Deletions children first, then rows parents first, in one transaction.
    fn apply(&self, side: &Side, changes: &[(&'static str, Key)]) -> Result<(), Error> {
        side.transact(|conn| {
            for table in side.store.intake().iter().rev() {
                let gone: Vec<Key> = changes
                    .iter()
                    .filter(|(name, key)| *name == table.name && self.shop.get(name, key).is_none())
                    .map(|(_, key)| key.clone())
                    .collect();
                side.store.remove(conn, table, &gone)?;
            }
            for table in side.store.intake() {
                let rows: Vec<Row> = changes
                    .iter()
                    .filter(|(name, _)| *name == table.name)
                    .filter_map(|(name, key)| self.shop.get(name, key).cloned())
                    .collect();
                side.store.put(conn, table, &rows)?;
            }
            Ok(())
        })
    }
}
