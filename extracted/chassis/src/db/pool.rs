//! Makes connections for the pool, each set up as the house wants it.

use diesel::connection::SimpleConnection;
use diesel::r2d2::{self, R2D2Connection};
use diesel::{Connection, ConnectionError, PgConnection, SqliteConnection};

use super::{Conn, Target};

/// What r2d2 asks for connections.
pub(super) struct Manager {
    target: Target,
    statement_timeout_ms: u64,
}

impl Manager {
    pub(super) fn new(target: Target, statement_timeout_ms: u64) -> Self {
        Self {
            target,
            statement_timeout_ms,
        }
    }

    fn sqlite(&self, path: &str) -> Result<SqliteConnection, r2d2::Error> {
        let mut conn = SqliteConnection::establish(path).map_err(r2d2::Error::ConnectionError)?;
        // busy_timeout first: switching to WAL itself needs a lock. FULL keeps acknowledged writes through power loss.
        conn.batch_execute(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
            self.statement_timeout_ms
        ))
        .map_err(r2d2::Error::QueryError)?;
        Ok(conn)
    }

    fn postgres(&self, url: &str) -> Result<PgConnection, r2d2::Error> {
        let mut conn = PgConnection::establish(url).map_err(r2d2::Error::ConnectionError)?;
        conn.batch_execute(&format!(
            "SET statement_timeout = {0}; SET lock_timeout = {0}; SET idle_in_transaction_session_timeout = {1}; \
             SET TIME ZONE 'UTC';",
            self.statement_timeout_ms,
            self.statement_timeout_ms * 6
        ))
        .map_err(r2d2::Error::QueryError)?;
        Ok(conn)
    }
}

impl diesel::r2d2::ManageConnection for Manager {
    type Connection = Conn;
    type Error = r2d2::Error;

    fn connect(&self) -> Result<Conn, r2d2::Error> {
        match &self.target {
            Target::Sqlite(path) => {
                let path = path.to_str().ok_or_else(|| {
                    r2d2::Error::ConnectionError(ConnectionError::BadConnection("path is not UTF-8".into()))
                })?;
                Ok(Conn::Sqlite(self.sqlite(path)?))
            }
            Target::Postgres(url) => Ok(Conn::Postgres(self.postgres(url.reveal())?)),
        }
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), r2d2::Error> {
        match conn {
            // A file does not go away between two requests; asking costs more than the query that follows.
            Conn::Sqlite(_) => Ok(()),
            Conn::Postgres(conn) => conn.ping().map_err(r2d2::Error::QueryError),
        }
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        std::thread::panicking()
            || match conn {
                Conn::Sqlite(conn) => conn.is_broken(),
                Conn::Postgres(conn) => conn.is_broken(),
            }
    }
}

/// Logs failed attempts to connect as warnings; the request that waited gets the 503.
#[derive(Debug)]
pub(super) struct Quiet;

impl diesel::r2d2::HandleError<r2d2::Error> for Quiet {
    fn handle_error(&self, error: r2d2::Error) {
        tracing::warn!(%error, "cannot connect to the database");
    }
}
