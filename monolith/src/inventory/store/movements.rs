//! Movements: each change of what is on hand, with its reason, in the transaction that makes it.

use chassis::db::Conn;
use chassis::time::now;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::levels;
use crate::inventory::Error;
use crate::inventory::model::{Kind, Movement};
use crate::inventory::schema::movements;

/// Changes what is on hand and writes down why.
pub(crate) fn add(
    conn: &mut Conn,
    sku: &str,
    kind: Kind,
    quantity: i64,
    reference: &str,
) -> Result<Movement, Error> {
    let quantity = kind.signed(quantity);
    let level = levels::change(conn, sku, quantity)?;
    let id = record(conn, sku, kind, quantity, reference)?;
    Ok(Movement {
        id,
        kind,
        quantity,
        reference: reference.to_owned(),
        created_at: level.updated_at,
        level,
    })
}

/// Writes down a change that was made.
pub(crate) fn record(
    conn: &mut Conn,
    sku: &str,
    kind: Kind,
    quantity: i64,
    reference: &str,
) -> QueryResult<i64> {
    diesel::insert_into(movements::table)
        .values((
            movements::sku.eq(sku),
            movements::kind.eq(kind.as_str()),
            movements::quantity.eq(quantity),
            movements::reference.eq(reference),
            movements::created_at.eq(now()),
        ))
        .returning(movements::id)
        .get_result(conn)
}

/// The sum of all movements of a product, which must be what is on hand.
#[cfg(test)]
pub(crate) fn sum(conn: &mut Conn, sku: &str) -> i64 {
    let all: Vec<i64> = movements::table
        .filter(movements::sku.eq(sku))
        .select(movements::quantity)
        .load(conn)
        .unwrap();
    all.iter().sum()
}
