//! The SQL of idempotency records: which key made which order, and what was answered.

use chassis::db::Conn;
use chassis::time::now;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::super::schema::idempotency_keys as keys;

/// What is known of a key.
#[derive(Clone, Debug, Queryable)]
pub(in super::super) struct Record {
    pub(in super::super) body_hash: String,
    pub(in super::super) order_id: i64,
    /// Status and body of the answer, once one was given.
    pub(in super::super) status: Option<i64>,
    pub(in super::super) body: Option<String>,
}

/// The record of a key.
pub(in super::super) fn find(conn: &mut Conn, scope: &str, key: &str) -> QueryResult<Option<Record>> {
    keys::table
        .find((scope, key))
        .select((keys::body_hash, keys::order_id, keys::status, keys::body))
        .first(conn)
        .optional()
}

/// Takes a key. Says whether it did: `false` means that another request was first.
pub(in super::super) fn insert(
    conn: &mut Conn,
    scope: &str,
    key: &str,
    body_hash: &str,
) -> QueryResult<bool> {
    let insert = diesel::insert_into(keys::table)
        .values((
            keys::scope.eq(scope),
            keys::key.eq(key),
            keys::body_hash.eq(body_hash),
            keys::order_id.eq(0),
            keys::created_at.eq(now()),
        ))
        .on_conflict_do_nothing();
    let inserted = match conn {
        Conn::Postgres(conn) => insert.execute(conn)?,
        Conn::Sqlite(conn) => insert.execute(conn)?,
    };
    Ok(inserted > 0)
}

/// Says which order a key stands for.
pub(in super::super) fn set_order(conn: &mut Conn, scope: &str, key: &str, order: i64) -> QueryResult<()> {
    diesel::update(keys::table.find((scope, key)))
        .set(keys::order_id.eq(order))
        .execute(conn)
        .map(drop)
}

/// Keeps the first answer to a key, and gives the one that was kept.
pub(in super::super) fn answer(
    conn: &mut Conn,
    scope: &str,
    key: &str,
    status: i64,
    body: &str,
) -> QueryResult<(i64, String)> {
    diesel::update(keys::table.find((scope, key)).filter(keys::status.is_null()))
        .set((keys::status.eq(Some(status)), keys::body.eq(Some(body))))
        .execute(conn)?;
    let kept: (Option<i64>, Option<String>) = keys::table
        .find((scope, key))
        .select((keys::status, keys::body))
        .first(conn)?;
    Ok((
        kept.0.unwrap_or(status),
        kept.1.unwrap_or_else(|| body.to_owned()),
    ))
}
