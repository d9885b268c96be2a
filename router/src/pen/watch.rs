//! Asks both sides of each module that is handed over for their status, again and again.
//!
//! For [`super::Pen`], and for the positions that reads rest on. Each side is asked by itself, so that one which is down or slow keeps no
//! news of the other back; it is asked less often the longer it is down. A refusal, an operator or a request that waits for news
//! makes both be asked at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use handover::client::Side;
use handover::wire::Status;
use tokio::task::JoinHandle;

use super::Pen;
use crate::config::Owner;
use crate::events::{About, Kind};
use crate::operations::beside;
use crate::position::Position;
use crate::snapshot::Snapshot;
use crate::state::State;

/// How often a side is asked.
const EVERY: Duration = Duration::from_millis(250);
/// How often while the pen moves, and at the most.
const CLOSELY: Duration = Duration::from_millis(10);
/// How long a side may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a side that keeps giving no answer is left alone, at the most.
const LONGEST_REST: Duration = Duration::from_secs(4);

/// Follows the modules of the config, whichever is being served.
pub async fn follow(state: Arc<State>, file: PathBuf) {
    let mut watched: HashMap<String, Watched> = HashMap::new();
    loop {
        let snapshot = state.snapshot();
        let pens: Vec<Arc<Pen>> = snapshot.pens().cloned().collect();
        watched.retain(|_, watched| pens.iter().any(|known| Arc::ptr_eq(known, &watched.pen)));
        for pen in pens {
            watched
                .entry(pen.module.clone())
                .or_insert_with(|| Watched::begin(pen, &state, &file));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// A module that is being watched, until this is dropped.
struct Watched {
    pen: Arc<Pen>,
    tasks: [JoinHandle<()>; 3],
}

impl Watched {
    fn begin(pen: Arc<Pen>, state: &Arc<State>, file: &Path) -> Self {
        let watch = |owner| tokio::spawn(watch(Arc::clone(&pen), owner, Arc::clone(state), file.to_owned()));
        let time_keeper = Arc::clone(&pen);
        let tasks = [
            watch(Owner::Monolith),
            watch(Owner::Service),
            tokio::spawn(async move { time_keeper.keep_time().await }),
        ];
        Self { pen, tasks }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Asks one side for its pen until the task is ended.
async fn watch(pen: Arc<Pen>, owner: Owner, state: Arc<State>, file: PathBuf) {
    let mut wish = pen.wish_to_look();
    let (mut side, mut rest) = (None, EVERY);
    loop {
        // Asked for before the question: what is said of a time before a refusal does not undo it.
        let refusals = pen.refusals();
        side = side.or_else(|| open(&pen, owner, &file));
        let status = match &side {
            Some(side) => ask(side).await,
            None => None,
        };
        rest = match &status {
            Some(status) => {
                raise(&state.snapshot(), &pen, owner, status);
                EVERY
            }
            None => (rest * 2).min(LONGEST_REST),
        };
        let is_there = status.is_some();
        if let Some(holder) = pen.note(owner, status, refusals) {
            tell(&state, &pen, holder);
        }
        tokio::time::sleep(CLOSELY).await;
        if !(is_there && pen.is_held()) {
            // Whether it was wished for or is time again: the side is asked.
            let _wish = tokio::time::timeout(rest, wish.changed()).await;
        }
    }
}

/// The client of a side, once the token can be read.
fn open(pen: &Pen, owner: Owner, file: &Path) -> Option<Side> {
    let token = std::fs::read_to_string(beside(file, &pen.settings.token_file)).ok()?;
    let url = match owner {
        Owner::Monolith => &pen.settings.monolith,
        Owner::Service => &pen.settings.service,
    };
    Side::new(owner.word(), url, &pen.module, token.trim()).ok()
}

async fn ask(side: &Side) -> Option<Status> {
    tokio::time::timeout(PATIENCE, side.status()).await.ok()?.ok()
}

/// What a side has reached, for reads that must see their client's writes.
fn raise(snapshot: &Snapshot, pen: &Pen, owner: Owner, status: &Status) {
    let reached = status.follow.as_ref().and_then(|follow| follow.reached);
    let Some(position) = reached.and_then(|reached| Position::parse(&reached.to_string())) else {
        return;
    };
    let modules = snapshot.config.modules.iter().enumerate();
    for (index, module) in modules.filter(|(_, module)| module.name == pen.module) {
        let upstream = match owner {
            Owner::Monolith => Some(snapshot.monolith),
            Owner::Service => module.service,
        };
        if let Some(upstream) = upstream {
            snapshot.reached(index, upstream).raise(position);
        }
    }
}

fn tell(state: &State, pen: &Pen, holder: Owner) {
    let (side, epoch) = (holder.word(), pen.epoch());
    tracing::info!(module = pen.module, side, epoch, "the pen has moved");
    let told = format!("{}: the {side} has the pen, in epoch {epoch}", pen.module);
    state.events().tell(Kind::PenMoved, About::new(told));
}
