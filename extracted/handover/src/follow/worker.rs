//! The task that goes on by itself on each side: it follows while the pen is elsewhere, and looks after the pen while it is here.
//!
//! Three moves of a pass are made here too, so that one whose coordinator has died does not stay half done: a fence that has
//! expired is aborted, a grant that the feed shows is accepted, and an old holder turns when its peer holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::copying::Ahead;
use super::record;
use crate::link::Link;
use crate::wire::{Abort, Pen, Phase, State};
use crate::{Error, feed, pen};

/// How often a resting side looks at its row by itself.
pub(super) const REST: Duration = Duration::from_secs(1);
/// How often a side that waits for the other looks again.
pub(super) const SHORT_REST: Duration = Duration::from_millis(200);
/// The longest pause after an error. A database or a peer that was away is back at work within ten seconds, which is promised.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// How often an old feed is pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(10);

/// The task of one module's link.
pub(crate) struct Worker {
    pub(super) link: Arc<Link>,
    /// The chunk after the one that is being written, if the copy has come that far.
    pub(super) ahead: Option<Ahead>,
    pub(super) misfits: u32,
    /// Whether the next question must not wait for news.
    pub(super) at_once: bool,
    /// Whether the source has refused the last question for good.
    pub(super) was_refused: bool,
    pruned: Instant,
    pub(super) fed: Instant,
    pub(super) copying_since: Option<(Instant, u64)>,
}

impl Worker {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        let now = Instant::now();
        Self {
            link,
            ahead: None,
            misfits: 0,
            at_once: false,
            was_refused: false,
            pruned: now,
            fed: now,
            copying_since: None,
        }
    }

    /// Goes on until the process ends.
    pub(crate) async fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            let rest = match self.round().await {
                Ok(rest) => {
                    pause = Duration::ZERO;
                    rest
                }
                Err(error) => {
                    pause = (pause * 2).clamp(Duration::from_millis(100), LONGEST_PAUSE);
                    tracing::warn!(module = self.link.names.module, error = %error, ?pause, "the hand-over goes on later");
                    pause
                }
            };
            // Whoever wakes it wants to know what there is now, and may have come while a question was under way. This sees that also
            // when there is no rest; forgotten here, it would wait as long as the next question waits for news.
            self.at_once |= tokio::time::timeout(rest, self.link.wake.notified())
                .await
                .is_ok();
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
        let (names, pen, keep) = (Arc::clone(&self.link.names), pen.clone(), self.link.keep);
        let (more, forgotten) = self
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
        if more {
            // Writers get their turn between.
            return Ok(Duration::from_millis(10));
        }
        self.pruned = Instant::now();
        Ok(REST)
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
}
