//! What a feed keeps: everything that a registered follower has not acknowledged, within limits. A follower that lets the limits
//! pass is forgotten, and learns it from a 410: what it did not read is gone, so it must copy again.

use chassis::db::Conn;
use chrono::{TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::{Cursor, followers};
use crate::wire::Pen;
use crate::{Error, Names, sql};

/// Entries removed in one transaction, so that no writer waits for long.
const AT_ONCE: usize = 10_000;

/// How long, and how much, is kept for a follower that does not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) days: u32,
    pub(crate) changes: u64,
}

/// Removes what nobody needs, some of it; says whether more of it is left, and whom it has forgotten.
pub(crate) fn prune(
    conn: &mut Conn,
    names: &Names,
    pen: &Pen,
    keep: Keep,
) -> Result<(bool, Vec<String>), Error> {
    let full = is_full(conn, names, keep.changes)?;
    let (mut floor, mut forgotten) = (Cursor::present(conn, names)?.reached(), Vec::new());
    let oldest = Utc::now() - TimeDelta::days(i64::from(keep.days));
    let mut known = followers::all(conn, names)?;
    known.sort_by_key(|follower| follower.seen_at);
    for follower in known {
        let at = Cursor::read(conn, pen.feed, &follower.cursor).map(|cursor| cursor.reached());
        match at {
            // The one that is furthest behind goes first; the others get their chance at the next round.
            Ok(at) if follower.seen_at < oldest || (full && forgotten.is_empty() && at < floor) => {
                followers::forget(conn, names, &follower.side)?;
                forgotten.push(follower.side);
            }
            Ok(at) => floor = floor.min(at),
            Err(_) => followers::forget(conn, names, &follower.side)?,
        }
    }
    Ok((remove(conn, names, floor)? == AT_ONCE, forgotten))
}

/// Whether more entries than that are kept. Each is looked at only if the first and the last number lie that far apart.
fn is_full(conn: &mut Conn, names: &Names, most: u64) -> Result<bool, Error> {
    let outbox = &names.outbox;
    let span = format!("SELECT coalesce(max(seq) - min(seq) + 1, 0) AS n FROM {outbox}");
    if sql::number(conn, &span)?.unsigned_abs() <= most {
        return Ok(false);
    }
    let count = format!(
        "SELECT count(*) AS n FROM (SELECT 1 FROM {outbox} LIMIT {}) AS kept",
        most + 1
    );
    Ok(sql::number(conn, &count)?.unsigned_abs() > most)
}

fn remove(conn: &mut Conn, names: &Names, floor: u64) -> Result<usize, Error> {
    let outbox = &names.outbox;
    let old = match conn {
        Conn::Postgres(_) => format!("SELECT seq FROM {outbox} WHERE xid <= $1::text::xid8 LIMIT {AT_ONCE}"),
        Conn::Sqlite(_) => format!("SELECT seq FROM {outbox} WHERE seq <= $1 LIMIT {AT_ONCE}"),
    };
    let query = format!("DELETE FROM {outbox} WHERE seq IN ({old})");
    Ok(diesel::sql_query(query)
        .bind::<BigInt, _>(floor.cast_signed())
        .execute(conn)?)
}
