//! One load at a time per database. Both kinds of lock end with the process that holds them, however it ends.

use std::fs::File;
use std::time::Duration;

use chassis::db::{self, Conn, Db, Target};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::Error;
use crate::config::Settings;

/// The key of the PostgreSQL advisory lock.
const KEY: i64 = 0x0063_6174_616c_6f67;
/// How often a lock that another load holds is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Held as long as it lives.
pub(super) enum Lock {
    /// A lock on a file beside the SQLite database; SQLite's own locks end with each transaction.
    File { _file: File },
    /// An advisory lock on a session of its own, for one from the pool could be given to other work.
    Session {
        conn: Box<dyn std::ops::DerefMut<Target = Conn>>,
    },
}

#[derive(QueryableByName)]
struct Got {
    #[diesel(sql_type = Bool)]
    got: bool,
}

impl Lock {
    /// Waits until no other load runs, then holds the lock.
    pub(super) async fn take(settings: &Settings) -> Result<Self, Error> {
        let db = Db::open(settings.database.reveal(), &settings.pool)?;
        match db.target() {
            Target::Sqlite(path) => {
                let mut name = path.as_os_str().to_owned();
                name.push(".load-lock");
                let file = File::create(name).map_err(Error::Lock)?;
                wait(|| match file.try_lock() {
                    Ok(()) => Ok(true),
                    Err(std::fs::TryLockError::WouldBlock) => Ok(false),
                    Err(std::fs::TryLockError::Error(error)) => Err(Error::Lock(error)),
                })
                .await?;
                Ok(Self::File { _file: file })
            }
            Target::Postgres(_) => {
                let mut conn = Box::new(db.connect()?);
                wait(|| {
                    let Got { got } = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS got")
                        .bind::<BigInt, _>(KEY)
                        .get_result(&mut **conn)
                        .map_err(db::Error::from)?;
                    Ok(got)
                })
                .await?;
                Ok(Self::Session { conn })
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Self::Session { conn } = self {
            // Should this fail, the session ends with the process, and the lock with it.
            let _ = conn.batch_execute(&format!("SELECT pg_advisory_unlock({KEY})"));
        }
    }
}

async fn wait(mut attempt: impl FnMut() -> Result<bool, Error>) -> Result<(), Error> {
    let mut told = false;
    while !attempt()? {
        if !told {
            tracing::info!("another load is running; waiting for it to end");
            told = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}
