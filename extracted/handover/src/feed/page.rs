//! One page of a feed: entries of the outbox after a cursor.

use chassis::db::Conn;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Cursor;
use crate::row::Key;
use crate::{Error, Names};

/// A page of entries, by number.
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// The last number of the page, if there are entries after it.
    pub(super) more: Option<i64>,
}

/// A row that changed.
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) table: String,
    pub(super) key: Key,
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    tbl: String,
    #[diesel(sql_type = Text)]
    key: String,
}

/// Up to `limit` entries after `from`, none beyond `present`; where `from` is inside a window that began earlier, none beyond
/// that one's end.
pub(super) fn after(
    conn: &mut Conn,
    names: &Names,
    from: &Cursor,
    present: &Cursor,
    limit: usize,
) -> Result<Page, Error> {
    let at_most = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let outbox = &names.outbox;
    let mut stored: Vec<Stored> = match (from, present) {
        (Cursor::Number(after), _) => diesel::sql_query(format!(
            "SELECT seq, tbl, key FROM {outbox} WHERE seq > $1 ORDER BY seq LIMIT $2"
        ))
        .bind::<BigInt, _>(*after)
        .bind::<BigInt, _>(at_most)
        .load(conn)?,
        (Cursor::Snapshot(seen), Cursor::Snapshot(to)) => window(conn, outbox, (seen, to), 0, at_most)?,
        (Cursor::Window { from, to, seq }, _) => window(conn, outbox, (from, to), *seq, at_most)?,
        _ => Vec::new(),
    };
    let more = (stored.len() > limit).then(|| {
        stored.truncate(limit);
        stored.last().map_or(0, |entry| entry.seq)
    });
    // A window that was begun at an earlier state is read to its end first; what came after it is the next one.
    let entry = |stored: Stored| {
        let key = serde_json::from_str(&stored.key).map_err(Error::defect)?;
        Ok(Entry {
            seq: stored.seq,
            table: stored.tbl,
            key,
        })
    };
    Ok(Page {
        entries: stored.into_iter().map(entry).collect::<Result<_, Error>>()?,
        more,
    })
}

fn window(
    conn: &mut Conn,
    outbox: &str,
    (from, to): (&super::cursor::Seen, &super::cursor::Seen),
    after: i64,
    at_most: i64,
) -> Result<Vec<Stored>, Error> {
    let query = format!(
        "SELECT seq, tbl, key FROM {outbox} WHERE xid >= pg_snapshot_xmin($1::pg_snapshot) \
         AND NOT pg_visible_in_snapshot(xid, $1::pg_snapshot) AND pg_visible_in_snapshot(xid, $2::pg_snapshot) \
         AND seq > $3 ORDER BY seq LIMIT $4"
    );
    Ok(diesel::sql_query(query)
        .bind::<Text, _>(&from.text)
        .bind::<Text, _>(&to.text)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(at_most)
        .load(conn)?)
}
