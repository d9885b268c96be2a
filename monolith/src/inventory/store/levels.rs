//! Stock levels: one conditional update per change, so that two transactions cannot both take the last unit.

use chassis::db::Conn;
use chassis::time::now;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use crate::inventory::model::Level;
use crate::inventory::schema::stock_levels::{self, on_hand, reserved, sku, updated_at};
use crate::inventory::{Error, MAX_ON_HAND};

#[derive(Queryable)]
struct Row {
    sku: String,
    on_hand: i64,
    reserved: i64,
    updated_at: NaiveDateTime,
}

impl From<Row> for Level {
    fn from(row: Row) -> Self {
        Self {
            sku: row.sku,
            on_hand: row.on_hand,
            reserved: row.reserved,
            updated_at: row.updated_at,
        }
    }
}

/// The level of one product, if it was ever in stock.
pub(crate) fn find(conn: &mut Conn, product: &str) -> QueryResult<Option<Level>> {
    let row: Option<Row> = stock_levels::table.find(product).first(conn).optional()?;
    Ok(row.map(Level::from))
}

/// Levels in the order of their SKUs, after the SKU `after`; of these products alone, if any are named.
pub(crate) fn list(
    conn: &mut Conn,
    products: Option<&[String]>,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<Level>> {
    let mut query = stock_levels::table.order(sku.asc()).limit(limit).into_boxed();
    if let Some(products) = products {
        query = query.filter(sku.eq_any(products));
    }
    if let Some(after) = after {
        query = query.filter(sku.gt(after));
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows.into_iter().map(Level::from).collect())
}

/// Levels of which at most `threshold` units are available, scarcest first, then by SKU.
pub(crate) fn low(
    conn: &mut Conn,
    threshold: i64,
    after: Option<(i64, &str)>,
    limit: i64,
) -> QueryResult<Vec<Level>> {
    let mut query = stock_levels::table
        .filter((on_hand - reserved).le(threshold))
        .order((on_hand - reserved, sku.asc()))
        .limit(limit)
        .into_boxed();
    if let Some((available, product)) = after {
        let same = (on_hand - reserved).eq(available).and(sku.gt(product.to_owned()));
        query = query.filter((on_hand - reserved).gt(available).or(same));
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows.into_iter().map(Level::from).collect())
}

/// Sets units aside if they can be had, and says whether it did.
pub(crate) fn set_aside(conn: &mut Conn, product: &str, quantity: i64) -> QueryResult<bool> {
    let enough = stock_levels::table
        .find(product)
        .filter((on_hand - reserved).ge(quantity));
    let changed = diesel::update(enough)
        .set((reserved.eq(reserved + quantity), updated_at.eq(now())))
        .execute(conn)?;
    Ok(changed == 1)
}

/// Makes units that were set aside available again.
pub(crate) fn give_back(conn: &mut Conn, product: &str, quantity: i64) -> QueryResult<()> {
    diesel::update(stock_levels::table.find(product))
        .set((reserved.eq(reserved - quantity), updated_at.eq(now())))
        .execute(conn)?;
    Ok(())
}

/// Takes units that were set aside out of the house.
pub(crate) fn hand_over(conn: &mut Conn, product: &str, quantity: i64) -> QueryResult<()> {
    diesel::update(stock_levels::table.find(product))
        .set((
            on_hand.eq(on_hand - quantity),
            reserved.eq(reserved - quantity),
            updated_at.eq(now()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Changes what is on hand, by more or by less, but never to below what is reserved.
pub(crate) fn change(conn: &mut Conn, product: &str, by: i64) -> Result<Level, Error> {
    if by > 0 {
        ensure(conn, product)?;
    }
    let allowed = stock_levels::table
        .find(product)
        .filter((on_hand + by).ge(reserved))
        .filter((on_hand + by).le(MAX_ON_HAND));
    let row: Option<Row> = diesel::update(allowed)
        .set((on_hand.eq(on_hand + by), updated_at.eq(now())))
        .returning((sku, on_hand, reserved, updated_at))
        .get_result(conn)
        .optional()?;
    match row {
        Some(row) => Ok(row.into()),
        None if by > 0 => Err(Error::Full(product.to_owned())),
        None => Err(Error::Short {
            sku: product.to_owned(),
            available: available(conn, product)?,
        }),
    }
}

/// Units of a product that can be promised; none of one that was never in stock.
pub(crate) fn available(conn: &mut Conn, product: &str) -> QueryResult<i64> {
    Ok(find(conn, product)?.map_or(0, |level| level.available()))
}

/// Makes sure that the product has a level. Whoever comes second waits for the first and finds the row.
fn ensure(conn: &mut Conn, product: &str) -> QueryResult<()> {
    let empty = (
        sku.eq(product),
        on_hand.eq(0),
        reserved.eq(0),
        updated_at.eq(now()),
    );
    let insert = diesel::insert_into(stock_levels::table).values(empty);
    match conn {
        Conn::Postgres(conn) => insert.on_conflict_do_nothing().execute(conn)?,
        Conn::Sqlite(conn) => insert.on_conflict_do_nothing().execute(conn)?,
    };
    Ok(())
}
