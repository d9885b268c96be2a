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
use diesel::prelude::*;
use handover::row::Row;

use super::history::{self, Entry, Histories, entries, histories, in_force, insert, point};
use crate::schema::{price_history, products};

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
    let of =
        |incoming: &[Entry]| -> BTreeSet<i64> { incoming.iter().map(|entry| entry.product_id).collect() };
    let mut last = in_force(conn, of(&incoming))?;
    if last.values().any(|last| !last.is_of_the_history()) {
        incoming = settle(conn, incoming, known)?;
        last = in_force(conn, of(&incoming))?;
    }
    let is_behind = |entry: &Entry| {
        let is_later = last.get(&entry.product_id).is_none_or(|last| entry.id > last.id);
        is_later && !known.contains_key(&entry.id)
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
    let mut at = BTreeMap::<i64, i64>::new();
    let mut numbered = Vec::with_capacity(added.len());
    for entry in &added {
        let behind = last.get(&entry.product_id).map_or(0, |last| last.seq);
        let seq = at.entry(entry.product_id).or_insert(behind);
        *seq += 1;
        numbered.push((*seq, entry));
    }
    insert(conn, &numbered)?;
    point(conn, at)?;
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
    let settled = history::settle(conn, &first)?;
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

/// Gives these entries, which are provisional, to their products, which have no others.
pub(super) fn provide(conn: &mut Conn, provisional: &[Entry]) -> Result<(), Error> {
    // One that was there may say a price that has changed since.
    history::remove_provisional(conn, provisional.iter().map(|entry| entry.product_id))?;
    let numbered: Vec<(i64, &Entry)> = provisional.iter().map(|entry| (1, entry)).collect();
    insert(conn, &numbered)
}

/// Writes what differs: entries behind those that stay, or the whole of a product's history.
fn write(conn: &mut Conn, before: &Histories, mut after: Histories) -> Result<(), Error> {
    let emptied = after.iter().filter(|(_, entries)| entries.is_empty());
    let emptied: Vec<i64> = emptied.map(|(product, _)| *product).collect();
    let must_have_one: Vec<i64> = products::table
        .filter(products::id.eq_any(emptied))
        .select(products::id)
        .load(conn)?;
    let (mut anew, mut numbered, mut last) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (product, entries) in &mut after {
        let known = before.get(product).map_or(&[][..], Vec::as_slice);
        entries.sort_by_key(|entry| entry.id);
        if must_have_one.contains(product) {
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
