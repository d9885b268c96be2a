//! The feed, page by page: what changed at the holder is made so here, and the cursor with it.
//!
//! For [`super::worker`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::apply;
use super::parking::{TRIES, is_misfit};
use super::record::Follow;
use super::worker::{SHORT_REST, Worker};
use crate::row::Key;
use crate::wire::{Change, Changes, Pen, Phase, State};
use crate::{Error, feed};

/// Changes in a page.
const AT_ONCE: usize = 1000;
/// How long the source may hold back an answer with nothing in it.
const LONG_POLL: Duration = Duration::from_secs(2);
/// Pages that are applied in one transaction at the most, when one alone does not fit.
const PAGES_TOGETHER: usize = 50;

impl Worker {
    /// Reads a page of the feed and applies it.
    pub(super) async fn follow(&mut self, before: Follow) -> Result<Duration, Error> {
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
                // A link that is being sealed looks like this for a moment.
                if std::mem::replace(&mut self.was_refused, true) {
                    return self.park(before, None, None, &error).await;
                }
                return Ok(SHORT_REST);
            }
            // The pen is on its way here, or back; the next look at the row says which.
            Err(error) if error.is("not-the-holder") => return Ok(SHORT_REST),
            Err(error) => return Err(error.into()),
        };
        self.was_refused = false;
        let (receipt, more) = (answer.pen.clone(), answer.more);
        let next = after_page(&before, &answer);
        if next == before && answer.changes.is_empty() {
            self.link.seen_end(asked);
        } else {
            let changes = self.covered(&before, answer.changes.clone());
            match self.apply(before.clone(), next, changes).await {
                Ok(true) => self.misfits = 0,
                // The row or the pen has moved since the question: the next look at them says where to.
                Ok(false) => return Ok(Duration::ZERO),
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
    pub(super) async fn accept(&self, receipt: Pen) -> Result<Duration, Error> {
        match self.link.accept(receipt).await {
            Ok(_) => Ok(Duration::ZERO),
            Err(Error::Proof(_) | Error::Lost(..)) => Ok(SHORT_REST),
            Err(error) => Err(error),
        }
    }

    /// While a copy is under way, only what it has come to: the rest is read later, in a later state.
    pub(super) fn covered(&self, before: &Follow, changes: Vec<Change>) -> Vec<Change> {
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
                .intake()
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

    pub(super) async fn apply(
        &self,
        before: Follow,
        next: Follow,
        changes: Vec<Change>,
    ) -> Result<bool, Error> {
        let (names, store) = (Arc::clone(&self.link.names), Arc::clone(&self.link.store));
        let published = next.clone();
        let work = move |conn: &mut _| {
            apply::as_follower(conn, &names, &before, &next, |conn| {
                apply::changes(conn, &*store, &changes)
            })
        };
        let _turn = self.link.turn.lock().await;
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
            // This cursor is not committed, so it must not be taken for an acknowledgement.
            let answer = self.link.peer.peek(&next, AT_ONCE).await?;
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
