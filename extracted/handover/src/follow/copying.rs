//! The copy of all rows, chunk by chunk, beside a feed that goes on.
//!
//! For [`super::worker`]. A chunk is written only if the cursor is still the one that its question carried. While it is written, the next
//! one is asked for, and written as well where the two have nothing to do with each other; it takes effect after the first. A copy that
//! keeps to a rate does neither: it shall be noticed little, and work at both ends at once is noticed most.

use std::collections::VecDeque;
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

/// How many chunks are asked for before their time has come: one that is written beside the one whose turn it is, and one that is at hand
/// when either is done.
const AHEAD: usize = 2;

/// A chunk, and the follower's row before and after it.
pub(super) struct Ahead {
    before: Follow,
    next: Follow,
    table: String,
    work: Work,
}

/// How far it is.
enum Work {
    Asked(Snapshot),
    Begun(JoinHandle<Result<bool, Error>>),
}

/// Whether the follower's row is what a chunk needs, or about to be.
#[derive(Clone, Copy)]
enum Turn {
    Now,
    BehindAnother,
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

    /// Copies one chunk, while the next ones are asked for and the first of them may be begun.
    pub(super) async fn copy(&mut self, before: Follow) -> Result<Duration, Error> {
        let is_begun = self.ahead.front().is_some_and(Ahead::is_begun);
        let must_feed = self.fed.elapsed() > FEED_EVERY;
        if must_feed && !is_begun {
            return self.follow(before).await;
        }
        let Some(table) = before.copy_table.clone() else {
            return Err(Error::Defect("a copy without a table".to_owned()));
        };
        let mut ahead = std::mem::take(&mut self.ahead);
        let chunk = match ahead.pop_front() {
            Some(chunk) if chunk.is(&before, &table) => chunk,
            stray => {
                end(stray.into_iter().chain(std::mem::take(&mut ahead))).await;
                self.ask(before.clone(), table.clone()).await?
            }
        };
        let (next, written) = (chunk.next.clone(), self.write(chunk, Turn::Now));
        let fill = async {
            if !must_feed && self.link.copy_rows_per_s == 0 {
                self.fill(&mut ahead, &next, &table).await;
            }
            ahead
        };
        let (done, ahead) = tokio::join!(written, fill);
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

    /// Asks for the chunks after the one of `table` that is being written and leaves `next`, and begins the first if it need not wait.
    async fn fill(&self, ahead: &mut VecDeque<Ahead>, next: &Follow, table: &str) {
        let store = &*self.link.store;
        let is_apart = feed::table(store, table).is_ok_and(|table| store.is_row_by_row(table));
        loop {
            if let Some(first) = ahead.pop_front_if(|first| is_apart && first.table == table) {
                let (before, next, table) = (first.before.clone(), first.next.clone(), first.table.clone());
                ahead.push_front(Ahead {
                    before,
                    next,
                    table,
                    work: Work::Begun(self.write(first, Turn::BehindAnother)),
                });
            }
            let last = ahead.back().map_or(next, |last| &last.next);
            let Some(table) = last.copy_table.clone().filter(|_| ahead.len() < AHEAD) else {
                return;
            };
            match self.ask(last.clone(), table).await {
                Ok(chunk) => ahead.push_back(chunk),
                // It is asked again in its turn.
                Err(_) => return,
            }
        }
    }

    /// Asks for the chunk that comes when the row is `before`.
    async fn ask(&self, before: Follow, table: String) -> Result<Ahead, Error> {
        let (after, rows) = (before.copy_key.as_ref(), self.at_once_rows());
        let chunk = self.link.peer.snapshot(&table, after, rows).await?;
        Ok(Ahead {
            next: self.after_chunk(&before, &table, &chunk),
            before,
            table,
            work: Work::Asked(chunk),
        })
    }

    /// Begins to write a chunk, unless it has begun.
    fn write(&self, ahead: Ahead, turn: Turn) -> JoinHandle<Result<bool, Error>> {
        let chunk = match ahead.work {
            Work::Asked(chunk) => chunk,
            Work::Begun(written) => return written,
        };
        let (link, table, from, to) = (Arc::clone(&self.link), ahead.table, ahead.before, ahead.next);
        tokio::spawn(async move {
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
        })
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

    fn is_begun(&self) -> bool {
        matches!(self.work, Work::Begun(_))
    }
}

/// Waits until nothing is written of what was begun ahead: either it takes effect in its turn, or not at all.
pub(super) async fn end(ahead: impl IntoIterator<Item = Ahead>) {
    for chunk in ahead {
        if let Work::Begun(written) = chunk.work {
            let _ = written.await;
        }
    }
}
