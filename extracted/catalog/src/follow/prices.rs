//! The price history: entries come by id, and are numbered here within their product, the last one being in force.
//!
//! The order is that of the ids and not of the times. Both sides take an id while they hold the product's row, and a hand-over moves the
//! ids past those of the other side; but the two have a clock each, and a price that was set a moment after a hand-over may bear an
//! earlier time than the one before it.
//!
//! The database refuses to change an entry, so what must be numbered anew is removed and written again; the usual case is an entry that
//! is added behind the others.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{Conn, Error};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::Error as Diesel;
use diesel::sql_types::Text;
use handover::row::Row;

use super::canonical::Read;
use crate::schema::{price_history, products};

/// An entry, without its number. A provisional one has the product's id, negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) product_id: i64,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) effective_from: NaiveDateTime,
}

/// The entries of some products as they are here, by number.
type Histories = BTreeMap<i64, Vec<Entry>>;

/// Makes entries what they are at the other side.
pub(super) fn put(conn: &mut Conn, rows: &[Row]) -> Result<(), Error> {
    let incoming: Vec<Entry> = rows.iter().map(Entry::read).collect::<Result<_, _>>()?;
    let ids: BTreeSet<i64> = incoming.iter().map(|entry| entry.id).collect();
    let mut touched: BTreeSet<i64> = incoming.iter().map(|entry| entry.product_id).collect();
    // An entry that belonged to another product until now leaves a gap there.
    touched.extend(owners(conn, &ids)?);
    let before = histories(conn, &touched)?;
    let mut after: Histories = touched.iter().map(|product| (*product, Vec::new())).collect();
    for (product, entries) in &before {
        let kept = entries
            .iter()
            .filter(|entry| entry.id > 0 && !ids.contains(&entry.id))
            .cloned();
        after.entry(*product).or_default().extend(kept);
    }
    for entry in incoming {
        after.entry(entry.product_id).or_default().push(entry);
    }
    write(conn, &before, after)
}

/// Removes entries.
pub(super) fn remove(conn: &mut Conn, ids: &[i64]) -> Result<(), Error> {
    let gone: BTreeSet<i64> = ids.iter().copied().collect();
    let owners = owners(conn, &gone)?;
    let before = histories(conn, &owners)?;
    let mut after = before.clone();
    for entries in after.values_mut() {
        entries.retain(|entry| !gone.contains(&entry.id));
    }
    write(conn, &before, after)
}

/// Gives these entries, which are provisional, to those of their products that have no others.
pub(super) fn provide(conn: &mut Conn, provisional: &[Entry]) -> Result<(), Error> {
    let products = provisional.iter().map(|entry| entry.product_id);
    let with_history: Vec<i64> = price_history::table
        .filter(price_history::product_id.eq_any(products))
        .filter(price_history::id.gt(0))
        .select(price_history::product_id)
        .distinct()
        .load(conn)?;
    let with_history: BTreeSet<i64> = with_history.into_iter().collect();
    let lacking: Vec<(i64, &Entry)> = provisional
        .iter()
        .filter(|entry| !with_history.contains(&entry.product_id))
        .map(|entry| (1, entry))
        .collect();
    // One that was there may say a price that has changed since.
    let old = lacking.iter().map(|(_, entry)| entry.id);
    diesel::delete(price_history::table.filter(price_history::id.eq_any(old))).execute(conn)?;
    insert(conn, &lacking)
}

/// The products that these entries belong to.
fn owners(conn: &mut Conn, ids: &BTreeSet<i64>) -> Result<BTreeSet<i64>, Error> {
    let owners: Vec<i64> = price_history::table
        .filter(price_history::id.eq_any(ids))
        .select(price_history::product_id)
        .load(conn)?;
    Ok(owners.into_iter().collect())
}

