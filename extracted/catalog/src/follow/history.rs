//! The price history's table: its entries, and the statements that read and write them.
//!
//! For [`super::prices`], which says what is to be where. A provisional entry has the negative id of its product.

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
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(super) struct Last {
    #[diesel(sql_type = BigInt)]
    product_id: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) seq: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) id: i64,
}

impl Last {
    /// Whether it is more than what stands for a history that has not come.
    pub(super) fn is_of_the_history(&self) -> bool {
        self.id > 0
    }
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
pub(super) type Histories = BTreeMap<i64, Vec<Entry>>;

impl Entry {
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
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
    pub(super) fn as_provisional(&self) -> Self {
        Self {
            id: -self.product_id,
            ..self.clone()
        }
    }
}

/// Removes what stood for the histories of these products.
pub(super) fn remove_provisional(conn: &mut Conn, of: impl Iterator<Item = i64>) -> Result<(), Error> {
    let ids: Vec<i64> = of.map(|product| -product).collect();
    if !ids.is_empty() {
        diesel::delete(price_history::table.filter(price_history::id.eq_any(ids))).execute(conn)?;
    }
    Ok(())
}

/// The last entry of each of these products, which may be on their way yet, that has one.
pub(super) fn in_force(
    conn: &mut Conn,
    of: impl IntoIterator<Item = i64>,
) -> Result<BTreeMap<i64, Last>, Error> {
    let of: Vec<i64> = of.into_iter().collect();
    // Each history is read at its end, for it may be long.
    let found: Vec<Last> = match conn {
        Conn::Postgres(conn) => diesel::sql_query(
            "SELECT last.* FROM unnest($1) AS p (id), LATERAL (SELECT product_id, seq, id FROM price_history \
             WHERE product_id = p.id ORDER BY seq DESC LIMIT 1) AS last",
        )
        .bind::<Array<BigInt>, _>(of)
        .load(conn)?,
        Conn::Sqlite(conn) => diesel::sql_query(
            "SELECT h.product_id, h.seq, h.id FROM json_each($1) AS p JOIN price_history AS h ON h.product_id = p.value \
             AND h.seq = (SELECT max(seq) FROM price_history WHERE product_id = p.value)",
        )
        .bind::<Text, _>(json(&of)?)
        .load(conn)?,
    };
    Ok(found.into_iter().map(|last| (last.product_id, last)).collect())
}

/// What is there of the entries with these ids.
pub(super) fn entries(
    conn: &mut Conn,
    ids: impl Iterator<Item = i64>,
) -> Result<BTreeMap<i64, Entry>, Error> {
    let found: Vec<Entry> = price_history::table
        .filter(price_history::id.eq_any(ids))
        .select(COLUMNS)
        .load(conn)?;
    Ok(found.into_iter().map(|entry| (entry.id, entry)).collect())
}

/// The whole histories of these products, in their order.
pub(super) fn histories(conn: &mut Conn, products: &BTreeSet<i64>) -> Result<Histories, Error> {
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

/// Says which entry of each product is in force; of several of one product the last.
pub(super) fn point(conn: &mut Conn, at: BTreeMap<i64, i64>) -> Result<(), Error> {
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
pub(super) fn insert(conn: &mut Conn, numbered: &[(i64, &Entry)]) -> Result<(), Error> {
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

/// Makes provisional entries of the products of these entries what these are. Gives the ids of those that it did so for.
pub(super) fn settle(conn: &mut Conn, first: &[&Entry]) -> Result<HashSet<i64>, Error> {
    let settled = match conn {
        Conn::Postgres(conn) => settle_arrays(conn, first)?,
        Conn::Sqlite(conn) => settle_json(conn, first)?,
    };
    Ok(settled.into_iter().map(|settled| settled.id).collect())
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
