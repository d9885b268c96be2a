//! Products: a canonical row is a row here and the entry of the price history that is in force.

use chassis::db::{Conn, Error};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::upsert::excluded;
use handover::row::{Key, Row};
use handover::store::Range;
use serde_json::Value;

use super::canonical::{self, Read};
use crate::schema::{price_history, products};
use crate::store::search;
use crate::words::index_entry;

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
    let incoming: Vec<Product> = rows.iter().map(Product::read).collect::<Result<_, _>>()?;
    upsert(conn, &incoming)?;
    super::prices::provide(
        conn,
        &incoming
            .iter()
            .map(|product| super::prices::Entry {
                id: -product.id,
                product_id: product.id,
                amount: product.price_amount,
                currency: product.price_currency.clone(),
                effective_from: product.updated_at,
            })
            .collect::<Vec<_>>(),
    )?;
    index(conn, &incoming)
}

fn upsert(conn: &mut Conn, incoming: &[Product]) -> Result<(), Error> {
    let row = |product: &Product| {
        (
            products::id.eq(product.id),
            products::sku.eq(product.sku.clone()),
            products::name.eq(product.name.clone()),
            products::description.eq(product.description.clone()),
            products::category_id.eq(product.category_id),
            products::status.eq(product.status.clone()),
            // The first entry, until the history says otherwise; a product that is there keeps what it has.
            products::price_seq.eq(1),
            products::version.eq(product.version),
            products::created_at.eq(product.created_at),
            products::updated_at.eq(product.updated_at),
            products::deleted_at.eq(product.deleted_at),
        )
    };
    macro_rules! upsert {
        ($rows:expr, $conn:expr) => {
            diesel::insert_into(products::table)
                .values($rows)
                .on_conflict(products::id)
                .do_update()
                .set((
                    products::sku.eq(excluded(products::sku)),
                    products::name.eq(excluded(products::name)),
                    products::description.eq(excluded(products::description)),
                    products::category_id.eq(excluded(products::category_id)),
                    products::status.eq(excluded(products::status)),
                    products::version.eq(excluded(products::version)),
                    products::created_at.eq(excluded(products::created_at)),
                    products::updated_at.eq(excluded(products::updated_at)),
                    products::deleted_at.eq(excluded(products::deleted_at)),
                ))
                .execute($conn)
        };
    }
    match conn {
        Conn::Postgres(conn) => {
            upsert!(incoming.iter().map(row).collect::<Vec<_>>(), conn)?;
        }
        Conn::Sqlite(conn) => {
            for product in incoming {
                upsert!(row(product), conn)?;
            }
        }
    }
    Ok(())
}

/// The full-text index holds what is not deleted.
fn index(conn: &mut Conn, incoming: &[Product]) -> Result<(), Error> {
    let (gone, there): (Vec<&Product>, Vec<&Product>) =
        incoming.iter().partition(|product| product.deleted_at.is_some());
    let entries: Vec<(i64, String)> = there
        .iter()
        .map(|product| {
            (
                product.id,
                index_entry([&product.sku, &product.name, &product.description]),
            )
        })
        .collect();
    search::put(conn, &entries)?;
    Ok(search::remove(
        conn,
        &gone.iter().map(|product| product.id).collect::<Vec<_>>(),
    )?)
}

impl Product {
    fn read(row: &Row) -> Result<Self, Error> {
        let row = Read {
            table: "products",
            row,
        };
        Ok(Self {
            id: row.integer("id")?,
            sku: row.text("sku")?,
            name: row.text("name")?,
            description: row.text("description")?,
            category_id: row.integer("category_id")?,
            price_amount: row.integer("price_amount")?,
            price_currency: row.text("price_currency")?,
            status: row.text("status")?,
            version: row.integer("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            deleted_at: row.maybe_time("deleted_at")?,
        })
    }
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
