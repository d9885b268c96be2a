//! What the parts of a running router tell each other.
//!
//! For the workers (the current snapshot), the reload (which replaces it) and the admin port (which shows it).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::config::{Config, Mode, Refused};
use crate::events::Events;
use crate::limits::Limits;
use crate::shadow::Shadow;
use crate::shadow::findings::Findings;
use crate::snapshot::Snapshot;
use crate::spans::Spans;
use crate::worker::Current;

/// The state of a running router.
#[derive(Debug)]
pub struct State {
    current: Current,
    shadow: Shadow,
    spans: Option<Spans>,
    findings: Arc<Findings>,
    is_draining: Arc<AtomicBool>,
    has_database: watch::Sender<bool>,
    limits: Arc<Limits>,
    news: Mutex<News>,
    /// When each route came into the mode it is in; absent means since the start.
    since: Mutex<HashMap<String, SystemTime>>,
    began: SystemTime,
    events: Events,
    /// Held while a config is put into force.
    order: tokio::sync::Mutex<()>,
}

/// What became of the config file.
#[derive(Debug, Clone)]
pub struct News {
    /// When the current config was taken.
    pub since: SystemTime,
    /// Why the file as it is now was not taken, if so.
    pub refused: Option<Refused>,
}

impl State {
    /// The state at the start.
    pub fn new(
        snapshot: Snapshot,
        (shadow, spans): (Shadow, Option<Spans>),
        findings: Arc<Findings>,
    ) -> Arc<Self> {
        let news = Mutex::new(News {
            since: SystemTime::now(),
            refused: None,
        });
        findings.follow(&snapshot);
        Arc::new(Self {
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            shadow,
            spans,
            findings,
            is_draining: Arc::default(),
            has_database: watch::Sender::new(false),
            limits: Arc::default(),
            news,
            since: Mutex::default(),
            began: SystemTime::now(),
            events: Events::new(),
            order: tokio::sync::Mutex::new(()),
        })
    }

    /// The snapshot that is served from.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Where the snapshot that is served from is found.
    pub fn current(&self) -> Current {
        Arc::clone(&self.current)
    }

    /// Where copies go.
    pub fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// Where requests are recorded, if they are.
    pub fn spans(&self) -> Option<&Spans> {
        self.spans.as_ref()
    }

    /// What the shadow and the workers have found.
    pub fn findings(&self) -> &Arc<Findings> {
        &self.findings
    }

    /// What clients have used of their limits.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits)
    }

    /// What happened, for whoever follows it.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// When the router began.
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// The turn to put a config into force. Whoever has it looks at the file once more before it does, so that the newest
    /// edit is the one that stays, whichever way it came.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.order.lock().await
    }

    /// Serves from a new snapshot.
    pub fn replace(&self, snapshot: Snapshot) {
        self.note_modes(&self.snapshot().config, &snapshot.config);
        self.findings.follow(&snapshot);
        self.current.store(Arc::new(snapshot));
        self.note(News {
            since: SystemTime::now(),
            refused: None,
        });
    }

    /// When a route came into the mode it is in, or the router began.
    pub fn since(&self, route: &str) -> SystemTime {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get(route).copied().unwrap_or(self.began)
    }

    fn note_modes(&self, before: &Config, after: &Config) {
        let modes = before
            .routes
            .iter()
            .map(|route| (route.name.as_str(), route.mode));
        let modes: HashMap<&str, Mode> = modes.collect();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        for route in &after.routes {
            if modes.get(route.name.as_str()) != Some(&route.mode) {
                let now = SystemTime::now();
                self.findings.evidence().cut(&route.name, now);
                since.insert(route.name.clone(), now);
            }
        }
        let names: HashSet<&str> = after.routes.iter().map(|route| route.name.as_str()).collect();
        since.retain(|name, _| names.contains(name.as_str()));
    }

    /// Notes that the file as it is now is not taken, or is again what is being served from.
    pub fn judge(&self, refused: Option<Refused>) {
        let since = self.news().since;
        self.note(News { since, refused });
    }

    /// What became of the config file.
    pub fn news(&self) -> News {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on no new requests are wanted.
    pub fn start_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Where workers see that.
    pub fn draining(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_draining)
    }

    /// Whether the router is about to stop.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// The state database is open and up to date.
    pub fn note_database(&self) {
        self.has_database.send_replace(true);
    }

    /// Waits for the state database to be ready; whether it was in time.
    pub async fn until_database(&self, patience: Duration) -> bool {
        let mut has_database = self.has_database.subscribe();
        let waited = tokio::time::timeout(patience, has_database.wait_for(|has_database| *has_database));
        matches!(waited.await, Ok(Ok(_)))
    }

    /// Whether the state database has been opened and brought up to date since the start.
    pub fn has_database(&self) -> bool {
        *self.has_database.borrow()
    }

    fn note(&self, news: News) {
        *self.news.lock().unwrap_or_else(PoisonError::into_inner) = news;
    }
}
