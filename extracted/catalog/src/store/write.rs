//! Changes to one product.
//!
//! Prices are only ever added to the history: the database refuses to change an entry. Writers take the product's row
//! first, so that two of them never add the same entry; on SQLite the write transaction itself is that lock.

use chassis::db::Conn;
use chassis::time::now;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::{find, search};
use crate::Error;
use crate::model::{Details, Precondition, Product, is_sku};
use crate::money::Money;
use crate::schema::{categories, price_history, products};

/// Adds a product. Where the SKU was used before, its versions and its price history go on.
pub(crate) fn create(conn: &mut Conn, sku: &str, details: &Details) -> Result<Product, Error> {
    let at = now();
    let head = match take(conn, sku)? {
        None => insert(conn, sku, details, at)?,
        Some(Head { deleted: false, .. }) => return Err(Error::SkuTaken(sku.to_owned())),
        Some(gone) => {
            let head = Head {
                version: gone.version + 1,
                price_seq: gone.price_seq + 1,
                deleted: false,
                ..gone
            };
            rewrite(conn, &head, details, at)?;
            let revived = (
                products::created_at.eq(at),
                products::deleted_at.eq(None::<NaiveDateTime>),
            );
            diesel::update(products::table.find(head.id))
                .set(revived)
                .execute(conn)?;
            head
        }
    };
    append_price(conn, &head, &details.price, at)?;
    search::put(conn, &[(head.id, details.index_entry(sku))])?;
    find(conn, sku)
}

/// Replaces everything that clients say about a product.
pub(crate) fn replace(
    conn: &mut Conn,
    sku: &str,
    details: &Details,
    precondition: &Precondition,
) -> Result<Product, Error> {
    let (before, head) = take_for_write(conn, sku, precondition)?;
    let at = now();
    let new_price = before.details.price != details.price;
    let next = Head {
        version: head.version + 1,
        price_seq: head.price_seq + i64::from(new_price),
        ..head
    };
    rewrite(conn, &next, details, at)?;
    if new_price {
        append_price(conn, &next, &details.price, at)?;
    }
    search::put(conn, &[(next.id, details.index_entry(sku))])?;
    find(conn, sku)
}

/// Puts a new price in force. The price that is in force already changes nothing.
pub(crate) fn set_price(
    conn: &mut Conn,
    sku: &str,
    price: &Money,
    precondition: &Precondition,
) -> Result<Product, Error> {
    let (before, head) = take_for_write(conn, sku, precondition)?;
    if before.details.price == *price {
        return Ok(before);
    }
    let at = now();
    let next = Head {
        version: head.version + 1,
        price_seq: head.price_seq + 1,
        ..head
    };
    append_price(conn, &next, price, at)?;
    diesel::update(products::table.find(next.id))
        .set((
            products::price_seq.eq(next.price_seq),
            products::version.eq(next.version),
            products::updated_at.eq(at),
        ))
        .execute(conn)?;
    find(conn, sku)
}

/// Takes a product off the shelf. Its row stays as the memory of its version.
pub(crate) fn delete(conn: &mut Conn, sku: &str, precondition: &Precondition) -> Result<(), Error> {
    let (_, head) = take_for_write(conn, sku, precondition)?;
    let at = now();
    diesel::update(products::table.find(head.id))
        .set((
            products::version.eq(head.version + 1),
            products::updated_at.eq(at),
            products::deleted_at.eq(Some(at)),
        ))
        .execute(conn)?;
    Ok(search::remove(conn, &[head.id])?)
}

/// What every write must know of a product's row.
#[derive(Clone, Copy)]
struct Head {
    id: i64,
    version: i64,
    price_seq: i64,
    deleted: bool,
}

