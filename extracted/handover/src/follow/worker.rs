//! The task that goes on by itself on each side: it follows while the pen is elsewhere, and looks after the pen while it is here.
//!
//! Three moves of a pass are made here too, so that one whose coordinator has died does not stay half done: a fence that has
//! expired is aborted, a grant that the feed shows is accepted, and an old holder turns when its peer holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::db;
use chrono::Utc;
use diesel::result::{DatabaseErrorKind, Error as Diesel};

use super::apply;
use super::record::{self, Follow};
use crate::link::Link;
use crate::row::Key;
use crate::wire::{Abort, Change, Changes, Parked, Pen, Phase, Snapshot, State};
use crate::{Error, feed, pen};

/// Rows in a chunk of a copy, and changes in a page of the feed.
const AT_ONCE: usize = 1000;
/// How long the source may hold back an answer with nothing in it.
const LONG_POLL: Duration = Duration::from_secs(2);
/// How often a resting side looks at its row by itself.
const REST: Duration = Duration::from_secs(1);
/// How often a side that waits for the other looks again.
const SHORT_REST: Duration = Duration::from_millis(200);
/// How often an old feed is pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(10);
/// How often a copy stops to read the feed, so that it does not grow long.
const FEED_EVERY: Duration = Duration::from_secs(5);
/// How often a chunk or a page that does not fit is tried again before it is parked.
const TRIES: u32 = 10;
/// Pages that are applied in one transaction at the most, when one alone does not fit.
const PAGES_TOGETHER: usize = 50;

/// The task of one module's link.
pub(crate) struct Worker {
    link: Arc<Link>,
    /// The chunk after the one that is being written, if the copy has come that far.
    ahead: Option<Ahead>,
    misfits: u32,
    /// Whether the next question must not wait for news.
    at_once: bool,
    pruned: Instant,
    fed: Instant,
    copying_since: Option<(Instant, u64)>,
}

/// A chunk that was asked for before its time has come.
struct Ahead {
    cursor: String,
    table: String,
    after: Option<Key>,
    chunk: Snapshot,
}

