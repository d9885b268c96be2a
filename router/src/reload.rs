//! Follows the config file while the router runs.
//!
//! For `banyan serve`. The file's bytes are hashed every [`PERIOD`] and on SIGHUP, rather than watched: watching misses the
//! symlink swaps by which Kubernetes replaces a ConfigMap. A change is taken once two readings agree, so that a file caught
//! half-written is not mistaken for a shorter one. It is taken whole or not at all: a file with a mistake changes nothing,
//! and its mistakes are logged once, with their lines.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::config::{self, Config, Module, Percent, Refused, Route, Settings, Telemetry};
use crate::events::{About, Kind};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::switch::file::sha256;
use crate::switch::perform::Switcher;

/// How often the file is read.
pub const PERIOD: Duration = Duration::from_millis(500);
/// How long a new content must stand before it is believed.
const SETTLING: Duration = Duration::from_millis(30);

/// Follows the file for as long as the router runs.
pub async fn follow(state: Arc<State>, file: PathBuf, switcher: Switcher, mut hangup: Signal) {
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was last judged: the bytes, or why there are none.
    let mut judged = read(&file).await;
    let mut is_first = true;
    loop {
        tokio::select! {
            _ = period.tick() => {}
            _ = hangup.recv() => tracing::info!("SIGHUP: reading {}", file.display()),
        }
        let Some(found) = read_settled(&file, &judged, is_first).await else {
            continue;
        };
        if judge(&state, &file, &found, &switcher).await {
            is_first = false;
            judged = found;
        }
    }
}

type Content = Result<Vec<u8>, Refused>;

async fn read(file: &Path) -> Content {
    let found = config::read_aside(file).await;
    found.map_err(|error| Refused::unreadable(&file.display().to_string(), &error))
}

/// The content if it is news and stands still. The first look is always news: the file may have changed between the
/// start of the server and now.
async fn read_settled(file: &Path, judged: &Content, is_first: bool) -> Option<Content> {
    let mut found = read(file).await;
    if found == *judged && !is_first {
        return None;
    }
    for _ in 0..10 {
        sleep(SETTLING).await;
        let again = read(file).await;
        if again == found {
            return (found != *judged || is_first).then_some(found);
        }
        found = again;
    }
    // Somebody keeps writing; the next round will look again.
    None
}

/// Takes a content or refuses it; whether it was still the file's by then. A switch by command may have come in between,
/// and to take what was before it would undo it for a moment.
async fn judge(state: &State, file: &Path, content: &Content, switcher: &Switcher) -> bool {
    let turn = state.turn().await;
    if read(file).await != *content {
        return false;
    }
    let name = file.display().to_string();
    let config = match content {
        Ok(bytes) => Config::parse(&name, bytes),
        Err(refused) => Err(refused.clone()),
    };
    match config {
        Ok(config) if config.hash == state.snapshot().config.hash => {
            if state.news().refused.is_some() {
                tracing::info!("{name} is again as it is being served");
            }
            state.judge(None);
        }
        Ok(config) => {
            let taken = config.clone();
            take(state, config);
            drop(turn);
            switcher.note_reload(&taken).await;
        }
        Err(refused) => {
            let hash = content.as_ref().map_or(String::new(), |bytes| sha256(bytes));
            refuse(state, refused.clone());
            drop(turn);
            switcher.note_refused(&refused, &hash).await;
        }
    }
    true
}

fn refuse(state: &State, refused: Refused) {
    let count = refused.faults.len();
    tracing::error!(
        mistakes = count,
        "the config file is not taken; what was served before goes on\n{refused}"
    );
    let told = format!(
        "{} is not taken, {count} mistakes; what was served before goes on",
        refused.file
    );
    state.events().tell(Kind::RefusedReload, About::new(told));
    state.judge(Some(refused));
}

fn take(state: &State, config: Config) {
    let before = state.snapshot();
    let changes = changes(&before.config, &config);
    for change in &changes {
        tracing::info!("{change}");
    }
    let told = match changes.as_slice() {
        [] => "the edited file is taken; no route is served otherwise".to_owned(),
        changes => format!("the edited file is taken; {}", changes.join("; ")),
    };
    for name in needing_restart(&before.config.router, &config.router) {
        tracing::warn!("router.{name} has changed, which takes effect at the next start");
    }
    let of_start = |config: &Config| Telemetry {
        sample: Percent::ALL,
        ..config.telemetry.clone()
    };
    if of_start(&before.config) != of_start(&config) {
        tracing::warn!("[telemetry] has changed, which takes effect at the next start, but for sample");
    }
    tracing::info!(
        hash = &config.hash[..12],
        routes = config.routes.len(),
        "config taken"
    );
    state.replace(Snapshot::following(config, Some(&before)));
    state.events().tell(Kind::Reload, About::new(told));
}

/// One line for each route that comes, goes, or is served otherwise.
fn changes(before: &Config, after: &Config) -> Vec<String> {
    let by_name = |config: &Config| -> HashMap<String, usize> {
        let routes = config.routes.iter().enumerate();
        routes.map(|(at, route)| (route.name.clone(), at)).collect()
    };
    let (known, wanted) = (by_name(before), by_name(after));
    let module =
        |config: &Config, route: &Route| -> Option<Module> { config.modules.get(route.module).cloned() };
    let service = |config: &Config, route: &Route| {
        let upstream = module(config, route)?.service?;
        config
            .upstreams
            .get(upstream)
            .map(|upstream| format!("{} ({})", upstream.name, upstream.listed()))
    };
    let mut lines = Vec::new();
    for route in &after.routes {
        let Some(old) = known.get(&route.name).map(|at| &before.routes[*at]) else {
            lines.push(format!(
                "route {}: new, {} → {}",
                route.name, route.rule, route.mode
            ));
            continue;
        };
        if old.mode != route.mode {
            lines.push(format!("route {}: {} → {}", route.name, old.mode, route.mode));
        }
        if old.rule != route.rule || old.host != route.host {
            lines.push(format!("route {}: {} → {}", route.name, old.rule, route.rule));
        }
        if old.sticky != route.sticky {
            lines.push(format!(
                "route {}: sticky {} → {}",
                route.name, old.sticky, route.sticky
            ));
        }
        let (was, is) = (service(before, old), service(after, route));
        if was != is {
            let name = |service: Option<String>| service.unwrap_or_else(|| "none".to_owned());
            lines.push(format!(
                "route {}: service {} → {}",
                route.name,
                name(was),
                name(is)
            ));
        }
    }
    let gone = before
        .routes
        .iter()
        .filter(|route| !wanted.contains_key(&route.name));
    lines.extend(gone.map(|route| format!("route {}: gone, its requests go to the monolith", route.name)));
    lines
}

/// The settings that are read at the start only.
fn needing_restart(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut note = |differs: bool, name| {
        if differs {
            names.push(name);
        }
    };
    note(before.listen != after.listen, "listen");
    note(before.admin != after.admin, "admin");
    let tls = |settings: &Settings| settings.edge.tls.as_ref().map(|tls| tls.listen);
    let socket = |settings: &Settings| settings.edge.handover_socket.clone();
    note(socket(before) != socket(after), "handover_socket");
    note(before.edge.drain_delay != after.edge.drain_delay, "drain_delay");
    note(tls(before) != tls(after), "tls.listen");
    note(before.workers != after.workers, "workers");
    note(before.keep_alive != after.keep_alive, "keep_alive");
    note(before.max_connections != after.max_connections, "max_connections");
    note(
        before.shutdown_timeout != after.shutdown_timeout,
        "shutdown_timeout",
    );
    names
}
