//! The SQL of idempotency records: which key made which product, and what was answered. They travel with the products, so a create that
//! is tried again on the other side of a switch gets the first answer.

use chassis::db::Conn;
use chassis::time::now;
use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::Timestamp;

use super::super::Error;
use super::super::schema::catalog_keys as keys;

/// How long a key is kept, in hours.
const KEPT: i64 = 24;

/// A key with the body that it came with.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Whose key it is.
    pub(crate) scope: String,
    /// What the client calls the request.
    pub(crate) key: String,
    /// SHA-256 of the body, in hex.
    pub(crate) body_hash: String,
}

/// What a create was answered.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct FirstAnswer {
    pub(crate) location: String,
    pub(crate) etag: String,
    pub(crate) body: String,
}

/// Takes a key in the transaction of the create, or gives what was answered when it was taken before. Whoever comes second waits until the
/// first has committed: its key is then there, or free again.
pub(crate) fn claim(conn: &mut Conn, key: &Key) -> Result<Option<FirstAnswer>, Error> {
    forget_old(conn)?;
    let insert = diesel::insert_into(keys::table)
        .values((
            keys::scope.eq(&key.scope),
            keys::key.eq(&key.key),
            keys::body_hash.eq(&key.body_hash),
            keys::location.eq(""),
            keys::etag.eq(""),
            keys::body.eq(""),
            keys::created_at.eq(now()),
        ))
        .on_conflict_do_nothing();
    let taken = match conn {
        Conn::Postgres(conn) => insert.execute(conn)?,
        Conn::Sqlite(conn) => insert.execute(conn)?,
    };
    if taken > 0 {
        return Ok(None);
    }
    let (body_hash, location, etag, body): (String, String, String, String) = keys::table
        .find((&key.scope, &key.key))
        .select((keys::body_hash, keys::location, keys::etag, keys::body))
        .first(conn)?;
    if body_hash != key.body_hash {
        return Err(Error::KeyReused);
    }
    Ok(Some(FirstAnswer { location, etag, body }))
}

/// Keeps what a key was answered.
pub(crate) fn keep(conn: &mut Conn, key: &Key, answer: &FirstAnswer) -> Result<(), Error> {
    diesel::update(keys::table.find((&key.scope, &key.key)))
        .set((
            keys::location.eq(&answer.location),
            keys::etag.eq(&answer.etag),
            keys::body.eq(&answer.body),
        ))
        .execute(conn)?;
    Ok(())
}

/// Removes some keys that have had their day.
fn forget_old(conn: &mut Conn) -> Result<(), Error> {
    let query = "DELETE FROM catalog_keys WHERE (scope, key) IN \
                 (SELECT scope, key FROM catalog_keys WHERE created_at < $1 ORDER BY created_at LIMIT 100)";
    diesel::sql_query(query)
        .bind::<Timestamp, _>(now() - TimeDelta::hours(KEPT))
        .execute(conn)?;
    Ok(())
}
