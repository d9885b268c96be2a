//! The worker that gives back what reservations hold beyond their time.
//!
//! It claims nothing: each reservation is decided by a compare-and-set, so any number of processes may run it.

use std::time::Duration;

use chassis::db::Db;
use chassis::time::now;

use super::{Error, store};

/// How often it looks; what a reservation may outlive its time by.
const EVERY: Duration = Duration::from_secs(1);
/// How long it rests after a failure, so that a database that is down is not asked all the time.
const REST: Duration = Duration::from_secs(10);
/// Reservations per look.
const BATCH: i64 = 100;

/// Runs until the process ends.
pub(super) async fn run(db: Db) {
    loop {
        match expire(&db).await {
            Ok(0) => tokio::time::sleep(EVERY).await,
            Ok(count) => tracing::info!(count, "reservations expired"),
            Err(error) => {
                tracing::warn!(error = ?error, "reservations could not be expired; trying again later");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Expires one batch and says how many it were. Each has a transaction of its own: one that fails stops no other.
pub(super) async fn expire(db: &Db) -> Result<usize, Error> {
    let overdue = db
        .read(|conn| Ok::<_, Error>(store::reservations::overdue(conn, now(), BATCH)?))
        .await?;
    let mut expired = 0;
    for id in overdue {
        let decided = db
            .write(move |conn| Ok::<_, Error>(store::reservations::expire(conn, id)?))
            .await;
        match decided {
            Ok(done) => expired += usize::from(done),
            Err(error) => {
                tracing::warn!(reservation = id, error = ?error, "reservation could not be expired");
            }
        }
    }
    Ok(expired)
}
