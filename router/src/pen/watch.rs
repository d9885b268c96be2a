//! Asks both sides of each module that is handed over for their status, again and again.
//!
//! For [`super::Pen`], and for the positions that reads rest on. A side that is down is asked less often; a refusal or an operator makes
//! it look at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use handover::client::Side;
use handover::wire::Status;

use super::{Pen, Seen};
use crate::config::Owner;
use crate::events::{About, Kind};
use crate::operations::beside;
use crate::position::Position;
use crate::snapshot::Snapshot;
use crate::state::State;

/// How often both sides are asked.
const EVERY: Duration = Duration::from_millis(200);
/// How often while the pen moves.
const CLOSELY: Duration = Duration::from_millis(10);
/// How long a side may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a side that gave no answer is left alone, unless the pen moves.
const REST: Duration = Duration::from_secs(1);

/// Follows the modules of the config, whichever is being served.
pub async fn follow(state: Arc<State>, file: PathBuf) {
    let mut watched: HashMap<String, (Arc<Pen>, tokio::task::JoinHandle<()>)> = HashMap::new();
    loop {
        let snapshot = state.snapshot();
        let pens: Vec<Arc<Pen>> = snapshot.pens().cloned().collect();
        watched.retain(|_, (pen, task)| {
            let stays = pens.iter().any(|known| Arc::ptr_eq(known, pen));
            if !stays {
                task.abort();
            }
            stays
        });
        for pen in pens {
            watched.entry(pen.module.clone()).or_insert_with(|| {
                let watch = watch(Arc::clone(&pen), Arc::clone(&state), file.clone());
                (pen, tokio::spawn(watch))
            });
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Asks for one module's pen until the task is ended.
async fn watch(pen: Arc<Pen>, state: Arc<State>, file: PathBuf) {
    let mut sides = None;
    loop {
        if sides.is_none() {
            sides = open(&pen, &file);
        }
        let Some((monolith, service)) = &sides else {
            let _ = tokio::time::timeout(REST, pen.look.notified()).await;
            continue;
        };
        let (monolith, service) = tokio::join!(ask(monolith), ask(service));
        let is_whole = monolith.is_some() && service.is_some();
        raise(&state.snapshot(), &pen, &monolith, &service);
        if let Some(owner) = pen.note(Seen { monolith, service }) {
            tell(&state, &pen, owner);
        }
        let pause = match (pen.is_held(), is_whole) {
            (true, _) => CLOSELY,
            (false, true) => EVERY,
            (false, false) => REST,
        };
        let _ = tokio::time::timeout(pause, pen.look.notified()).await;
    }
}

/// The clients of both sides, once the token can be read.
fn open(pen: &Pen, file: &Path) -> Option<(Side, Side)> {
    let token = std::fs::read_to_string(beside(file, &pen.settings.token_file)).ok()?;
    let side = |name: &str, url: &str| Side::new(name, url, &pen.module, token.trim()).ok();
    Some((
        side("monolith", &pen.settings.monolith)?,
        side("service", &pen.settings.service)?,
    ))
}

async fn ask(side: &Side) -> Option<Status> {
    tokio::time::timeout(PATIENCE, side.status()).await.ok()?.ok()
}

/// What each side has reached, for reads that must see their client's writes.
fn raise(snapshot: &Snapshot, pen: &Pen, monolith: &Option<Status>, service: &Option<Status>) {
    let modules = snapshot.config.modules.iter().enumerate();
    for (index, module) in modules.filter(|(_, module)| module.name == pen.module) {
        for (upstream, status) in [(Some(snapshot.monolith), monolith), (module.service, service)] {
            let reached = status.as_ref().and_then(|status| status.follow.as_ref()?.reached);
            let position = reached.and_then(|reached| Position::parse(&reached.to_string()));
            if let (Some(upstream), Some(position)) = (upstream, position) {
                snapshot.reached(index, upstream).raise(position);
            }
        }
    }
}

fn tell(state: &State, pen: &Pen, owner: Owner) {
    let side = match owner {
        Owner::Monolith => "monolith",
        Owner::Service => "service",
    };
    let told = format!("{}: the {side} has the pen, in epoch {}", pen.module, pen.epoch());
    tracing::info!(
        module = pen.module,
        side,
        epoch = pen.epoch(),
        "the pen has moved"
    );
    state.events().tell(Kind::PenMoved, About::new(told));
}
