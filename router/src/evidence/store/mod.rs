//! Keeps evidence over restarts, and adds it up over several routers that share a PostgreSQL.
//!
//! For the router's main, which spawns [`Store::keep`], and for whoever certifies ([`Store::window`]). A run of the router
//! writes only rows of its own, under a name that no other run ever has, and each row whole, as the bucket is at that time,
//! never an older state over a newer one.
//! So nothing needs loading before something can be written, writing again changes nothing, no two runs write the same row,
//! and a run that is killed leaves what it last wrote, a few seconds before its end. What other and earlier runs know is
//! read when somebody asks.
//!
//! A database that is away or full costs nothing but evidence: the buckets stay in memory, as bounded as they always are,
//! and are written when it is back. But asking for a window fails then, since what is not known might be a mismatch.

mod row;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use chassis::db::{self, Conn, Db};
use diesel::prelude::*;

use super::Evidence;
use super::ledger::Unsaved;
use super::window::{Part, WindowTotals};
use row::{Read, Row, evidence, signed};

/// Rows in one transaction.
const BATCH: usize = 256;

/// Flushes between two deletions of what is too old.
const FORGET_EVERY: u32 = 60;

/// Why evidence could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("the evidence's database: {0}")]
    Database(#[from] db::Error),
    /// A row cannot be understood, so nothing can be certified from it or without it.
    #[error(
        "evidence of route {route} is damaged ({what}); nothing is certified from it until this row is gone: \
         DELETE FROM evidence WHERE route = '{route}' AND began_at = {began_at}"
    )]
    Damaged {
        /// The route.
        route: String,
        /// When the bucket began, in milliseconds since the Unix epoch.
        began_at: i64,
        /// What is wrong with it.
        what: String,
    },
    /// A bucket has no form as text.
    #[error("evidence cannot be written down: {0}; please report this")]
    Unwritable(String),
}

chassis::database_failure!(Error);

/// The evidence of this and other runs in a database that has the router's migrations ([`crate::records::MIGRATIONS`]).
#[derive(Debug)]
pub struct Store {
    db: Db,
    run: String,
    /// Whether the last flush failed.
    out: AtomicBool,
}

impl Store {
    /// A store for one run of the router. `instance` says which router this is, for people who look at the table.
    pub fn new(db: Db, instance: &str) -> Self {
        let run = format!("{instance}/{:016x}", rand::random::<u64>());
        let out = AtomicBool::new(false);
        Self { db, run, out }
    }

    /// Writes and tidies every few seconds, for ever; to be spawned. When the router stops, abort this and call
    /// [`Self::flush`] once more.
    pub async fn keep(&self, evidence: &Evidence, every: Duration) {
        let mut round = tokio::time::interval(every);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut rounds: u32 = 0;
        loop {
            round.tick().await;
            self.tell(self.flush(evidence).await.map(|_| ()));
            if rounds.is_multiple_of(FORGET_EVERY) && !self.out.load(Ordering::Relaxed) {
                self.tell(self.forget(evidence, SystemTime::now()).await.map(|_| ()));
            }
            evidence.tidy(SystemTime::now());
            rounds = rounds.wrapping_add(1);
        }
    }

    /// Writes the buckets that changed since the last time, and gives their number. Those that a failure keeps from being
    /// written are written the next time.
    pub async fn flush(&self, evidence: &Evidence) -> Result<usize, Error> {
        let (mut written, mut batch) = (0, Vec::new());
        for route in evidence.routes() {
            let unsaved = evidence.unsaved(&route).into_iter();
            batch.extend(unsaved.map(|bucket| (route.clone(), bucket)));
            if batch.len() >= BATCH {
                written += self.write(evidence, &batch).await?;
                batch.clear();
            }
        }
        written += self.write(evidence, &batch).await?;
        Ok(written)
    }

    /// The sum of what all runs know of a route's subject, nothing from before `from`; this run's from memory, the others'
    /// from the database. Fails if they cannot be read: evidence that may be missing certifies nothing.
    pub async fn window(
        &self,
        evidence: &Evidence,
        (route, subject): (&str, &str),
        from: SystemTime,
        now: SystemTime,
    ) -> Result<WindowTotals, Error> {
        let mut parts = self.others(evidence, route, subject, now).await?;
        parts.extend(evidence.parts(route, subject, now));
        Ok(WindowTotals::sum(&parts, from))
    }

    /// Deletes what is too old, whoever wrote it, and gives the number of rows.
    pub async fn forget(&self, evidence: &Evidence, now: SystemTime) -> Result<usize, Error> {
        let oldest = signed(evidence.span().oldest(now));
        let forget = move |conn: &mut Conn| {
            let old = evidence::table.filter(evidence::began_at.lt(oldest));
            Ok(diesel::delete(old).execute(conn)?)
        };
        self.db.write(forget).await
    }

    /// The buckets of all other runs that are within the window.
    async fn others(
        &self,
        evidence: &Evidence,
        route: &str,
        subject: &str,
        now: SystemTime,
    ) -> Result<Vec<Part>, Error> {
        let oldest = signed(evidence.span().oldest(now));
        let (run, route, subject) = (self.run.clone(), route.to_owned(), subject.to_owned());
        let read = move |conn: &mut Conn| {
            let rows: Vec<Read> = evidence::table
                .filter(evidence::route.eq(&route))
                .filter(evidence::subject.eq(&subject))
                .filter(evidence::began_at.ge(oldest))
                .filter(evidence::run.ne(&run))
                .select(Read::as_select())
                .load(conn)?;
            rows.into_iter().map(|row| row.into_part(&route)).collect()
        };
        self.db.read(read).await
    }

    async fn write(&self, evidence: &Evidence, batch: &[(String, Unsaved)]) -> Result<usize, Error> {
        let rows = batch
            .iter()
            .map(|(route, bucket)| Row::new(&self.run, route, bucket));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            return Ok(0);
        }
        let write = move |conn: &mut Conn| {
            rows.iter().try_for_each(|row| upsert(conn, row))?;
            Ok::<_, Error>(())
        };
        self.db.write(write).await?;
        batch
            .iter()
            .for_each(|(route, bucket)| evidence.saved(route, bucket));
        Ok(batch.len())
    }

    /// Logs the first failure of an outage and its end. Each round would say the same in between.
    fn tell(&self, result: Result<(), Error>) {
        let failed = result.is_err();
        let was_out = self.out.swap(failed, Ordering::Relaxed);
        match result {
            Err(error) if !was_out => tracing::error!(
                %error,
                "evidence is not being kept; the router goes on without, and nothing is certified meanwhile"
            ),
            Ok(()) if was_out => tracing::info!("evidence is being kept again"),
            _ => {}
        }
    }
}

fn upsert(conn: &mut Conn, row: &Row) -> Result<(), Error> {
    use diesel::query_dsl::methods::FilterDsl as _;
    use evidence::dsl::{began_at, monolith_build, revision, route, run, service_build, subject};
    macro_rules! upsert {
        ($conn:expr) => {
            diesel::insert_into(evidence::table)
                .values(row)
                .on_conflict((route, subject, began_at, monolith_build, service_build, run))
                .do_update()
                .set(row)
                .filter(revision.lt(row.revision))
                .execute($conn)?
        };
    }
    // An older state never replaces a newer one, even if a flush that was given up comes late.
    // ON CONFLICT is one of the things that diesel has for each database but not for both.
    match conn {
        Conn::Sqlite(conn) => upsert!(conn),
        Conn::Postgres(conn) => upsert!(conn),
    };
    Ok(())
}
