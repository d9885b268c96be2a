//! What the log knows of the file at its own place: what was begun and has no end, and what the file should be.
//!
//! For [`crate::switch::recover`], which asks at a start, and for [`crate::switch::late`], which asks whether an edit by
//! hand was one.

use std::collections::BTreeMap;

use super::ledger::{Error, Ledger};
use super::{Outcome, store};

/// Open intents that are resolved at a start; each crash leaves one.
const OPEN: i64 = 1000;

/// A switch that was begun by this router and of which the log knows no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The intent's id.
    pub id: i64,
    /// SHA-256 of the file before, in hex.
    pub hash_before: String,
    /// SHA-256 that the file was to have after.
    pub hash_after: String,
    /// SHA-256 of the file as the next entry of the same place found it, if there is one.
    pub found_next: Option<String>,
}

impl Ledger {
    /// What was begun here and has no end, oldest first. [`crate::switch::recover`] finds out how each ended.
    pub async fn open(&self) -> Result<Vec<Open>, Error> {
        let place = self.place().to_owned();
        let found = self.db.read(move |conn| -> Result<_, Error> {
            let mut found = Vec::new();
            for row in store::open(conn, &place, OPEN)? {
                found.push(Open {
                    id: row.id,
                    found_next: store::next(conn, &place, row.id)?.map(|next| next.hash_before),
                    hash_before: row.hash_before,
                    hash_after: row.hash_after,
                });
            }
            Ok(found)
        });
        found.await
    }

    /// The hash (SHA-256, hex) that this place's file has, as far as the log knows; absent if it does not.
    pub async fn last_file(&self) -> Result<Option<String>, Error> {
        let place = self.place().to_owned();
        let last = self.db.read(move |conn| -> Result<_, Error> {
            let Some(row) = store::newest(conn, &place)? else {
                return Ok(None);
            };
            let end = match row.outcome.clone() {
                Some(words) => Some(words),
                None => store::outcome_of(conn, row.id)?.and_then(|end| end.outcome),
            };
            Ok(match end.as_deref().map(Outcome::of_words) {
                Some(Outcome::Done | Outcome::RecoveredDone) => Some(row.hash_after),
                Some(Outcome::NotDone | Outcome::RecoveredNotDone) => Some(row.hash_before),
                Some(Outcome::RecoveredUnclear) | None => None,
            })
        });
        last.await
    }

    /// The mode that each route was last put into here, by route, as far as the log knows.
    pub async fn last_modes(&self) -> Result<BTreeMap<String, String>, Error> {
        let place = self.place().to_owned();
        let modes = self
            .db
            .read(move |conn| -> Result<_, Error> { Ok(store::last_modes(conn, &place)?) });
        Ok(modes.await?.into_iter().collect())
    }

    /// Whether the newest entry of this place says that the file is, or is about to be, the one with this hash.
    pub async fn knows(&self, hash: &str) -> Result<bool, Error> {
        let (place, hash) = (self.place().to_owned(), hash.to_owned());
        let known = self.db.read(move |conn| -> Result<_, Error> {
            let Some(row) = store::newest(conn, &place)?.filter(|row| row.hash_after == hash) else {
                return Ok(false);
            };
            let end = store::outcome_of(conn, row.id)?.and_then(|end| end.outcome);
            let not_done = [Outcome::NotDone, Outcome::RecoveredNotDone];
            Ok(!end.is_some_and(|words| not_done.contains(&Outcome::of_words(&words))))
        });
        known.await
    }
}
