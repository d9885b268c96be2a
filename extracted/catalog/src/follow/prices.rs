//! The price history: entries come by id, and are numbered here within their product, the last one being in force.
//!
//! The order is that of the ids and not of the times. Both sides take an id while they hold the product's row, and a hand-over moves the
//! ids past those of the other side; but the two have a clock each, and a price that was set a moment after a hand-over may bear an
//! earlier time than the one before it.
//!
//! The database refuses to change an entry, so what must be numbered anew is removed and written again; the usual case is an entry that
//! is added behind the others.

use std::collections::{BTreeMap, BTreeSet, HashSet};

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
#[derive(Clone, Copy, Debug)]
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

/// Rows in one INSERT, for a history may be long: SQLite takes 32,766 parameters in a statement.
const ROWS_PER_INSERT: usize = 1_000;

/// The entries of some products as they are here, by number.
type Histories = BTreeMap<i64, Vec<Entry>>;

/// Makes entries what they are at the other side.
pub(super) fn put(conn: &mut Conn, rows: &[Row]) -> Result<(), Error> {
    let incoming: Vec<Entry> = rows.iter().map(Entry::read).collect::<Result<_, _>>()?;
    let known = entries(conn, incoming.iter().map(|entry| entry.id))?;
    put_beside(conn, incoming, &known)
}

/// Adds entries whose ids are not there.
pub(super) fn add(conn: &mut Conn, rows: &[Row]) -> Result<(), Error> {
    let incoming: Vec<Entry> = rows.iter().map(Entry::read).collect::<Result<_, _>>()?;
    put_beside(conn, incoming, &BTreeMap::new())
}

/// Puts entries beside those that are there; `known` has these with the ids of the others. Those that come behind what is in force, as
/// nearly all do, are added without a look at the rest of the history, which may be long.
fn put_beside(conn: &mut Conn, mut incoming: Vec<Entry>, known: &BTreeMap<i64, Entry>) -> Result<(), Error> {
    incoming.retain(|entry| known.get(&entry.id) != Some(entry));
    let mut incoming = settle(conn, incoming, known)?;
    if incoming.is_empty() {
        return Ok(());
    }
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
    incoming.sort_by_key(|entry| entry.id);
    let (anew, added): (Vec<Entry>, Vec<Entry>) = incoming
        .into_iter()
        .partition(|entry| elsewhere.contains(&entry.product_id));
    let mut last = BTreeMap::<i64, i64>::new();
    let mut numbered = Vec::with_capacity(added.len());
    for entry in &added {
        let behind = in_force.get(&entry.product_id).map_or(0, |last| last.seq);
        let seq = last.entry(entry.product_id).or_insert(behind);
        *seq += 1;
        numbered.push((*seq, entry));
    }
    insert(conn, &numbered)?;
    point(conn, last)?;
    put_among(conn, anew, known)
}

/// Makes provisional entries the first of these that come of their products, and gives the others. A provisional entry is all that there
/// is of its product's history.
fn settle(conn: &mut Conn, incoming: Vec<Entry>, known: &BTreeMap<i64, Entry>) -> Result<Vec<Entry>, Error> {
    let mut first = BTreeMap::<i64, &Entry>::new();
    for entry in incoming.iter().filter(|entry| !known.contains_key(&entry.id)) {
        let least = first.entry(entry.product_id).or_insert(entry);
        if entry.id < least.id {
            *least = entry;
        }
    }
    if first.is_empty() {
        return Ok(incoming);
    }
    let first: Vec<&Entry> = first.into_values().collect();
    let settled = match conn {
        Conn::Postgres(conn) => settle_arrays(conn, &first)?,
        Conn::Sqlite(conn) => settle_json(conn, &first)?,
    };
    let settled: HashSet<i64> = settled.into_iter().map(|settled| settled.id).collect();
    Ok(incoming
        .into_iter()
        .filter(|entry| !settled.contains(&entry.id))
        .collect())
}

