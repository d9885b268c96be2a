//! One module's link to the other side: the gate, the rows, the peer, and the task that keeps them together.
//!
//! A process makes one for each module that it hands over, lets it [`Link::start`], and gives them all to
//! [`crate::http::serve`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chassis::db::Db;
use tokio::sync::{Notify, Semaphore, watch};

use crate::client::Side;
use crate::feed::{Keep, followers};
use crate::follow::record::{self, Follow};
use crate::follow::{self, Worker, commands};
use crate::gate::{Gate, Standing};
use crate::settings::{PeerSettings, Settings};
use crate::store::Store;
use crate::wire::{Abort, Copy, Fence, Grant, Pen, Phase, Position, Retention, Seal};
use crate::{Error, Names, pen};

/// Requests that may be held back at once.
const MAY_WAIT: usize = 16;

/// One module's link.
#[derive(Debug)]
pub struct Link {
    pub(crate) side: String,
    pub(crate) db: Db,
    pub(crate) names: Arc<Names>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) peer: Side,
    pub(crate) keep: Keep,
    pub(crate) copy_rows_per_s: u32,
    pub(crate) changed: Arc<Notify>,
    pub(crate) standing: watch::Sender<Standing>,
    /// Wakes the task.
    pub(crate) wake: Notify,
    pub(crate) may_wait: Semaphore,
    /// Held by a repair from its question to its write, and by the feed for a page's write. What is asked is thrown away if the cursor has
    /// moved meanwhile, and beside writers that never rest a feed of small pages would always be the quicker one.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// What followers have said since it was last kept.
    acknowledged: Mutex<HashMap<String, String>>,
    /// When the question was asked whose answer brought this side to the end of the feed that it follows; everything that the holder had
    /// by then is here.
    as_of: watch::Sender<Option<Instant>>,
    /// When that answer came.
    at_end: Mutex<Option<Instant>>,
}

