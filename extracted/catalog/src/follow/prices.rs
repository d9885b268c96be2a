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
use diesel::result::{Error as Diesel, QueryResult};
use diesel::sql_types::{Array, BigInt, Text, Timestamp};
use handover::row::Row;

use super::canonical::Read;
use crate::schema::{price_history, products};

/// An entry, without its number. A provisional one has the product's id, negative.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) product_id: i64,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) effective_from: NaiveDateTime,
}

/// The entry of a product that is in force, which is its last one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Last {
    pub(super) seq: i64,
    /// Negative if it is provisional.
    id: i64,
}

const COLUMNS: (
    price_history::id,
    price_history::product_id,
    price_history::amount,
    price_history::currency,
    price_history::effective_from,
) = (
    price_history::id,
    price_history::product_id,
    price_history::amount,
    price_history::currency,
    price_history::effective_from,
);

/// The entries of some products as they are here, by number.
type Histories = BTreeMap<i64, Vec<Entry>>;

/// Makes entries what they are at the other side. Those that come behind what is in force, as nearly all do, are added without a look at
/// the rest of the history, which may be long.
pub(super) fn put(conn: &mut Conn, rows: &[Row]) -> Result<(), Error> {
    let mut incoming: Vec<Entry> = rows.iter().map(Entry::read).collect::<Result<_, _>>()?;
    let known = entries(conn, incoming.iter().map(|entry| entry.id))?;
    incoming.retain(|entry| known.get(&entry.id) != Some(entry));
    let in_force = in_force(conn, incoming.iter().map(|entry| entry.product_id))?;
    let is_behind = |entry: &Entry| {
        let last = in_force.get(&entry.product_id);
        last.is_some_and(|last| entry.id > last.id) && !known.contains_key(&entry.id)
    };
    let elsewhere: BTreeSet<i64> = incoming
        .iter()
        .filter(|entry| !is_behind(entry))
        .map(|entry| entry.product_id)
        .collect();
    let (anew, mut added): (Vec<Entry>, Vec<Entry>) = incoming
        .into_iter()
        .partition(|entry| elsewhere.contains(&entry.product_id));
    added.sort_by_key(|entry| entry.id);
    let mut last = BTreeMap::<i64, i64>::new();
    let mut numbered = Vec::with_capacity(added.len());
    for entry in &added {
        // A provisional entry is all that there is of its product, and makes room.
        let behind = in_force.get(&entry.product_id).filter(|last| last.id > 0);
        let seq = last
            .entry(entry.product_id)
            .or_insert(behind.map_or(0, |last| last.seq));
        *seq += 1;
        numbered.push((*seq, entry));
    }
    let provisional = |product: &&i64| in_force.get(product).is_some_and(|last| last.id < 0);
    remove_provisional(conn, last.keys().filter(provisional).copied())?;
    insert(conn, &numbered)?;
    last.retain(|product, seq| in_force.get(product).is_none_or(|last| last.seq != *seq));
    point(conn, last)?;
    put_among(conn, anew, &known)
}

/// The same for entries that come before others, or are there with other values: the histories of their products are numbered anew.
fn put_among(conn: &mut Conn, incoming: Vec<Entry>, known: &BTreeMap<i64, Entry>) -> Result<(), Error> {
    let ids: BTreeSet<i64> = incoming.iter().map(|entry| entry.id).collect();
    let mut touched: BTreeSet<i64> = incoming.iter().map(|entry| entry.product_id).collect();
    // An entry that belonged to another product until now leaves a gap there.
    let from = ids.iter().filter_map(|id| known.get(id));
    touched.extend(from.map(|entry| entry.product_id));
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
    let gone = entries(conn, ids.iter().copied())?;
    let owners = gone.values().map(|entry| entry.product_id).collect();
    let before = histories(conn, &owners)?;
    let mut after = before.clone();
    for entries in after.values_mut() {
        entries.retain(|entry| !gone.contains_key(&entry.id));
    }
    write(conn, &before, after)
}

/// Gives these entries, which are provisional, to those of their products that have no others; `last` says what is in force.
pub(super) fn provide(
    conn: &mut Conn,
    provisional: &[Entry],
    last: &BTreeMap<i64, Last>,
) -> Result<(), Error> {
    let has_history = |product: &i64| last.get(product).is_some_and(|last| last.id > 0);
    let lacking: Vec<(i64, &Entry)> = provisional
        .iter()
        .filter(|entry| !has_history(&entry.product_id))
        .map(|entry| (1, entry))
        .collect();
    // One that was there may say a price that has changed since.
    remove_provisional(conn, lacking.iter().map(|(_, entry)| entry.product_id))?;
    insert(conn, &lacking)
}

