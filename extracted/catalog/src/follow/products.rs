//! Products: a canonical row is a row here and the entry of the price history that is in force.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::{Conn, Error};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use handover::row::{Key, Row};
use handover::store::{Range, Store};
use handover::table::{Kind, Table};
use serde_json::Value;

use super::canonical::{self, Read};
use super::column;
use super::history::{Entry, Last, in_force};
use super::prices;
use crate::schema::{categories, price_history, products};
use crate::store::search;
use crate::words::index_entry;

/// What this service keeps of a product in its row: all but the price, and which entry of the history is in force.
const OWN: Table = Table {
    name: "products",
    key: &["id"],
    columns: &[
        column("id", Kind::Integer),
        column("sku", Kind::Text),
        column("name", Kind::Text),
        column("description", Kind::Text),
        column("category_id", Kind::Integer),
        column("status", Kind::Text),
        column("price_seq", Kind::Integer),
        column("version", Kind::Integer),
        column("created_at", Kind::Time),
        column("updated_at", Kind::Time),
        column("deleted_at", Kind::Time),
    ],
};

/// A product and its price, as both sides know it.
#[derive(Debug, Queryable)]
struct Product {
    id: i64,
    sku: String,
    name: String,
    description: String,
    category_id: i64,
    price_amount: i64,
    price_currency: String,
    status: String,
    version: i64,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    deleted_at: Option<NaiveDateTime>,
}

#[diesel::dsl::auto_type]
fn with_price() -> _ {
    let in_force = price_history::product_id
        .eq(products::id)
        .and(price_history::seq.eq(products::price_seq));
    products::table
        .inner_join(price_history::table.on(in_force))
        .select((
            products::id,
            products::sku,
            products::name,
            products::description,
            products::category_id,
            price_history::amount,
            price_history::currency,
            products::status,
            products::version,
            products::created_at,
            products::updated_at,
            products::deleted_at,
        ))
}

/// The products with these ids.
pub(super) fn find(conn: &mut Conn, ids: &[i64]) -> Result<Vec<Row>, Error> {
    let found: Vec<Product> = with_price().filter(products::id.eq_any(ids)).load(conn)?;
    Ok(found.into_iter().map(Row::from).collect())
}