impl Link {
    /// Puts a link together. The module's gate, its rows, and who is at the other end; the token is the one that both sides and
    /// the coordinator show.
    pub fn new(
        gate: &Gate,
        store: Arc<dyn Store>,
        settings: &Settings,
        peer: &PeerSettings,
        token: &str,
    ) -> reqwest::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            side: settings.side.clone(),
            db: gate.db.clone(),
            names: Arc::clone(&gate.names),
            store,
            peer: Side::new(&peer.peer, &peer.url, gate.names.module, token)?,
            keep: Keep {
                days: settings.keep_days,
                changes: settings.keep_changes,
            },
            copy_rows_per_s: settings.copy_rows_per_s,
            changed: Arc::clone(&gate.changed),
            standing: gate.standing.clone(),
            wake: Notify::new(),
            may_wait: Semaphore::new(MAY_WAIT),
            turn: tokio::sync::Mutex::default(),
            acknowledged: Mutex::default(),
            as_of: watch::Sender::default(),
            at_end: Mutex::default(),
        }))
    }

    /// Installs the pen if there is none (the monolith, which is `first`, holds it), and begins to look after it until the process
    /// ends.
    pub async fn start(self: &Arc<Self>, first: &str) -> Result<(), Error> {
        let (names, side, first) = (Arc::clone(&self.names), self.side.clone(), first.to_owned());
        self.db
            .write(move |conn| pen::install(conn, &names, &side, &first))
            .await?;
        // Before the process answers anybody: it may have died in the middle of a copy.
        self.publish(self.both().await?.1.as_ref());
        tokio::spawn(Worker::new(Arc::clone(self)).run());
        Ok(())
    }

    /// The pen and the follower's row, in one state.
    pub(crate) async fn both(&self) -> Result<(Pen, Option<Follow>), Error> {
        let names = Arc::clone(&self.names);
        let read = move |conn: &mut _| {
            crate::feed::in_one_state(conn, |conn| {
                Ok((
                    pen::read(conn, &names)?.ok_or(Error::Module)?,
                    record::read(conn, &names)?,
                ))
            })
        };
        self.db.read(read).await
    }

    pub(crate) async fn fence(&self, command: Fence) -> Result<Pen, Error> {
        let (names, store, asked) = (Arc::clone(&self.names), Arc::clone(&self.store), Instant::now());
        let work = move |conn: &mut _| pen::fence(conn, &names, &*store, &command, asked);
        let pen = self.db.write(work).await;
        self.moved(pen)
    }

    pub(crate) async fn grant(&self, command: Grant) -> Result<Pen, Error> {
        let (names, peer) = (Arc::clone(&self.names), self.peer.name().to_owned());
        let pen = self
            .db
            .write(move |conn| pen::grant(conn, &names, &peer, &command))
            .await;
        self.moved(pen)
    }

    pub(crate) async fn abort(&self, command: Abort) -> Result<Pen, Error> {
        let names = Arc::clone(&self.names);
        let pen = self
            .db
            .write(move |conn| pen::abort(conn, &names, &command))
            .await;
        self.moved(pen)
    }

    pub(crate) async fn accept(&self, receipt: Pen) -> Result<Pen, Error> {
        let (names, store) = (Arc::clone(&self.names), Arc::clone(&self.store));
        let peer = self.peer.name().to_owned();
        let pen = self
            .db
            .write(move |conn| pen::accept(conn, &names, &*store, &peer, &receipt))
            .await;
        if pen.is_ok() {
            self.standing.send_replace(Standing::default());
        }
        self.moved(pen)
    }

    pub(crate) async fn turn(&self, receipt: Pen) -> Result<Pen, Error> {
        let names = Arc::clone(&self.names);
        let pen = self.db.write(move |conn| pen::turn(conn, &names, &receipt)).await;
        self.moved(pen)
    }

    pub(crate) async fn copy(&self, command: Copy) -> Result<Pen, Error> {
        let (pen, follow) = self.both().await?;
        if !pen.is_here() && (command.again || follow.is_none()) {
            // Those who read are told first: with the commit the rows may be gone. If this side takes the pen before that, the
            // command is refused and what is told here is taken back below.
            self.standing.send_replace(Standing {
                phase: Some(Phase::Copying),
                reached: None,
            });
        }
        let (names, store) = (Arc::clone(&self.names), Arc::clone(&self.store));
        let pen = self
            .db
            .write(move |conn| commands::copy(conn, &names, &*store, &command))
            .await;
        self.publish(self.both().await?.1.as_ref());
        self.moved(pen)
    }

    /// Lets the handlers know what this side can answer.
    pub(crate) fn publish(&self, follow: Option<&Follow>) {
        let standing = follow
            .map(|follow| Standing {
                phase: Some(follow.phase),
                reached: follow.reached,
            })
            .unwrap_or_default();
        self.standing.send_if_modified(|known| {
            let differs = *known != standing;
            *known = standing;
            differs
        });
    }

    pub(crate) async fn seal(&self, command: Seal) -> Result<Pen, Error> {
        let pen = follow::seal(self, command).await;
        self.moved(pen)
    }

    pub(crate) async fn retention(&self, command: Retention) -> Result<Pen, Error> {
        let names = Arc::clone(&self.names);
        let pen = self
            .db
            .write(move |conn| commands::retention(conn, &names, &command))
            .await;
        self.moved(pen)
    }

    /// Tries what following needs: writing rows, and reaching the other side. Nothing is kept of the attempt.
    pub(crate) async fn rehearse(&self) -> Result<Pen, Error> {
        self.peer
            .status()
            .await
            .map_err(|error| Error::NotReady(format!("this side cannot follow: {error}")))?;
        let (names, store) = (Arc::clone(&self.names), Arc::clone(&self.store));
        let attempt = move |conn: &mut _| {
            commands::rehearse(conn, &names, &*store)?;
            Err::<(), _>(Error::TakenBack)
        };
        match self.db.write(attempt).await {
            Ok(()) | Err(Error::TakenBack) => Ok(self.both().await?.0),
            Err(error) => Err(error),
        }
    }

    /// Lets everybody who waits look again: the pen has moved, or it could have.
    fn moved(&self, pen: Result<Pen, Error>) -> Result<Pen, Error> {
        self.changed.notify_waiters();
        self.wake.notify_one();
        pen
    }

    /// Notes what a follower has said. It is kept in the database by and by: an older one only keeps more.
    pub(crate) fn acknowledge(&self, follower: &str, cursor: &str) {
        let mut said = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        said.insert(follower.to_owned(), cursor.to_owned());
    }

    pub(crate) async fn keep_acknowledgements(&self) -> Result<(), Error> {
        let said = std::mem::take(&mut *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner));
        if said.is_empty() {
            return Ok(());
        }
        let names = Arc::clone(&self.names);
        let keep = move |conn: &mut _| {
            said.iter()
                .try_for_each(|(side, cursor)| followers::acknowledge(conn, &names, side, cursor))
        };
        self.db.write(keep).await
    }

    /// Notes that this side is at the end of the feed that it follows, as that was when it asked.
    pub(crate) fn seen_end(&self, asked: Instant) {
        *self.at_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.as_of.send_replace(Some(asked));
    }

    /// How long ago that was.
    pub(crate) fn lag(&self) -> Option<Duration> {
        self.at_end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map(|at| at.elapsed())
    }

    /// Waits until this side has asked its source once more and applied all of the answer, or the time is over. Says which.
    pub(crate) async fn refresh(&self, wait: Duration) -> bool {
        let now = Instant::now();
        let mut as_of = self.as_of.subscribe();
        self.wake.notify_one();
        let later = as_of.wait_for(|at| at.is_some_and(|at| at >= now));
        matches!(tokio::time::timeout(wait, later).await, Ok(Ok(_)))
    }

    /// Waits until this side has reached a position as a follower, or the time is over.
    pub(crate) async fn wait_for(&self, position: Position, wait: Duration) {
        let mut standing = self.standing.subscribe();
        let reached = standing.wait_for(|standing| standing.reached >= Some(position));
        let _ = tokio::time::timeout(wait, reached).await;
    }
}