impl Worker {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        let now = Instant::now();
        Self {
            link,
            ahead: None,
            misfits: 0,
            at_once: false,
            pruned: now,
            fed: now,
            copying_since: None,
        }
    }

    /// Goes on until the process ends.
    pub(crate) async fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            match self.round().await {
                Ok(rest) => {
                    pause = Duration::ZERO;
                    let _ = tokio::time::timeout(rest, self.link.wake.notified()).await;
                }
                Err(error) => {
                    pause = (pause * 2).clamp(Duration::from_millis(100), Duration::from_secs(10));
                    tracing::warn!(module = self.link.names.module, error = %error, ?pause, "the hand-over goes on later");
                    let _ = tokio::time::timeout(pause, self.link.wake.notified()).await;
                }
            }
        }
    }

    /// One step, and how long to rest after it.
    async fn round(&mut self) -> Result<Duration, Error> {
        let names = Arc::clone(&self.link.names);
        let read =
            move |conn: &mut _| Ok::<_, Error>((pen::read(conn, &names)?, record::read(conn, &names)?));
        let (pen, follow) = self.link.db.read(read).await?;
        self.link.publish(follow.as_ref());
        let Some(pen) = pen else {
            return Ok(REST);
        };
        if pen.state == State::Fenced {
            return self.fenced(&pen).await;
        }
        if pen.holder == pen.side {
            return self.look_after(&pen).await;
        }
        if pen.state == State::Granted {
            return self.granted(&pen).await;
        }
        match follow {
            Some(follow) if follow.cursor.is_empty() => self.begin(follow).await,
            Some(follow) if follow.phase == Phase::Copying => self.copy(follow).await,
            Some(follow) if matches!(follow.phase, Phase::CatchingUp | Phase::Following) => {
                self.follow(follow).await
            }
            _ => Ok(REST),
        }
    }

    /// Ends a fence that has expired by this side's clock.
    async fn fenced(&self, pen: &Pen) -> Result<Duration, Error> {
        let left = pen.expires_at.and_then(|at| (at - Utc::now()).to_std().ok());
        match (left, pen.pass) {
            (Some(left), _) => Ok(left.min(REST)),
            (None, Some(pass)) => {
                let command = Abort {
                    pass,
                    epoch: pen.epoch,
                };
                match self.link.abort(command).await {
                    Ok(_) => {
                        tracing::warn!(module = pen.module, %pass, "the fence has expired; writes go on here");
                    }
                    Err(Error::Lost(..)) => {}
                    Err(error) => return Err(error),
                }
                Ok(Duration::ZERO)
            }
            (None, None) => Ok(REST),
        }
    }

    /// Keeps what followers have acknowledged, and forgets what nobody needs.
    async fn look_after(&mut self, pen: &Pen) -> Result<Duration, Error> {
        self.link.keep_acknowledgements().await?;
        if self.pruned.elapsed() < PRUNE_EVERY {
            return Ok(REST);
        }
        self.pruned = Instant::now();
        let (names, pen, keep) = (Arc::clone(&self.link.names), pen.clone(), self.link.keep);
        let (removed, forgotten) = self
            .link
            .db
            .write(move |conn| feed::prune(conn, &names, &pen, keep))
            .await?;
        for side in forgotten {
            tracing::warn!(
                module = self.link.names.module,
                follower = side,
                "forgotten: it let the feed grow past its limits"
            );
        }
        // More may be waiting; the next round takes it without a rest.
        Ok(if removed > 0 { SHORT_REST } else { REST })
    }

    /// Turns, once the peer holds what it was granted.
    async fn granted(&self, pen: &Pen) -> Result<Duration, Error> {
        let theirs = self.link.peer.status().await?.pen;
        if theirs.state != State::Granted && theirs.holder == theirs.side && theirs.epoch == pen.epoch {
            self.link.turn(theirs).await?;
            return Ok(Duration::ZERO);
        }
        Ok(SHORT_REST)
    }

    /// Takes the cursor, before any row is read.
    async fn begin(&self, before: Follow) -> Result<Duration, Error> {
        let answer = self.link.peer.changes(None, 1, Duration::ZERO).await?;
        let next = Follow {
            feed: answer.feed,
            cursor: answer.cursor,
            copy_table: self
                .link
                .store
                .tables()
                .first()
                .map(|table| table.name.to_owned()),
            ..before.clone()
        };
        self.apply(before, next, Vec::new()).await?;
        Ok(Duration::ZERO)
    }

    /// Copies one chunk, while the next is asked for.
    async fn copy(&mut self, before: Follow) -> Result<Duration, Error> {
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
                    .snapshot(&table, before.copy_key.as_ref(), AT_ONCE)
                    .await?
            }
        };
        let next = self.after_chunk(&before, &table, &chunk);
        let is_last = next.phase != Phase::Copying;
        let ask = async {
            let (table, after) = (next.copy_table.clone()?, next.copy_key.clone());
            let chunk = self
                .link
                .peer
                .snapshot(&table, after.as_ref(), AT_ONCE)
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
            .tables()
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
        let work = move |conn: &mut _| {
            apply::as_follower(conn, &names, &before, &next, |conn| {
                let table = feed::table(&*store, &table)?;
                apply::replace(conn, &*store, table, before.copy_key.as_ref(), &chunk)
            })
        };
        self.link.db.write(work).await
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

    /// Reads a page of the feed and applies it.
    async fn follow(&mut self, before: Follow) -> Result<Duration, Error> {
        self.fed = Instant::now();
        self.ahead = None;
        // Until it has been at the end lately this side cannot say that it is current, and no hand-over to it begins: then it does not
        // wait for news, as after a turn in a quiet shop.
        let was_at_end = self.link.lag().is_some_and(|lag| lag <= 2 * LONG_POLL);
        let at_once = std::mem::take(&mut self.at_once) || !was_at_end;
        let may_wait = before.phase == Phase::Following && !at_once;
        let wait = if may_wait { LONG_POLL } else { Duration::ZERO };
        let asked = Instant::now();
        let question = self.link.peer.changes(Some(&before.cursor), AT_ONCE, wait);
        let answered = tokio::select! {
            answered = question => answered,
            // Somebody wants to know what there is now: the question that waits for news is given up for one that does not.
            () = self.link.wake.notified(), if may_wait => {
                self.at_once = true;
                return Ok(Duration::ZERO);
            }
        };
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) if error.is("behind-the-floor") || error.is("ahead") => {
                return self.park(before, None, None, &error).await;
            }
            // The pen is on its way here, or back; the next look at the row says which.
            Err(error) if error.is("not-the-holder") => return Ok(SHORT_REST),
            Err(error) => return Err(error.into()),
        };
        let (receipt, more) = (answer.pen.clone(), answer.more);
        let next = after_page(&before, &answer);
        if next == before && answer.changes.is_empty() {
            self.link.seen_end(asked);
        } else {
            let changes = self.covered(&before, answer.changes.clone());
            match self.apply(before.clone(), next, changes).await {
                Ok(_) => self.misfits = 0,
                Err(error) if is_misfit(&error) => return self.together(before, answer, &error).await,
                Err(error) => return Err(error),
            }
            if !more {
                self.link.seen_end(asked);
            }
        }
        if !more && receipt.state == State::Granted && receipt.holder == self.link.side {
            return self.accept(receipt).await;
        }
        Ok(Duration::ZERO)
    }

    /// Takes the pen that the feed says was granted to this side.
    async fn accept(&self, receipt: Pen) -> Result<Duration, Error> {
        match self.link.accept(receipt).await {
            Ok(_) => Ok(Duration::ZERO),
            Err(Error::Proof(_) | Error::Lost(..)) => Ok(SHORT_REST),
            Err(error) => Err(error),
        }
    }

    /// While a copy is under way, only what it has come to: the rest is read later, in a later state.
    fn covered(&self, before: &Follow, changes: Vec<Change>) -> Vec<Change> {
        let Some(copying) = before
            .copy_table
            .as_deref()
            .filter(|_| before.phase == Phase::Copying)
        else {
            return changes;
        };
        let place = |name: &str| {
            self.link
                .store
                .tables()
                .iter()
                .position(|table| table.name == name)
        };
        let is_covered = |change: &Change| match place(&change.table).cmp(&place(copying)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => {
                let table = feed::table(&*self.link.store, copying).ok();
                let until = before.copy_key.as_ref();
                table
                    .zip(until)
                    .is_some_and(|(table, until)| table.compare(&change.key, until).is_le())
            }
        };
        changes.into_iter().filter(is_covered).collect()
    }

    async fn apply(&self, before: Follow, next: Follow, changes: Vec<Change>) -> Result<bool, Error> {
        let (names, store) = (Arc::clone(&self.link.names), Arc::clone(&self.link.store));
        let published = next.clone();
        let work = move |conn: &mut _| {
            apply::as_follower(conn, &names, &before, &next, |conn| {
                apply::changes(conn, &*store, &changes)
            })
        };
        let done = self.link.db.write(work).await?;
        if done {
            self.link.publish(Some(&published));
        }
        Ok(done)
    }

    /// A page that does not fit may be half of a change: all pages to the end are applied in one transaction.
    async fn together(&mut self, before: Follow, first: Changes, why: &Error) -> Result<Duration, Error> {
        let mut changes = self.covered(&before, first.changes);
        let mut next = first.cursor.clone();
        let (mut more, mut reached) = (first.more, first.reached);
        for _ in 0..PAGES_TOGETHER {
            if !more {
                break;
            }
            let answer = self
                .link
                .peer
                .changes(Some(&next), AT_ONCE, Duration::ZERO)
                .await?;
            let newer: std::collections::HashSet<(String, Key)> = answer
                .changes
                .iter()
                .map(|change| (change.table.clone(), change.key.clone()))
                .collect();
            changes.retain(|change| !newer.contains(&(change.table.clone(), change.key.clone())));
            changes.extend(self.covered(&before, answer.changes));
            (next, more, reached) = (answer.cursor, answer.more, answer.reached);
        }
        let after = Follow {
            cursor: next,
            reached: if before.phase == Phase::Following && !more {
                reached
            } else {
                before.reached
            },
            ..before.clone()
        };
        match self.apply(before.clone(), after, changes.clone()).await {
            Ok(_) => Ok(Duration::ZERO),
            Err(error) if is_misfit(&error) && self.misfits < TRIES => {
                self.misfits += 1;
                tracing::info!(module = self.link.names.module, %error, %why, "changes do not fit; they are asked for again");
                Ok(SHORT_REST)
            }
            Err(error) if is_misfit(&error) => {
                let culprit = self.culprit(&before, changes).await?;
                let (table, key) =
                    culprit.map_or((None, None), |change| (Some(change.table), Some(change.key)));
                self.park(before, table, key, &error).await
            }
            Err(error) => Err(error),
        }
    }

    /// The first change that cannot be applied after those before it. Nothing is kept of the attempt.
    async fn culprit(&self, before: &Follow, changes: Vec<Change>) -> Result<Option<Change>, Error> {
        let (names, store, before) = (
            Arc::clone(&self.link.names),
            Arc::clone(&self.link.store),
            before.clone(),
        );
        let found = Arc::new(std::sync::Mutex::new(None));
        let told = Arc::clone(&found);
        let work = move |conn: &mut _| {
            apply::as_follower(conn, &names, &before, &before, |conn| {
                let culprit = apply::first_misfit(conn, &*store, &changes)?;
                *told.lock().map_err(Error::defect)? = culprit;
                Err(Error::TakenBack)
            })
        };
        match self.link.db.write(work).await {
            Ok(_) | Err(Error::TakenBack) => Ok(found.lock().map_err(Error::defect)?.take()),
            Err(error) => Err(error),
        }
    }

    /// Stops, and keeps why. The cursor stays where it is: nothing is skipped.
    async fn park(
        &self,
        before: Follow,
        table: Option<String>,
        key: Option<Key>,
        error: &(dyn std::error::Error + Sync),
    ) -> Result<Duration, Error> {
        let told = chain(error);
        tracing::error!(
            module = self.link.names.module,
            error = told,
            "the hand-over is parked"
        );
        let next = Follow {
            phase: Phase::Parked,
            parked: Some(Parked {
                table,
                key,
                error: told,
            }),
            ..before.clone()
        };
        self.apply(before, next, Vec::new()).await?;
        Ok(REST)
    }
}