fn remove_provisional(conn: &mut Conn, of: impl Iterator<Item = i64>) -> Result<(), Error> {
    let ids: Vec<i64> = of.map(|product| -product).collect();
    if !ids.is_empty() {
        diesel::delete(price_history::table.filter(price_history::id.eq_any(ids))).execute(conn)?;
    }
    Ok(())
}

/// The entry in force of each of these products that is here.
pub(super) fn in_force(conn: &mut Conn, of: impl Iterator<Item = i64>) -> Result<BTreeMap<i64, Last>, Error> {
    let of: BTreeSet<i64> = of.collect();
    let last = price_history::product_id
        .eq(products::id)
        .and(price_history::seq.eq(products::price_seq));
    let found: Vec<(i64, i64, i64)> = products::table
        .inner_join(price_history::table.on(last))
        .filter(products::id.eq_any(of))
        .select((products::id, products::price_seq, price_history::id))
        .load(conn)?;
    Ok(found
        .into_iter()
        .map(|(product, seq, id)| (product, Last { seq, id }))
        .collect())
}

/// What is there of the entries with these ids.
fn entries(conn: &mut Conn, ids: impl Iterator<Item = i64>) -> Result<BTreeMap<i64, Entry>, Error> {
    let found: Vec<Entry> = price_history::table
        .filter(price_history::id.eq_any(ids))
        .select(COLUMNS)
        .load(conn)?;
    Ok(found.into_iter().map(|entry| (entry.id, entry)).collect())
}

fn histories(conn: &mut Conn, products: &BTreeSet<i64>) -> Result<Histories, Error> {
    let rows: Vec<Entry> = price_history::table
        .filter(price_history::product_id.eq_any(products))
        .select(COLUMNS)
        .order((price_history::product_id, price_history::seq))
        .load(conn)?;
    let mut found = Histories::new();
    for entry in rows {
        found.entry(entry.product_id).or_default().push(entry);
    }
    Ok(found)
}

/// Writes what differs: entries behind those that stay, or the whole of a product's history.
fn write(conn: &mut Conn, before: &Histories, mut after: Histories) -> Result<(), Error> {
    let (mut anew, mut numbered, mut last) = (Vec::new(), Vec::new(), BTreeMap::new());
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
        last.insert(*product, i64::try_from(entries.len()).unwrap_or(i64::MAX));
    }
    diesel::delete(price_history::table.filter(price_history::product_id.eq_any(&anew))).execute(conn)?;
    insert(conn, &numbered)?;
    point(conn, last)
}

/// Says which entry of each product is in force; of several of one product the last.
fn point(conn: &mut Conn, at: BTreeMap<i64, i64>) -> Result<(), Error> {
    let mut together = BTreeMap::<i64, Vec<i64>>::new();
    for (product, seq) in at {
        together.entry(seq).or_default().push(product);
    }
    for (seq, products) in together {
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
    match conn {
        Conn::Postgres(conn) => insert_arrays(conn, numbered)?,
        Conn::Sqlite(conn) => insert_json(conn, numbered)?,
    }
    Ok(())
}

fn insert_arrays(conn: &mut PgConnection, numbered: &[(i64, &Entry)]) -> QueryResult<()> {
    let numbers = |of: fn(&Entry) -> i64| numbered.iter().map(|(_, entry)| of(entry)).collect::<Vec<_>>();
    let seqs: Vec<i64> = numbered.iter().map(|(seq, _)| *seq).collect();
    let currencies: Vec<&str> = numbered
        .iter()
        .map(|(_, entry)| entry.currency.as_str())
        .collect();
    let from: Vec<NaiveDateTime> = numbered.iter().map(|(_, entry)| entry.effective_from).collect();
    diesel::sql_query(
        "INSERT INTO price_history (id, product_id, seq, amount, currency, effective_from) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6)",
    )
    .bind::<Array<BigInt>, _>(numbers(|entry| entry.id))
    .bind::<Array<BigInt>, _>(numbers(|entry| entry.product_id))
    .bind::<Array<BigInt>, _>(seqs)
    .bind::<Array<BigInt>, _>(numbers(|entry| entry.amount))
    .bind::<Array<Text>, _>(currencies)
    .bind::<Array<Timestamp>, _>(from)
    .execute(conn)
    .map(drop)
}

fn insert_json(conn: &mut SqliteConnection, numbered: &[(i64, &Entry)]) -> QueryResult<()> {
    let rows: Vec<_> = numbered
        .iter()
        .map(|(seq, entry)| {
            // As diesel writes times, for equal ones must be equal texts.
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
    let rows = serde_json::to_string(&rows).map_err(|error| Diesel::SerializationError(Box::new(error)))?;
    diesel::sql_query(
        "INSERT INTO price_history (id, product_id, seq, amount, currency, effective_from) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each($1)",
    )
    .bind::<Text, _>(rows)
    .execute(conn)
    .map(drop)
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
