//! What becomes of a row that cannot be written: it is named, and nothing goes on until somebody has mended the cause.
//!
//! For the copy and the feed.

use std::sync::Arc;
use std::time::Duration;

use chassis::db;
use diesel::result::{DatabaseErrorKind, Error as Diesel};

use super::apply;
use super::record::Follow;
use super::worker::{REST, Worker};
use crate::Error;
use crate::row::Key;
use crate::wire::{Change, Parked, Phase};

/// How often a chunk or a page that does not fit is tried again before it is parked.
pub(super) const TRIES: u32 = 10;

impl Worker {
    /// The first change that cannot be applied after those before it. Nothing is kept of the attempt.
    pub(super) async fn culprit(
        &self,
        before: &Follow,
        changes: Vec<Change>,
    ) -> Result<Option<Change>, Error> {
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
    pub(super) async fn park(
        &self,
        before: Follow,
        table: Option<String>,
        key: Option<Key>,
        error: &(dyn std::error::Error + Sync + 'static),
    ) -> Result<Duration, Error> {
        let told = chassis::error::chain(error);
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

/// Whether rows contradicted each other, or the schema.
pub(super) fn is_misfit(error: &Error) -> bool {
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