impl Ahead {
    /// Whether this is the chunk that comes next, read while the cursor was what it is.
    fn is(&self, follow: &Follow, table: &str) -> bool {
        self.cursor == follow.cursor && self.table == table && self.after == follow.copy_key
    }
}

/// The follower's row once a page is applied.
fn after_page(before: &Follow, answer: &Changes) -> Follow {
    let phase = match before.phase {
        // The question was asked after the last chunk had been written.
        Phase::CatchingUp if !answer.more => Phase::Following,
        phase => phase,
    };
    let reached = if phase == Phase::Following && !answer.more {
        answer.reached
    } else {
        before.reached
    };
    Follow {
        cursor: answer.cursor.clone(),
        phase,
        reached,
        ..before.clone()
    }
}

/// Whether rows contradicted each other, or the schema.
fn is_misfit(error: &Error) -> bool {
    let Error::Database(db::Error::Query(Diesel::DatabaseError(kind, info))) = error else {
        // A row that a store would not even begin to write has not the form of its table's.
        return matches!(
            error,
            Error::Malformed(_) | Error::Database(db::Error::Query(Diesel::SerializationError(_)))
        );
    };
    // A trigger's own error has no kind; neither has a statement that took too long, which may do better next time.
    let passes = ["timeout", "canceling", "terminating", "locked"]
        .iter()
        .any(|word| info.message().contains(word));
    !passes
        && matches!(
            kind,
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::Unknown
        )
}

/// An error with all its causes.
fn chain(error: &(dyn std::error::Error + Sync)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
