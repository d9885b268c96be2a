//! What this side follows, and how far it has come: one row beside the module's tables, or none.

use chassis::db::Conn;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use uuid::Uuid;

use crate::row::Key;
use crate::wire::{Parked, Phase, Position};
use crate::{Error, Names};

/// The row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Follow {
    pub(crate) source: String,
    pub(crate) feed: Uuid,
    /// The pen's epoch when it began to follow.
    pub(crate) epoch: u64,
    /// Empty until the feed was first asked.
    pub(crate) cursor: String,
    pub(crate) phase: Phase,
    pub(crate) reached: Option<Position>,
    /// While copying: the table, and the last key of it that is here.
    pub(crate) copy_table: Option<String>,
    pub(crate) copy_key: Option<Key>,
    pub(crate) copied_rows: u64,
    pub(crate) parked: Option<Parked>,
}

impl Follow {
    /// A follower that has nothing yet and stands at `cursor`.
    pub(crate) fn begin(source: &str, feed: Uuid, epoch: u64, cursor: String) -> Self {
        Self {
            source: source.to_owned(),
            feed,
            epoch,
            cursor,
            phase: Phase::Copying,
            reached: None,
            copy_table: None,
            copy_key: None,
            copied_rows: 0,
            parked: None,
        }
    }
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    feed: String,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = Text)]
    cursor: String,
    #[diesel(sql_type = Text)]
    phase: String,
    #[diesel(sql_type = Nullable<Text>)]
    reached: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    copy_table: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    copy_key: Option<String>,
    #[diesel(sql_type = BigInt)]
    copied_rows: i64,
    #[diesel(sql_type = Nullable<Text>)]
    parked: Option<String>,
}

impl From<Stored> for Follow {
    fn from(stored: Stored) -> Self {
        let phases = [Phase::Copying, Phase::CatchingUp, Phase::Following, Phase::Sealed];
        Self {
            source: stored.source,
            feed: stored.feed.parse().unwrap_or_default(),
            epoch: stored.epoch.unsigned_abs(),
            cursor: stored.cursor,
            // What the CHECK does not allow counts as parked: nothing goes on by itself.
            phase: phases
                .into_iter()
                .find(|phase| phase.word() == stored.phase)
                .unwrap_or(Phase::Parked),
            reached: stored.reached.and_then(|reached| reached.parse().ok()),
            copy_table: stored.copy_table,
            copy_key: stored.copy_key.and_then(|key| serde_json::from_str(&key).ok()),
            copied_rows: stored.copied_rows.unsigned_abs(),
            parked: stored
                .parked
                .and_then(|parked| serde_json::from_str(&parked).ok()),
        }
    }
}

/// The row; none on a side that follows nobody.
pub(crate) fn read(conn: &mut Conn, names: &Names) -> Result<Option<Follow>, Error> {
    let query = format!(
        "SELECT source, feed, epoch, cursor, phase, reached, copy_table, copy_key, copied_rows, parked FROM {}",
        names.follow
    );
    let stored: Option<Stored> = diesel::sql_query(query).get_result(conn).optional()?;
    Ok(stored.map(Follow::from))
}

/// Writes the row, in the place of any other.
pub(crate) fn put(conn: &mut Conn, names: &Names, follow: &Follow) -> Result<(), Error> {
    delete(conn, names)?;
    let parked = follow
        .parked
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(Error::defect)?;
    let query = format!(
        "INSERT INTO {} (source, feed, epoch, cursor, phase, reached, copy_table, copy_key, copied_rows, parked) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        names.follow
    );
    diesel::sql_query(query)
        .bind::<Text, _>(&follow.source)
        .bind::<Text, _>(follow.feed.to_string())
        .bind::<BigInt, _>(follow.epoch.cast_signed())
        .bind::<Text, _>(&follow.cursor)
        .bind::<Text, _>(follow.phase.word())
        .bind::<Nullable<Text>, _>(follow.reached.map(|reached| reached.to_string()))
        .bind::<Nullable<Text>, _>(follow.copy_table.clone())
        .bind::<Nullable<Text>, _>(follow.copy_key.as_ref().map(Key::text))
        .bind::<BigInt, _>(follow.copied_rows.cast_signed())
        .bind::<Nullable<Text>, _>(parked)
        .execute(conn)?;
    Ok(())
}

/// Ends following.
pub(crate) fn delete(conn: &mut Conn, names: &Names) -> Result<(), Error> {
    diesel::sql_query(format!("DELETE FROM {}", names.follow)).execute(conn)?;
    Ok(())
}
