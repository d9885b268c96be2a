//! What runs beside the data path for as long as the router does: the state database, the keeper of the evidence, the audit
//! log, and the loops of automatic modules.
//!
//! For [`crate::server`]. Requests are served before any of it is ready and go on if all of it fails: a state database that
//! cannot be reached costs promotions, never an answer and never a way back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chassis::db::{Db, Error, PoolSettings};
use tokio::task::JoinHandle;

use crate::evidence::store::Store;
use crate::pen::watch;
use crate::promotion::auto;
use crate::promotion::operator::Operator;
use crate::records::MIGRATIONS;
use crate::state::State;
use crate::switch::perform::Switcher;

/// How often evidence is written: what a crash may cost.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before a database that does not answer is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long the end of the process waits for what is still to be written.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Everything that runs beside the data path.
#[derive(Debug)]
pub struct Operations {
    /// Carries out commands.
    pub operator: Arc<Operator>,
    state: Arc<State>,
    store: Arc<Store>,
    running: Vec<JoinHandle<()>>,
}

impl Operations {
    /// Starts it.
    pub fn start(state: &Arc<State>, file: &Path) -> Result<Self, Error> {
        let config = state.snapshot();
        let db = open(&config.config.router.state, file)?;
        let store = Arc::new(Store::new(db.clone(), &instance()));
        let switcher = Switcher::new(db.clone(), file, &config.config);
        let operator = Arc::new(Operator::new(
            Arc::clone(state),
            switcher,
            Arc::clone(&store),
            file.to_owned(),
        ));
        let running = vec![
            tokio::spawn(get_ready(db, Arc::clone(&operator))),
            tokio::spawn(keep(Arc::clone(&store), Arc::clone(state))),
            tokio::spawn(auto::guard(Arc::clone(&operator))),
            tokio::spawn(auto::promote(Arc::clone(&operator))),
            tokio::spawn(watch::follow(Arc::clone(state), file.to_owned())),
        ];
        Ok(Self {
            operator,
            state: Arc::clone(state),
            store,
            running,
        })
    }

    /// Ends it, and writes what is still to be written.
    pub async fn stop(self) {
        for task in &self.running {
            task.abort();
        }
        let flush = self.store.flush(self.state.findings().evidence());
        match tokio::time::timeout(LAST_WORDS, flush).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last seconds of evidence are not kept"),
            Err(_) => {
                tracing::warn!("the last seconds of evidence are not kept: the state database is too slow");
            }
        }
        if !self.operator.switcher().written(LAST_WORDS).await {
            tracing::error!("the audit log is not complete: the state database cannot be written");
        }
    }
}

/// A relative path of an SQLite file means beside the config file, wherever the process was started.
fn open(url: &str, file: &Path) -> Result<Db, Error> {
    let url = match url.strip_prefix("sqlite:") {
        Some(path) if Path::new(path).is_relative() => {
            format!("sqlite:{}", beside(file, Path::new(path)).display())
        }
        _ => url.to_owned(),
    };
    Db::open(&url, &PoolSettings::default())
}

/// A path that the config file names, seen from where the config file lies.
pub fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// Brings the database up to date, however long it takes to come, and then mends what a crash has left of the audit log.
async fn get_ready(db: Db, operator: Arc<Operator>) {
    let mut is_out = false;
    loop {
        let db = db.clone();
        let migrated = tokio::task::spawn_blocking(move || db.migrate(&MIGRATIONS)).await;
        match migrated {
            Ok(Ok(_)) => break,
            Ok(Err(error)) if !is_out => {
                is_out = true;
                tracing::error!(%error, "the state database cannot be used: no promotion until it can");
            }
            Ok(Err(_)) | Err(_) => {}
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
    if is_out {
        tracing::info!("the state database can be used again");
    }
    operator.state().note_database();
    if let Err(error) = operator.switcher().recover().await {
        tracing::warn!(%error, "the audit log is not mended yet; it will be before the next step forward");
    }
}

async fn keep(store: Arc<Store>, state: Arc<State>) {
    store.keep(state.findings().evidence(), KEEP_EVERY).await;
}

/// Which router this is, for people who look into the database.
fn instance() -> String {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), std::process::id())
}