/// Locks the row of a SKU until the transaction ends, deleted or not.
fn take(conn: &mut Conn, sku: &str) -> QueryResult<Option<Head>> {
    let row = products::table.filter(products::sku.eq(sku)).select((
        products::id,
        products::version,
        products::price_seq,
        products::deleted_at.is_not_null(),
    ));
    let found: Option<(i64, i64, i64, bool)> = match conn {
        Conn::Postgres(conn) => row.for_update().first(conn).optional()?,
        Conn::Sqlite(conn) => row.first(conn).optional()?,
    };
    Ok(found.map(|(id, version, price_seq, deleted)| Head {
        id,
        version,
        price_seq,
        deleted,
    }))
}

/// Locks a product that is there and at a version that the client allows.
fn take_for_write(conn: &mut Conn, sku: &str, precondition: &Precondition) -> Result<(Product, Head), Error> {
    let not_found = || Error::NotFound(sku.to_owned());
    let known = if is_sku(sku) { take(conn, sku)? } else { None };
    let head = known.filter(|head| !head.deleted).ok_or_else(not_found)?;
    if !precondition.holds(head.version) {
        return Err(Error::Changed {
            current: head.version,
        });
    }
    Ok((find(conn, sku)?, head))
}

fn insert(conn: &mut Conn, sku: &str, details: &Details, at: NaiveDateTime) -> Result<Head, Error> {
    let (version, price_seq) = (1, 1);
    let row = (
        products::sku.eq(sku),
        products::name.eq(&details.name),
        products::description.eq(&details.description),
        products::category_id.eq(category_id(conn, &details.category)?),
        products::status.eq(details.status.word()),
        products::price_seq.eq(price_seq),
        products::version.eq(version),
        products::created_at.eq(at),
        products::updated_at.eq(at),
    );
    let inserted = diesel::insert_into(products::table)
        .values(row)
        .returning(products::id)
        .get_result(conn)
        .map_err(chassis::db::Error::from);
    match inserted {
        Ok(id) => Ok(Head {
            id,
            version,
            price_seq,
            deleted: false,
        }),
        // Another transaction was first: the client learns the same as if it had come later.
        Err(error) if error.is_unique_violation() => Err(Error::SkuTaken(sku.to_owned())),
        Err(error) => Err(error.into()),
    }
}

fn rewrite(conn: &mut Conn, head: &Head, details: &Details, at: NaiveDateTime) -> QueryResult<()> {
    let category = category_id(conn, &details.category)?;
    diesel::update(products::table.find(head.id))
        .set((
            products::name.eq(&details.name),
            products::description.eq(&details.description),
            products::category_id.eq(category),
            products::status.eq(details.status.word()),
            products::price_seq.eq(head.price_seq),
            products::version.eq(head.version),
            products::updated_at.eq(at),
        ))
        .execute(conn)
        .map(drop)
}

fn append_price(conn: &mut Conn, head: &Head, price: &Money, at: NaiveDateTime) -> QueryResult<()> {
    diesel::insert_into(price_history::table)
        .values((
            price_history::product_id.eq(head.id),
            price_history::seq.eq(head.price_seq),
            price_history::amount.eq(price.amount),
            price_history::currency.eq(&price.currency),
            price_history::effective_from.eq(at),
        ))
        .execute(conn)
        .map(drop)
}

/// The id of the category with this slug. A category comes into being with its first product and is named after its slug.
pub(super) fn category_id(conn: &mut Conn, slug: &str) -> QueryResult<i64> {
    let known = categories::table
        .filter(categories::slug.eq(slug))
        .select(categories::id);
    if let Some(id) = known.first(conn).optional()? {
        return Ok(id);
    }
    let new =
        diesel::insert_into(categories::table).values((categories::slug.eq(slug), categories::name.eq(slug)));
    // Two products may bring the same new category at the same time.
    match conn {
        Conn::Postgres(conn) => new.on_conflict_do_nothing().execute(conn)?,
        Conn::Sqlite(conn) => new.on_conflict_do_nothing().execute(conn)?,
    };
    known.first(conn)
}