/// The same for entries that come before others, or are there with other values: the histories of their products are numbered anew.
fn put_among(conn: &mut Conn, incoming: Vec<Entry>, known: &BTreeMap<i64, Entry>) -> Result<(), Error> {
    if incoming.is_empty() {
        return Ok(());
    }
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

/// Gives these entries, which are provisional, to products that have none.
pub(super) fn begin(conn: &mut Conn, provisional: &[Entry]) -> Result<(), Error> {
    let numbered: Vec<(i64, &Entry)> = provisional.iter().map(|entry| (1, entry)).collect();
    insert(conn, &numbered)
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

/// An entry with its number within its product.
#[derive(Insertable)]
#[diesel(table_name = price_history, treat_none_as_default_value = false)]
struct Numbered<'e> {
    id: i64,
    product_id: i64,
    seq: i64,
    amount: i64,
    currency: &'e str,
    effective_from: NaiveDateTime,
}

/// Adds entries, each with its number within its product.
fn insert(conn: &mut Conn, numbered: &[(i64, &Entry)]) -> Result<(), Error> {
    let rows: Vec<Numbered<'_>> = numbered.iter().map(|(seq, entry)| entry.numbered(*seq)).collect();
    for rows in rows.chunks(ROWS_PER_INSERT) {
        match conn {
            Conn::Postgres(conn) => diesel::copy_from(price_history::table)
                .from_insertable(rows)
                .execute(conn)?,
            Conn::Sqlite(conn) => diesel::insert_into(price_history::table)
                .values(rows)
                .execute(conn)?,
        };
    }
    Ok(())
}

/// An entry that was provisional.
#[derive(QueryableByName)]
struct Settled {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

fn settle_arrays(conn: &mut PgConnection, first: &[&Entry]) -> QueryResult<Vec<Settled>> {
    let numbers = |of: fn(&Entry) -> i64| first.iter().map(|entry| of(entry)).collect::<Vec<_>>();
    let currencies: Vec<&str> = first.iter().map(|entry| entry.currency.as_str()).collect();
    let from: Vec<NaiveDateTime> = first.iter().map(|entry| entry.effective_from).collect();
    diesel::sql_query(
        "UPDATE price_history AS p SET id = e.id, amount = e.amount, currency = e.currency, effective_from = e.effective_from \
         FROM unnest($1, $2, $3, $4, $5) AS e (id, product_id, amount, currency, effective_from) WHERE p.id = -e.product_id \
         RETURNING p.id",
    )
    .bind::<Array<BigInt>, _>(numbers(|entry| entry.id))
    .bind::<Array<BigInt>, _>(numbers(|entry| entry.product_id))
    .bind::<Array<BigInt>, _>(numbers(|entry| entry.amount))
    .bind::<Array<Text>, _>(currencies)
    .bind::<Array<Timestamp>, _>(from)
    .load(conn)
}

fn settle_json(conn: &mut SqliteConnection, first: &[&Entry]) -> QueryResult<Vec<Settled>> {
    let rows: Vec<_> = first
        .iter()
        .map(|entry| {
            (
                entry.id,
                entry.product_id,
                entry.amount,
                &entry.currency,
                stored(entry),
            )
        })
        .collect();
    diesel::sql_query(
        "UPDATE price_history SET id = e.value ->> 0, amount = e.value ->> 2, currency = e.value ->> 3, \
         effective_from = e.value ->> 4 FROM json_each($1) AS e WHERE price_history.id = -(e.value ->> 1) RETURNING id",
    )
    .bind::<Text, _>(json(&rows)?)
    .load(conn)
}

/// The time of an entry as diesel writes it on SQLite, for equal ones must be equal texts.
fn stored(entry: &Entry) -> String {
    entry.effective_from.format("%F %T%.f").to_string()
}

fn json(rows: &impl serde::Serialize) -> QueryResult<String> {
    serde_json::to_string(rows).map_err(|error| Diesel::SerializationError(Box::new(error)))
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
            currency: row.text("currency")?.to_owned(),
            effective_from: row.time("effective_from")?,
        })
    }

    fn numbered(&self, seq: i64) -> Numbered<'_> {
        Numbered {
            id: self.id,
            product_id: self.product_id,
            seq,
            amount: self.amount,
            currency: &self.currency,
            effective_from: self.effective_from,
        }
    }

    /// What a product keeps of its last entry when that is gone, since it must have a price.
    fn as_provisional(&self) -> Self {
        Self {
            id: -self.product_id,
            ..self.clone()
        }
    }
}