/// Products of a range of ids.
pub(super) fn page(conn: &mut Conn, range: &Range, limit: usize) -> Result<Vec<Row>, Error> {
    let id = |key: &Option<Key>| key.as_ref().and_then(|key| key.0.first()?.parse::<i64>().ok());
    let mut query = with_price()
        .order(products::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .into_boxed();
    if let Some(after) = id(&range.after) {
        query = query.filter(products::id.gt(after));
    }
    if let Some(through) = id(&range.through) {
        query = query.filter(products::id.le(through));
    }
    let found: Vec<Product> = query.load(conn)?;
    Ok(found.into_iter().map(Row::from).collect())
}

/// Makes products what they are at the other side. Their prices come with the history; a product that has none yet gets a provisional
/// entry.
pub(super) fn put(conn: &mut Conn, rows: &[Row]) -> Result<(), Error> {
    let incoming: Vec<Incoming<'_>> = rows.iter().map(Incoming::read).collect::<Result<_, _>>()?;
    have_categories(conn, &incoming)?;
    let last = in_force(conn, incoming.iter().map(|product| product.id))?;
    let own = |product: &Incoming<'_>| product.own(price_seq(&last, product.id));
    let own: Vec<Row> = incoming.iter().map(own).collect();
    super::PLAIN.put(conn, &OWN, &own)?;
    prices::provide(conn, &provisional(&incoming, &last)?)?;
    index(conn, &incoming)
}

/// Adds products that are not there. What the index has of them is made while the database is at work.
pub(super) fn add(conn: &mut Conn, rows: &[Row]) -> Result<(), Error> {
    let incoming: Vec<Incoming<'_>> = rows.iter().map(Incoming::read).collect::<Result<_, _>>()?;
    let found = incoming.iter().filter(|product| product.deleted_at.is_none());
    let entries = std::thread::scope(|scope| {
        let entries = scope.spawn(|| index_entries(found));
        add_rows(conn, &incoming)?;
        entries.join().map_err(|_| Error::Interrupted)?
    })?;
    Ok(search::add(conn, &entries)?)
}

fn add_rows(conn: &mut Conn, incoming: &[Incoming<'_>]) -> Result<(), Error> {
    have_categories(conn, incoming)?;
    let last = in_force(conn, incoming.iter().map(|product| product.id))?;
    let added: Vec<Added<'_>> = incoming
        .iter()
        .map(|product| product.added(price_seq(&last, product.id)))
        .collect::<Result<_, _>>()?;
    match conn {
        // No JSON is made and taken apart, and nothing is looked for that might be in the way.
        Conn::Postgres(conn) => diesel::copy_from(products::table)
            .from_insertable(&added)
            .execute(conn)?,
        Conn::Sqlite(conn) => diesel::insert_into(products::table)
            .values(&added)
            .execute(conn)?,
    };
    prices::provide(conn, &provisional(incoming, &last)?)
}

/// Refuses products without a category, as SQLite's foreign key does: PostgreSQL asks a follower nothing, row by row, that can be asked at
/// once.
fn have_categories(conn: &mut Conn, incoming: &[Incoming<'_>]) -> Result<(), Error> {
    if matches!(conn, Conn::Sqlite(_)) {
        return Ok(());
    }
    let needed = incoming.iter().map(|product| product.row.integer("category_id"));
    let mut needed: BTreeSet<i64> = needed.collect::<Result<_, _>>()?;
    let there: Vec<i64> = categories::table
        .filter(categories::id.eq_any(&needed))
        .select(categories::id)
        .load(conn)?;
    for id in there {
        needed.remove(&id);
    }
    match needed.first() {
        None => Ok(()),
        Some(id) => {
            let told = Box::new(format!("there is no category {id}"));
            let kind = DatabaseErrorKind::ForeignKeyViolation;
            Err(diesel::result::Error::DatabaseError(kind, told).into())
        }
    }
}

/// The number of the entry in force: the last one, or the provisional one that stands for all.
fn price_seq(last: &BTreeMap<i64, Last>, product: i64) -> i64 {
    last.get(&product).map_or(1, |last| last.seq)
}

/// A product that is added.
#[derive(Insertable)]
#[diesel(table_name = products, treat_none_as_default_value = false)]
struct Added<'r> {
    id: i64,
    sku: &'r str,
    name: &'r str,
    description: &'r str,
    category_id: i64,
    status: &'r str,
    price_seq: i64,
    version: i64,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    deleted_at: Option<NaiveDateTime>,
}

/// What stands for the histories of those of these products that have none.
fn provisional(incoming: &[Incoming<'_>], last: &BTreeMap<i64, Last>) -> Result<Vec<Entry>, Error> {
    let has_history = |product: &Incoming<'_>| last.get(&product.id).is_some_and(Last::is_of_the_history);
    let lacking = incoming.iter().filter(|product| !has_history(product));
    lacking.map(Incoming::provisional).collect()
}

/// A product as it comes.
struct Incoming<'r> {
    id: i64,
    updated_at: NaiveDateTime,
    deleted_at: Option<NaiveDateTime>,
    row: Read<'r>,
}

impl<'r> Incoming<'r> {
    fn read(row: &'r Row) -> Result<Self, Error> {
        let row = Read {
            table: "products",
            row,
        };
        Ok(Self {
            id: row.integer("id")?,
            updated_at: row.time("updated_at")?,
            deleted_at: row.maybe_time("deleted_at")?,
            row,
        })
    }

    fn added(&self, price_seq: i64) -> Result<Added<'r>, Error> {
        Ok(Added {
            id: self.id,
            sku: self.row.text("sku")?,
            name: self.row.text("name")?,
            description: self.row.text("description")?,
            category_id: self.row.integer("category_id")?,
            status: self.row.text("status")?,
            price_seq,
            version: self.row.integer("version")?,
            created_at: self.row.time("created_at")?,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        })
    }

    /// The row that this service keeps of it.
    fn own(&self, price_seq: i64) -> Row {
        let mut own = self.row.row.clone();
        own.remove("price_amount");
        own.remove("price_currency");
        own.insert("price_seq".to_owned(), canonical::integer(price_seq));
        own
    }

    /// What stands for its history until that has come.
    fn provisional(&self) -> Result<Entry, Error> {
        Ok(Entry {
            id: -self.id,
            product_id: self.id,
            amount: self.row.integer("price_amount")?,
            currency: self.row.text("price_currency")?.to_owned(),
            effective_from: self.updated_at,
        })
    }

    /// What the full-text index has of it.
    fn index_entry(&self) -> Result<(i64, String), Error> {
        let text = |column| self.row.text(column);
        let (sku, name, description) = (text("sku")?, text("name")?, text("description")?);
        Ok((self.id, index_entry([sku, name, description])))
    }
}

/// The full-text index holds what is not deleted.
fn index(conn: &mut Conn, incoming: &[Incoming<'_>]) -> Result<(), Error> {
    let (gone, there): (Vec<_>, Vec<_>) = incoming.iter().partition(|product| product.deleted_at.is_some());
    search::put(conn, &index_entries(there.into_iter())?)?;
    let gone: Vec<i64> = gone.into_iter().map(|product| product.id).collect();
    Ok(search::remove(conn, &gone)?)
}

fn index_entries<'i>(of: impl Iterator<Item = &'i Incoming<'i>>) -> Result<Vec<(i64, String)>, Error> {
    of.map(Incoming::index_entry).collect()
}

impl From<Product> for Row {
    fn from(product: Product) -> Self {
        let pairs = [
            ("id", canonical::integer(product.id)),
            ("sku", Value::String(product.sku)),
            ("name", Value::String(product.name)),
            ("description", Value::String(product.description)),
            ("category_id", canonical::integer(product.category_id)),
            ("price_amount", canonical::integer(product.price_amount)),
            ("price_currency", Value::String(product.price_currency)),
            ("status", Value::String(product.status)),
            ("version", canonical::integer(product.version)),
            ("created_at", canonical::time(product.created_at)),
            ("updated_at", canonical::time(product.updated_at)),
            (
                "deleted_at",
                product.deleted_at.map_or(Value::Null, canonical::time),
            ),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}
