//! The copy of all rows, chunk by chunk, beside a feed that goes on.
//!
//! For [`super::worker`]. A chunk is written only if the cursor is still the one that its question carried. While it is written, the next
//! one is asked for, and written as well where the two have nothing to do with each other; it takes effect after the first. A copy that
//! keeps to a rate does neither: it shall be noticed little, and work at both ends at once is noticed most.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::db::Conn;
use diesel::connection::SimpleConnection;
use tokio::task::JoinHandle;

use super::apply;
use super::parking::{TRIES, is_misfit};
use super::record::Follow;
use super::worker::Worker;
use crate::store::Range;
use crate::wire::{Phase, Snapshot};
use crate::{Error, feed};

/// Rows in a chunk at the most.
const AT_ONCE: usize = 1000;
/// Chunks a second at the least, where the copy keeps to a rate: many small ones are noticed less than few large ones.
const CHUNKS_PER_S: u32 = 100;
/// How often a copy stops to read the feed, so that it does not grow long.
const FEED_EVERY: Duration = Duration::from_secs(5);

/// A chunk that was asked for before its time has come, while the row was about to be `before`.
pub(super) struct Ahead {
    before: Follow,
    table: String,
    work: Work,
}

/// How far it is.
enum Work {
    Asked(Snapshot),
    Begun(Begun),
}

/// Whether the follower's row is what a chunk needs, or about to be.
#[derive(Clone, Copy)]
enum Turn {
    Now,
    BehindAnother,
}

/// A chunk that is being written, and the follower's row once it is there.
struct Begun {
    next: Follow,
    written: JoinHandle<Result<bool, Error>>,
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

    /// Copies one chunk, while the next is asked for and may be begun.
    pub(super) async fn copy(&mut self, before: Follow) -> Result<Duration, Error> {
        let is_begun = matches!(&self.ahead, Some(ahead) if matches!(ahead.work, Work::Begun(_)));
        let must_feed = self.fed.elapsed() > FEED_EVERY;
        if must_feed && !is_begun {
            return self.follow(before).await;
        }
        let Some(table) = before.copy_table.clone() else {
            return Err(Error::Defect("a copy without a table".to_owned()));
        };
        let begun = match self.ahead.take() {
            Some(ahead) if ahead.is(&before, &table) => match ahead.work {
                Work::Asked(chunk) => self.begin_chunk(&before, &table, chunk, Turn::Now),
                Work::Begun(begun) => begun,
            },
            stray => {
                end(stray).await;
                let (after, rows) = (before.copy_key.as_ref(), self.at_once_rows());
                let chunk = self.link.peer.snapshot(&table, after, rows).await?;
                self.begin_chunk(&before, &table, chunk, Turn::Now)
            }
        };
        let next = begun.next;
        let is_throttled = self.link.copy_rows_per_s > 0;
        let ask = async {
            if must_feed || is_throttled {
                return None;
            }
            self.ask_ahead(&table, next.clone()).await
        };
        let (done, ahead) = tokio::join!(begun.written, ask);
        let done = done.map_err(Error::defect)?;
        if done.is_err() {
            // Nothing of it can take effect now; what it has locked must not stand in the way.
            end(ahead).await;
        } else {
            self.ahead = ahead;
        }
        match done {
            Ok(_) => {
                self.misfits = 0;
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

    /// Asks for the chunk that comes when the row is `before`, and begins it if it need not wait for the one of `table` that is being written.
    async fn ask_ahead(&self, table: &str, before: Follow) -> Option<Ahead> {
        let next = before.copy_table.clone()?;
        let (after, rows) = (before.copy_key.as_ref(), self.at_once_rows());
        let chunk = self.link.peer.snapshot(&next, after, rows).await.ok()?;
        let store = &*self.link.store;
        let is_apart =
            next == table && feed::table(store, table).is_ok_and(|table| store.is_row_by_row(table));
        let work = if is_apart {
            Work::Begun(self.begin_chunk(&before, table, chunk, Turn::BehindAnother))
        } else {
            Work::Asked(chunk)
        };
        Some(Ahead {
            before,
            table: next,
            work,
        })
    }

    /// Begins to write a chunk.
    fn begin_chunk(&self, before: &Follow, table: &str, chunk: Snapshot, turn: Turn) -> Begun {
        let next = self.after_chunk(before, table, &chunk);
        let (link, table) = (Arc::clone(&self.link), table.to_owned());
        let (from, to) = (before.clone(), next.clone());
        let write = async move {
            let (names, store) = (Arc::clone(&link.names), Arc::clone(&link.store));
            let work = move |conn: &mut Conn| {
                if let (Conn::Postgres(_), Phase::Copying) = (&*conn, to.phase) {
                    // If the server dies, the last chunks and the key behind them are gone together, and are asked for again.
                    conn.batch_execute("SET LOCAL synchronous_commit = off")?;
                }
                let replace = |conn: &mut Conn| {
                    let table = feed::table(&*store, &table)?;
                    let range = Range {
                        after: from.copy_key.clone(),
                        through: chunk.through.clone(),
                    };
                    apply::replace(conn, &*store, table, range, &chunk.rows)
                };
                match turn {
                    Turn::Now => apply::as_follower(conn, &names, &from, &to, replace),
                    Turn::BehindAnother => apply::behind_another(conn, &names, &from, &to, replace),
                }
            };
            match link.db.write(work).await {
                Err(Error::TakenBack) => Ok(false),
                done => done,
            }
        };
        Begun {
            next,
            written: tokio::spawn(write),
        }
    }

    fn at_once_rows(&self) -> usize {
        match self.link.copy_rows_per_s {
            0 => AT_ONCE,
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
        let before = &self.before;
        before.cursor == follow.cursor && self.table == table && before.copy_key == follow.copy_key
    }
}

/// Waits until nothing is written of what was begun ahead: either it takes effect in its turn, or not at all.
pub(super) async fn end(ahead: Option<Ahead>) {
    if let Some(Ahead {
        work: Work::Begun(begun),
        ..
    }) = ahead
    {
        let _ = begun.written.await;
    }
}
