//! The pen's row in this side's database: how it is read, locked and installed. The moves are in `moves` (fence, grant, abort)
//! and `passing` (accept, turn).

mod moves;
mod passing;

use chassis::db::{self, Conn};
use chrono::{DateTime, SecondsFormat, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use uuid::Uuid;

use crate::wire::{Pen, State};
use crate::{Error, Names, sql};

pub(crate) use moves::{abort, fence, grant, lock_within};
pub(crate) use passing::{accept, turn};

/// The row as it stands in the database.
#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    side: String,
    #[diesel(sql_type = Text)]
    holder: String,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Text>)]
    pass: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    position: Option<String>,
    #[diesel(sql_type = Text)]
    feed: String,
    #[diesel(sql_type = Nullable<Text>)]
    feed_start: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    expires_at: Option<String>,
    #[diesel(sql_type = Text)]
    since: String,
    #[diesel(sql_type = Nullable<Text>)]
    sequences: Option<String>,
}

impl Stored {
    fn pen(self, names: &Names) -> Pen {
        Pen {
            module: names.module.to_owned(),
            side: self.side,
            holder: self.holder,
            epoch: self.epoch.unsigned_abs(),
            state: match self.state.as_str() {
                "held" => State::Held,
                "granted" => State::Granted,
                // The database has a CHECK for the three; anything else must not let a write through.
                _ => State::Fenced,
            },
            pass: self.pass.and_then(|pass| pass.parse().ok()),
            position: self.position.and_then(|position| position.parse().ok()),
            feed: self.feed.parse().unwrap_or_default(),
            feed_start: self.feed_start,
            expires_at: self.expires_at.as_deref().and_then(time),
            since: time(&self.since).unwrap_or_default(),
            sequences: self.sequences.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

/// A time as the tables of the pen hold it: RFC 3339, UTC, six digits of a second.
pub(crate) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Reads what [`stamp`] wrote.
pub(crate) fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

const COLUMNS: &str =
    "side, holder, epoch, state, pass, position, feed, feed_start, expires_at, since, sequences";

/// The pen's row; none while none is installed.
pub(crate) fn read(conn: &mut Conn, names: &Names) -> Result<Option<Pen>, db::Error> {
    let query = format!("SELECT {COLUMNS} FROM {}", names.pen);
    let stored: Option<Stored> = diesel::sql_query(query).get_result(conn).optional()?;
    Ok(stored.map(|stored| stored.pen(names)))
}

/// The pen's row; nobody moves it until this transaction ends, for a move needs its table alone. On SQLite a write transaction is
/// that lock already.
///
/// A lock of the row would do the same, but writes it, and many writers beside each other would wait for its page.
pub(crate) fn read_for_write(conn: &mut Conn, names: &Names) -> Result<Option<Pen>, db::Error> {
    lock_table(conn, names, "ROW SHARE")?;
    read(conn, names)
}

/// The pen's row, which nobody else moves or writes under until this transaction ends: whoever has read it for a write is waited
/// for, and whoever comes now waits in turn. On SQLite a write transaction is that lock.
///
/// A lock of the row alone would starve beside a stream of writers (decision 24).
pub(crate) fn lock(conn: &mut Conn, names: &Names) -> Result<Pen, Error> {
    lock_table(conn, names, "EXCLUSIVE")?;
    read(conn, names)?.ok_or(Error::Module)
}

fn lock_table(conn: &mut Conn, names: &Names, mode: &str) -> Result<(), db::Error> {
    if matches!(conn, Conn::Postgres(_)) {
        // As a batch it is one round trip; as a prepared statement two.
        conn.batch_execute(&format!("LOCK TABLE {} IN {mode} MODE", names.pen))?;
    }
    Ok(())
}

/// Writes the row whole, and reads it back. The caller has locked it and looked at it: that is the compare of the compare-and-set.
fn set(conn: &mut Conn, names: &Names, pen: &Pen) -> Result<Pen, Error> {
    let sequences = pen.sequences.as_ref().map(serde_json::to_string).transpose();
    let query = format!(
        "UPDATE {} SET holder = $1, epoch = $2, state = $3, pass = $4, position = $5, feed_start = $6, expires_at = $7, \
         since = $8, sequences = $9",
        names.pen
    );
    diesel::sql_query(query)
        .bind::<Text, _>(&pen.holder)
        .bind::<BigInt, _>(pen.epoch.cast_signed())
        .bind::<Text, _>(pen.state.word())
        .bind::<Nullable<Text>, _>(pen.pass.map(|pass| pass.to_string()))
        .bind::<Nullable<Text>, _>(pen.position.map(|position| position.to_string()))
        .bind::<Nullable<Text>, _>(pen.feed_start.clone())
        .bind::<Nullable<Text>, _>(pen.expires_at.map(stamp))
        .bind::<Text, _>(stamp(Utc::now()))
        .bind::<Nullable<Text>, _>(sequences.map_err(Error::defect)?)
        .execute(conn)?;
    read(conn, names)?.ok_or(Error::Module)
}

/// Puts the row there, held by `holder` in epoch 1, unless there is one. Writers that are under way end first: from here on
/// their changes are captured.
pub(crate) fn install(conn: &mut Conn, names: &Names, side: &str, holder: &str) -> Result<Pen, Error> {
    if let Some(pen) = read(conn, names)? {
        return if pen.side == side {
            Ok(pen)
        } else {
            Err(Error::OtherSide {
                is: pen.side,
                told: side.to_owned(),
            })
        };
    }
    lock_table(conn, names, "EXCLUSIVE")?;
    let query = format!(
        "INSERT INTO {} (side, holder, epoch, state, feed, since) VALUES ($1, $2, 1, 'held', $3, $4) ON CONFLICT DO NOTHING",
        names.pen
    );
    diesel::sql_query(query)
        .bind::<Text, _>(side)
        .bind::<Text, _>(holder)
        .bind::<Text, _>(Uuid::new_v4().to_string())
        .bind::<Text, _>(stamp(Utc::now()))
        .execute(conn)?;
    read(conn, names)?.ok_or(Error::Module)
}

/// The number of the write transaction that is open: its place in the history that followers read.
pub(crate) fn number_of_write(conn: &mut Conn, names: &Names) -> Result<u64, db::Error> {
    let number = match conn {
        Conn::Postgres(_) => "pg_current_xact_id()::text::bigint".to_owned(),
        Conn::Sqlite(_) => last_number(names),
    };
    Ok(sql::number(conn, &format!("SELECT {number} AS n"))?.unsigned_abs())
}

/// SQLite: the last number that the outbox gave out, which pruning does not forget.
pub(crate) fn last_number(names: &Names) -> String {
    format!(
        "coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{}'), 0)",
        names.outbox
    )
}

/// The number of everything that was committed before this statement: on PostgreSQL every transaction that had begun to write.
pub(crate) fn end_of_feed(conn: &mut Conn, names: &Names) -> Result<u64, db::Error> {
    let number = match conn {
        Conn::Postgres(_) => "pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1".to_owned(),
        Conn::Sqlite(_) => last_number(names),
    };
    Ok(sql::number(conn, &format!("SELECT {number} AS n"))?.unsigned_abs())
}

/// Lets the open transaction write to a module whose pen is elsewhere, and not be captured, until [`unmark`] or its end.
pub(crate) fn mark(conn: &mut Conn, names: &Names) -> Result<(), db::Error> {
    let sql = match conn {
        Conn::Postgres(_) => format!("SET LOCAL banyan.follower = '{}'", names.module),
        Conn::Sqlite(_) => format!("INSERT INTO {} (module) VALUES ('{}')", names.mark, names.module),
    };
    diesel::sql_query(sql).execute(conn)?;
    Ok(())
}

/// Ends the mark. On SQLite the row must not be committed; on PostgreSQL the setting ends with the transaction.
pub(crate) fn unmark(conn: &mut Conn, names: &Names) -> Result<(), db::Error> {
    if matches!(conn, Conn::Sqlite(_)) {
        diesel::sql_query(format!("DELETE FROM {}", names.mark)).execute(conn)?;
    }
    Ok(())
}
