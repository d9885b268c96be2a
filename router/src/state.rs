//! What the parts of a running router tell each other.
//!
//! For the workers (the current snapshot), the reload (which replaces it) and the admin port (which shows it).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::config::Refused;
use crate::limits::Limits;
use crate::shadow::Shadow;
use crate::shadow::findings::Findings;
use crate::snapshot::Snapshot;
use crate::worker::Current;

/// The state of a running router.
#[derive(Debug)]
pub struct State {
    current: Current,
    shadow: Shadow,
    findings: Arc<Findings>,
    is_draining: Arc<AtomicBool>,
    limits: Arc<Limits>,
    news: Mutex<News>,
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
    pub fn new(snapshot: Snapshot, shadow: Shadow, findings: Arc<Findings>) -> Arc<Self> {
        let news = Mutex::new(News {
            since: SystemTime::now(),
            refused: None,
        });
        Arc::new(Self {
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            shadow,
            findings,
            is_draining: Arc::default(),
            limits: Arc::default(),
            news,
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

    /// What the shadow and the workers have found.
    pub fn findings(&self) -> &Arc<Findings> {
        &self.findings
    }

    /// What clients have used of their limits.
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits)
    }

    /// Serves from a new snapshot.
    pub fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
        self.note(News {
            since: SystemTime::now(),
            refused: None,
        });
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

    fn note(&self, news: News) {
        *self.news.lock().unwrap_or_else(PoisonError::into_inner) = news;
    }
}
