//! What the next start does about switches of which the log knows no end.
//!
//! For [`super::perform`]. A router may be killed at any point of a switch; the steps are in such an order that the log
//! and the file together always tell what became of it:
//!
//! | killed after | the log has | the file is | the next start appends |
//! |---|---|---|---|
//! | nothing | nothing | old | nothing: nothing was begun |
//! | the intent | an intent | old (with a leftover beside it, maybe) | `recovered: not done` |
//! | the rename | an intent | new | `recovered: done` |
//! | the rename, then somebody edited the file | an intent | neither | `recovered: unclear` |
//! | the outcome | intent and outcome | new | nothing |
//! | the recovery's own outcome | intent and outcome | as it was | nothing: an intent can have one outcome only |
//!
//! So a switch is in one of four states: *none* → *begun* (an intent) → *replaced* (the file) → *told* (an outcome), and
//! [`judge`] tells *begun* from *replaced* by the file's hash. What came after an open intent is a better witness than the
//! file of today, where there is any: the next entry of the same place says which file it found.
//!
//! A router that is alive is not taken for a dead one: intent, rename and outcome are one [`super::file::Turn`], and the
//! recovery takes the turn to look. Only where the database took too long for an outcome may it find one open that is
//! about to be written ([`super::late`]); then it says `recovered: done`, which is so, and the later outcome is not written.

use chassis::error::chain;

use super::audit::whereabouts::Open;
use super::audit::{Error, Outcome, Planned};
use super::file::{FileError, Turn, sha256};
use super::perform::{Course, Inner, blocking, fact};
use super::plan::SwitchError;
use crate::config::read_plain;

impl Inner {
    /// Gives every open intent of this place its end.
    pub(super) async fn recover(&self, course: &mut Course) -> Result<(), SwitchError> {
        let unrecorded = |error: Error| SwitchError::Unrecorded(chain(&error));
        let file = self.file.clone();
        // The turn is held until the open intents are known: a router that is alive cannot begin one in between.
        let (turn, found) = blocking(move || match Turn::take(&file) {
            Ok(turn) => {
                let bytes = turn.read()?;
                Ok((Some(turn), bytes))
            }
            Err(FileError::Busy { path }) => Err(FileError::Busy { path }.into()),
            // Where nobody can take a turn, nobody can be in the middle of one.
            Err(error) => Ok((None, read_plain(&file).map_err(|_| error)?)),
        })
        .await?;
        let open = self.ledger.open().await.map_err(unrecorded)?;
        drop(turn);
        let hash = sha256(&found);
        for begun in open {
            let (outcome, detail) = judge(&begun, &hash);
            tracing::warn!(
                entry = begun.id,
                "a switch without an end, {}: {detail}",
                outcome.words()
            );
            let concluded = self.ledger.conclude(begun.id, outcome, &detail).await;
            concluded.map_err(unrecorded)?;
        }
        let last = self.ledger.last_file().await.map_err(unrecorded)?;
        if last
            .as_ref()
            .is_some_and(|last| *last != course.known.hash && *last != hash)
        {
            // What was moved meanwhile is known of the routes that the log has had to do with before.
            let modes = self.ledger.last_modes().await.map_err(unrecorded)?;
            let before = course.known.in_modes(&modes);
            let planned = Planned {
                hash_before: last.unwrap_or_default(),
                ..before.reload_to(&course.known, "the file was edited while no router looked")
            };
            self.late.push(fact(planned, String::new()));
        }
        course.is_recovered = true;
        Ok(())
    }
}

/// How a switch without an end has ended; `file` is the hash (SHA-256, hex) of the file as it is now.
pub fn judge(open: &Open, file: &str) -> (Outcome, String) {
    let (found, witness) = match &open.found_next {
        Some(next) => (next.as_str(), "the next entry"),
        None => (file, "the start"),
    };
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    let detail = format!("no end was written; {witness} found the file at {}", short(found));
    if found == open.hash_after {
        (Outcome::RecoveredDone, detail)
    } else if found == open.hash_before {
        (Outcome::RecoveredNotDone, detail)
    } else {
        (Outcome::RecoveredUnclear, format!("{detail}, which is neither"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_tells_how_a_switch_without_an_end_has_ended() {
        let mut open = Open {
            id: 1,
            hash_before: "aa".to_owned(),
            hash_after: "bb".to_owned(),
            found_next: None,
        };
        assert_eq!(judge(&open, "aa").0, Outcome::RecoveredNotDone);
        assert_eq!(judge(&open, "bb").0, Outcome::RecoveredDone);
        assert_eq!(judge(&open, "cc").0, Outcome::RecoveredUnclear);
        open.found_next = Some("bb".to_owned());
        assert_eq!(judge(&open, "aa").0, Outcome::RecoveredDone);
    }
}
