//! Who follows this side, and how far each has said to have come: what the feed must keep.

use chassis::db::Conn;
use chrono::Utc;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::pen::{stamp, time};
use crate::wire::FollowerStatus;
use crate::{Error, Names};

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    side: String,
    #[diesel(sql_type = Text)]
    cursor: String,
    #[diesel(sql_type = Text)]
    seen_at: String,
}

/// All followers.
pub(crate) fn all(conn: &mut Conn, names: &Names) -> Result<Vec<FollowerStatus>, Error> {
    let query = format!(
        "SELECT side, cursor, seen_at FROM {} ORDER BY side",
        names.followers
    );
    let stored: Vec<Stored> = diesel::sql_query(query).load(conn)?;
    let follower = |stored: Stored| FollowerStatus {
        side: stored.side,
        cursor: stored.cursor,
        seen_at: time(&stored.seen_at).unwrap_or_default(),
    };
    Ok(stored.into_iter().map(follower).collect())
}

/// Whether this side is followed by `side`.
pub(crate) fn is_known(conn: &mut Conn, names: &Names, side: &str) -> Result<bool, Error> {
    Ok(all(conn, names)?.iter().any(|follower| follower.side == side))
}

/// Notes that a follower stands at a cursor: nothing after it is pruned until it says more.
pub(crate) fn register(conn: &mut Conn, names: &Names, side: &str, cursor: &str) -> Result<(), Error> {
    let query = format!(
        "INSERT INTO {} (side, cursor, seen_at) VALUES ($1, $2, $3) \
         ON CONFLICT (side) DO UPDATE SET cursor = excluded.cursor, seen_at = excluded.seen_at",
        names.followers
    );
    diesel::sql_query(query)
        .bind::<Text, _>(side)
        .bind::<Text, _>(cursor)
        .bind::<Text, _>(stamp(Utc::now()))
        .execute(conn)?;
    Ok(())
}

/// Raises what a known follower has said; one that was forgotten meanwhile stays so.
pub(crate) fn acknowledge(conn: &mut Conn, names: &Names, side: &str, cursor: &str) -> Result<(), Error> {
    let query = format!(
        "UPDATE {} SET cursor = $2, seen_at = $3 WHERE side = $1",
        names.followers
    );
    diesel::sql_query(query)
        .bind::<Text, _>(side)
        .bind::<Text, _>(cursor)
        .bind::<Text, _>(stamp(Utc::now()))
        .execute(conn)?;
    Ok(())
}

/// Forgets a follower: the feed keeps nothing for it any more.
pub(crate) fn forget(conn: &mut Conn, names: &Names, side: &str) -> Result<(), Error> {
    let query = format!("DELETE FROM {} WHERE side = $1", names.followers);
    diesel::sql_query(query).bind::<Text, _>(side).execute(conn)?;
    Ok(())
}
