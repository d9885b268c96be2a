//! One database interface over SQLite and PostgreSQL.
//!
//! Diesel is synchronous, so work runs on blocking threads; a semaphore in front keeps their number at the size of
//! the pool and serves waiters in order. On SQLite there is one writer: write work queues for one connection and
//! begins IMMEDIATE, because a transaction that reads first and writes later fails there when another got in between.
//! On PostgreSQL write transactions are READ COMMITTED; stores that read and then write use conditional updates or
//! row locks, and work that the server stops for a deadlock or a serialization failure is run again.

mod conn;
mod error;
mod migrate;
mod pool;
mod target;

use std::sync::Arc;
use std::time::Duration;

use diesel::Connection;
use diesel::r2d2::Pool;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tracing::Span;

pub use conn::Conn;
pub use error::{Error, Failure};
pub use migrate::Migrations;
pub use target::Target;

use pool::Manager;

/// How a process uses its database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolSettings {
    /// Connections at the most.
    pub size: u32,
    /// Milliseconds a request may wait for a connection before it is answered with 503.
    pub acquire_timeout_ms: u64,
    /// Milliseconds one statement may run (PostgreSQL), or wait for a lock (both).
    pub statement_timeout_ms: u64,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            size: 8,
            acquire_timeout_ms: 10_000,
            statement_timeout_ms: 10_000,
        }
    }
}

/// How often write work is run again after a deadlock or a serialization failure.
const RERUNS: u32 = 5;
/// A database server that was away is found within this time.
const RETRY_AT_LEAST_EVERY: Duration = Duration::from_millis(500);

/// A handle to the database of this process; cheap to clone.
#[derive(Clone)]
pub struct Db {
    readers: Lane,
    writers: Lane,
    target: Target,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// A pool, and the queue in front of it.
#[derive(Clone)]
struct Lane {
    pool: Pool<Manager>,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Db {
    /// Opens the database that `url` names. Nothing is created but the file of an SQLite database.
    pub fn open(url: &str, settings: &PoolSettings) -> Result<Self, Error> {
        let target = Target::parse(url)?;
        let readers = Lane::open(&target, settings, settings.size)?;
        let writers = match target {
            Target::Sqlite(_) => Lane::open(&target, settings, 1)?,
            Target::Postgres(_) => readers.clone(),
        };
        Ok(Self {
            readers,
            writers,
            target,
        })
    }

    /// Which database this is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Runs work that only reads.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        self.readers.run(work).await
    }

    /// Runs work in a write transaction: it takes effect whole when it returns `Ok`, and not at all otherwise.
    /// The work may run more than once, so it must do nothing outside the database.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
        F: Fn(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        self.writers.run(move |conn| transact(conn, work)).await
    }

    /// Takes a connection for a command-line job that runs without a server around it.
    pub fn connect(&self) -> Result<impl std::ops::DerefMut<Target = Conn> + use<>, Error> {
        self.writers
            .pool
            .get_timeout(self.writers.patience)
            .map_err(|_| Error::Busy)
    }
}

impl Lane {
    fn open(target: &Target, settings: &PoolSettings, size: u32) -> Result<Self, Error> {
        let patience = Duration::from_millis(settings.acquire_timeout_ms);
        let pool = Pool::builder()
            .max_size(size.max(1))
            .min_idle(Some(0))
            // Half of it is the longest pause before a server that was away is tried again; it doubles up to there.
            .connection_timeout(2 * RETRY_AT_LEAST_EVERY)
            .error_handler(Box::new(pool::Quiet))
            .build_unchecked(Manager::new(target.clone(), settings.statement_timeout_ms));
        Ok(Self {
            pool,
            places: Arc::new(Semaphore::new(size.max(1) as usize)),
            patience,
        })
    }

    async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let place = tokio::time::timeout(self.patience, Arc::clone(&self.places).acquire_owned());
        let place = place.await.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)?;
        let (pool, patience, span) = (self.pool.clone(), self.patience, Span::current());
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let _entered = span.entered();
            let mut conn = pool.get_timeout(patience).map_err(|_| Error::Busy)?;
            work(&mut conn)
        })
        .await
        .map_err(|_| Error::Interrupted)?
    }
}

/// Runs `work` in a write transaction on a connection that is already at hand.
pub fn transact<T, E, F>(conn: &mut Conn, work: F) -> Result<T, E>
where
    E: Failure,
    F: Fn(&mut Conn) -> Result<T, E>,
{
    let mut runs = 0;
    loop {
        let result = begin(conn, &work);
        runs += 1;
        match result {
            Err(error) if runs <= RERUNS && error.database().is_some_and(Error::is_contention) => {
                tracing::debug!(runs, "transaction is run again after contention");
                // Losers that start again at once would only meet each other again.
                std::thread::sleep(Duration::from_millis(rand::random_range(1..10 * u64::from(runs))));
            }
            result => return result,
        }
    }
}

fn begin<T, E, F>(conn: &mut Conn, work: &F) -> Result<T, E>
where
    E: Failure,
    F: Fn(&mut Conn) -> Result<T, E>,
{
    if matches!(conn, Conn::Postgres(_)) {
        return conn.transaction(|conn| work(conn));
    }
    // Diesel's immediate_transaction lends the bare connection, but the work wants the enum: so by hand.
    use diesel::connection::SimpleConnection;
    conn.batch_execute("BEGIN IMMEDIATE")?;
    match work(conn) {
        Ok(value) => match conn.batch_execute("COMMIT") {
            Ok(()) => Ok(value),
            Err(error) => {
                let _ = conn.batch_execute("ROLLBACK");
                Err(error.into())
            }
        },
        Err(error) => {
            conn.batch_execute("ROLLBACK")?;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
