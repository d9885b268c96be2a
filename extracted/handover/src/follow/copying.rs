//! The copy of all rows, chunk by chunk, beside a feed that goes on.
//!
//! For [`super::worker`]. A chunk is written only if the cursor is still the one that its question carried. While it is written, the next
//! one is asked for, unless the copy keeps to a rate: then it shall be noticed little, and work at both ends at once is noticed most.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::db::Conn;
use diesel::connection::SimpleConnection;

use super::apply;
use super::parking::{TRIES, is_misfit};
use super::record::Follow;
use super::worker::Worker;
use crate::row::Key;
use crate::store::Range;
use crate::wire::{Phase, Snapshot};
use crate::{Error, feed};

/// Chunks a second at the least, where the copy keeps to a rate: many small ones are noticed less than few large ones.
const CHUNKS_PER_S: u32 = 100;
/// How often a copy stops to read the feed, so that it does not grow long.
const FEED_EVERY: Duration = Duration::from_secs(5);

/// A chunk that was asked for before its time has come.
pub(super) struct Ahead {
    cursor: String,
    table: String,
    after: Option<Key>,
    chunk: Snapshot,
}

impl Worker {
    /// Takes the cursor, before any row is read.
    pub(super) async fn begin(&mut self, before: Follow) -> Result<Duration, Error> {
        self.copying_since = None;
        let answer = self.link.peer.changes(None, 1, Duration::ZERO).await?;
        let next = Follow {
            feed: answer.feed,
            cursor: answer.cursor,
            copy_table: self
                .link
                .store
                .intake()
                .first()
                .map(|table| table.name.to_owned()),
            ..before.clone()
        };
        self.apply(before, next, Vec::new()).await?;
        Ok(Duration::ZERO)
    }

    /// Copies one chunk, while the next is asked for.
    pub(super) async fn copy(&mut self, before: Follow) -> Result<Duration, Error> {
        if self.fed.elapsed() > FEED_EVERY {
            return self.follow(before).await;
        }
        let Some(table) = before.copy_table.clone() else {
            return Err(Error::Defect("a copy without a table".to_owned()));
        };
        let chunk = match self.ahead.take() {
            Some(ahead) if ahead.is(&before, &table) => ahead.chunk,
            _ => {
                self.link
                    .peer
                    .snapshot(&table, before.copy_key.as_ref(), self.at_once_rows())
                    .await?
            }
        };
        let next = self.after_chunk(&before, &table, &chunk);
        let is_last = next.phase != Phase::Copying;
        let is_throttled = self.link.copy_rows_per_s > 0;
        let ask = async {
            if is_throttled {
                return None;
            }
            let (table, after) = (next.copy_table.clone()?, next.copy_key.clone());
            let chunk = self
                .link
                .peer
                .snapshot(&table, after.as_ref(), self.at_once_rows())
                .await
                .ok()?;
            Some(Ahead {
                cursor: next.cursor.clone(),
                table,
                after,
                chunk,
            })
        };
        let (done, ahead) = tokio::join!(
            self.write_chunk(before.clone(), next.clone(), table.clone(), chunk),
            ask
        );
        match done {
            Ok(_) => {
                self.misfits = 0;
                self.ahead = if is_last { None } else { ahead };
                Ok(self.throttle(next.copied_rows))
            }
            // It refers to a row that came after its table was copied: the feed has that.
            Err(error) if is_misfit(&error) && self.misfits < TRIES => {
                self.misfits += 1;
                self.follow(before).await
            }
            Err(error) if is_misfit(&error) => self.park(before, Some(table), None, &error).await,
            Err(error) => Err(error),
        }
    }

    /// The follower's row once a chunk is there.
    fn after_chunk(&self, before: &Follow, table: &str, chunk: &Snapshot) -> Follow {
        let copied_rows = before.copied_rows + chunk.rows.len() as u64;
        if chunk.through.is_some() {
            return Follow {
                copy_key: chunk.through.clone(),
                copied_rows,
                ..before.clone()
            };
        }
        let mut tables = self
            .link
            .store
            .intake()
            .iter()
            .skip_while(|known| known.name != table);
        let next = tables.nth(1).map(|next| next.name.to_owned());
        let phase = if next.is_some() {
            Phase::Copying
        } else {
            Phase::CatchingUp
        };
        Follow {
            copy_table: next,
            copy_key: None,
            copied_rows,
            phase,
            ..before.clone()
        }
    }

    async fn write_chunk(
        &self,
        before: Follow,
        next: Follow,
        table: String,
        chunk: Snapshot,
    ) -> Result<bool, Error> {
        let (names, store) = (Arc::clone(&self.link.names), Arc::clone(&self.link.store));
        let work = move |conn: &mut Conn| {
            if let (Conn::Postgres(_), Phase::Copying) = (&*conn, next.phase) {
                // If the server dies, the last chunks and the key behind them are gone together, and are asked for again.
                conn.batch_execute("SET LOCAL synchronous_commit = off")?;
            }
            apply::as_follower(conn, &names, &before, &next, |conn| {
                let table = feed::table(&*store, &table)?;
                let range = Range {
                    after: before.copy_key.clone(),
                    through: chunk.through.clone(),
                };
                apply::replace(conn, &*store, table, range, &chunk.rows)
            })
        };
        self.link.db.write(work).await
    }

    fn at_once_rows(&self) -> usize {
        match self.link.copy_rows_per_s {
            0 => feed::CHUNK,
            rate => (rate / CHUNKS_PER_S).clamp(50, 1000) as usize,
        }
    }

    /// How long to rest so that the copy keeps to its rate.
    fn throttle(&mut self, copied: u64) -> Duration {
        let rate = u64::from(self.link.copy_rows_per_s);
        let (since, from) = *self.copying_since.get_or_insert((Instant::now(), copied));
        if rate == 0 {
            return Duration::ZERO;
        }
        let due = Duration::from_millis((copied.saturating_sub(from)) * 1000 / rate);
        due.saturating_sub(since.elapsed())
    }
}

impl Ahead {
    /// Whether this is the chunk that comes next, read while the cursor was what it is.
    fn is(&self, follow: &Follow, table: &str) -> bool {
        self.cursor == follow.cursor && self.table == table && self.after == follow.copy_key
    }
}
