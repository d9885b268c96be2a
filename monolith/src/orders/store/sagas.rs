//! The SQL of checkout sagas: what a checkout holds in other modules until it is decided.

use chassis::db::Conn;
use chassis::time::now;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::super::schema::checkout_sagas as sagas;

/// What a checkout holds.
#[derive(Clone, Debug, Queryable)]
pub(in super::super) struct Saga {
    pub(in super::super) cart_id: i64,
    pub(in super::super) reservation_id: i64,
}

/// Begins a saga; `waits` if the order is to be paid later, until `expires_at`.
pub(in super::super) fn insert(
    conn: &mut Conn,
    order: i64,
    saga: &Saga,
    waits: bool,
    expires_at: NaiveDateTime,
) -> QueryResult<()> {
    diesel::insert_into(sagas::table)
        .values((
            sagas::order_id.eq(order),
            sagas::step.eq(if waits { "awaiting" } else { "charging" }),
            sagas::cart_id.eq(saga.cart_id),
            sagas::reservation_id.eq(saga.reservation_id),
            sagas::expires_at.eq(expires_at),
        ))
        .execute(conn)
        .map(drop)
}

/// The saga of an order; imported orders have none.
pub(in super::super) fn find(conn: &mut Conn, order: i64) -> QueryResult<Option<Saga>> {
    sagas::table
        .find(order)
        .select((sagas::cart_id, sagas::reservation_id))
        .first(conn)
        .optional()
}

/// Ends a saga: its order is decided.
pub(in super::super) fn end(conn: &mut Conn, order: i64) -> QueryResult<()> {
    diesel::update(sagas::table.find(order))
        .set(sagas::step.eq("done"))
        .execute(conn)
        .map(drop)
}

/// Orders whose time to be paid is over.
pub(in super::super) fn overdue(conn: &mut Conn, limit: i64) -> QueryResult<Vec<i64>> {
    sagas::table
        .filter(sagas::step.eq("awaiting"))
        .filter(sagas::expires_at.le(now()))
        .order(sagas::expires_at.asc())
        .limit(limit)
        .select(sagas::order_id)
        .load(conn)
}

/// Whether an order waits to be paid later.
pub(in super::super) fn waits(conn: &mut Conn, order: i64) -> QueryResult<bool> {
    let step: Option<String> = sagas::table
        .find(order)
        .select(sagas::step)
        .first(conn)
        .optional()?;
    Ok(step.as_deref() == Some("awaiting"))
}

/// Gives an order more time.
pub(in super::super) fn extend(conn: &mut Conn, order: i64, expires_at: NaiveDateTime) -> QueryResult<()> {
    diesel::update(sagas::table.find(order))
        .set(sagas::expires_at.eq(expires_at))
        .execute(conn)
        .map(drop)
}