fn histories(conn: &mut Conn, products: &BTreeSet<i64>) -> Result<Histories, Error> {
    let rows: Vec<(i64, i64, i64, String, NaiveDateTime)> = price_history::table
        .filter(price_history::product_id.eq_any(products))
        .select((
            price_history::id,
            price_history::product_id,
            price_history::amount,
            price_history::currency,
            price_history::effective_from,
        ))
        .order((price_history::product_id, price_history::seq))
        .load(conn)?;
    let mut found = Histories::new();
    for (id, product_id, amount, currency, effective_from) in rows {
        found.entry(product_id).or_default().push(Entry {
            id,
            product_id,
            amount,
            currency,
            effective_from,
        });
    }
    Ok(found)
}

/// Writes what differs: entries behind those that stay, or the whole of a product's history.
fn write(conn: &mut Conn, before: &Histories, mut after: Histories) -> Result<(), Error> {
    let (mut anew, mut numbered, mut last) = (Vec::new(), Vec::new(), BTreeMap::<i64, Vec<i64>>::new());
    for (product, entries) in &mut after {
        let known = before.get(product).map_or(&[][..], Vec::as_slice);
        entries.sort_by_key(|entry| entry.id);
        if entries.is_empty() {
            entries.extend(known.last().map(Entry::as_provisional));
        }
        let is_longer = entries.starts_with(known);
        if !is_longer {
            anew.push(*product);
        }
        let stays = if is_longer { known.len() } else { 0 };
        numbered.extend((1_i64..).zip(entries.iter()).skip(stays));
        last.entry(i64::try_from(entries.len()).unwrap_or(i64::MAX))
            .or_default()
            .push(*product);
    }
    diesel::delete(price_history::table.filter(price_history::product_id.eq_any(&anew))).execute(conn)?;
    insert(conn, &numbered)?;
    for (seq, products) in last {
        let those = products::table
            .filter(products::id.eq_any(products))
            .filter(products::price_seq.ne(seq));
        diesel::update(those)
            .set(products::price_seq.eq(seq))
            .execute(conn)?;
    }
    Ok(())
}

/// Adds entries, each with its number within its product, in one statement.
fn insert(conn: &mut Conn, numbered: &[(i64, &Entry)]) -> Result<(), Error> {
    if numbered.is_empty() {
        return Ok(());
    }
    let (columns, from) = match conn {
        Conn::Postgres(_) => (
            "(e ->> 0)::bigint, (e ->> 1)::bigint, (e ->> 2)::bigint, (e ->> 3)::bigint, e ->> 4, (e ->> 5)::timestamp",
            "json_array_elements($1::json)",
        ),
        Conn::Sqlite(_) => (
            "value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5",
            "json_each($1)",
        ),
    };
    let query = format!(
        "INSERT INTO price_history (id, product_id, seq, amount, currency, effective_from) SELECT {columns} FROM {from} AS e"
    );
    let rows: Vec<_> = numbered
        .iter()
        .map(|(seq, entry)| {
            // As diesel writes times on SQLite, where equal ones must be equal texts.
            let from = entry.effective_from.format("%F %T%.f").to_string();
            (
                entry.id,
                entry.product_id,
                seq,
                entry.amount,
                &entry.currency,
                from,
            )
        })
        .collect();
    let rows = serde_json::to_string(&rows)
        .map_err(|error| Error::Query(Diesel::SerializationError(Box::new(error))))?;
    diesel::sql_query(query).bind::<Text, _>(rows).execute(conn)?;
    Ok(())
}

impl Entry {
    fn read(row: &Row) -> Result<Self, Error> {
        let row = Read {
            table: "price_history",
            row,
        };
        Ok(Self {
            id: row.integer("id")?,
            product_id: row.integer("product_id")?,
            amount: row.integer("amount")?,
            currency: row.text("currency")?,
            effective_from: row.time("effective_from")?,
        })
    }

    /// What a product keeps of its last entry when that is gone, since it must have a price.
    fn as_provisional(&self) -> Self {
        Self {
            id: -self.product_id,
            ..self.clone()
        }
    }
}
