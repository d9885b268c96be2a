//! The price history: entries come by id, and are numbered here within their product, the last one being in force.
//!
//! The database refuses to change an entry, so what must be numbered anew is removed and written again; the usual case is an entry that
//! is added behind the others.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{Conn, Error};
use chrono::NaiveDateTime;
use diesel::prelude::*;
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

/// Rows in one INSERT on PostgreSQL, which takes 65,535 parameters in a statement.
const ROWS_PER_INSERT: usize = 5_000;

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

/// Removes entries. A product that would be left without any keeps the last as a provisional one.
pub(super) fn remove(conn: &mut Conn, ids: &[i64]) -> Result<(), Error> {
    let gone: BTreeSet<i64> = ids.iter().copied().collect();
    let owners = owners(conn, &gone)?;
    let before = histories(conn, &owners)?;
    let mut after = before.clone();
    for entries in after.values_mut() {
        let last = entries.last().cloned();
        entries.retain(|entry| !gone.contains(&entry.id));
        if entries.is_empty() {
            entries.extend(last.map(|last| Entry {
                id: -last.product_id,
                ..last
            }));
        }
    }
    write(conn, &before, after)
}

/// Gives each of these products its provisional entry, if it has none at all.
pub(super) fn provide(conn: &mut Conn, provisional: &[Entry]) -> Result<(), Error> {
    let products: Vec<i64> = provisional.iter().map(|entry| entry.product_id).collect();
    let there: BTreeSet<i64> = price_history::table
        .filter(price_history::product_id.eq_any(&products))
        .select(price_history::product_id)
        .load(conn)?
        .into_iter()
        .collect();
    let missing = provisional
        .iter()
        .filter(|entry| !there.contains(&entry.product_id));
    insert(conn, &missing.map(|entry| (1, entry)).collect::<Vec<_>>())?;
    renew_provisional(conn, provisional, &there)
}

/// A product that still has its provisional entry alone gets the price that it has now.
fn renew_provisional(conn: &mut Conn, provisional: &[Entry], there: &BTreeSet<i64>) -> Result<(), Error> {
    let ids: Vec<i64> = provisional
        .iter()
        .filter(|entry| there.contains(&entry.product_id))
        .map(|entry| entry.id)
        .collect();
    let old: BTreeSet<i64> = price_history::table
        .filter(price_history::id.eq_any(&ids))
        .select(price_history::id)
        .load(conn)?
        .into_iter()
        .collect();
    if old.is_empty() {
        return Ok(());
    }
    diesel::delete(price_history::table.filter(price_history::id.eq_any(&old))).execute(conn)?;
    let again = provisional.iter().filter(|entry| old.contains(&entry.id));
    insert(conn, &again.map(|entry| (1, entry)).collect::<Vec<_>>())
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
        entries.sort_by_key(|entry| (entry.effective_from, entry.id));
        let known = before.get(product).map_or(&[][..], Vec::as_slice);
        let stays = if entries.starts_with(known) {
            known.len()
        } else {
            0
        };
        if stays == 0 && !known.is_empty() {
            anew.push(*product);
        }
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

fn insert(conn: &mut Conn, numbered: &[(i64, &Entry)]) -> Result<(), Error> {
    let row = |(seq, entry): &(i64, &Entry)| {
        (
            price_history::id.eq(entry.id),
            price_history::product_id.eq(entry.product_id),
            price_history::seq.eq(*seq),
            price_history::amount.eq(entry.amount),
            price_history::currency.eq(entry.currency.clone()),
            price_history::effective_from.eq(entry.effective_from),
        )
    };
    let new = || diesel::insert_into(price_history::table);
    match conn {
        Conn::Postgres(conn) => numbered.chunks(ROWS_PER_INSERT).try_for_each(|some| {
            let rows: Vec<_> = some.iter().map(row).collect();
            new().values(rows).execute(conn).map(drop)
        })?,
        Conn::Sqlite(conn) => {
            numbered
                .iter()
                .try_for_each(|one| new().values(row(one)).execute(conn).map(drop))?;
        }
    }
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
}
