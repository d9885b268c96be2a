//! Makes a switch: plans it, writes down that it is begun, replaces the file, writes down how it ended.
//!
//! For the admin API and for promotion by itself. One [`Switcher`] per process; it makes one switch after another, each in
//! a task of its own, so a caller who goes away in the middle changes nothing about it. Waiting for the file and for the
//! database happens off the async threads. The caller puts the new config into force; the reload finds the same hash
//! and has nothing to do.
//!
//! No trail, no switch: a step forward is refused if the audit log does not take its intent within [`PATIENCE`]. The way
//! back ([`Action::is_way_back`]) waits for [`HASTE`] and goes on; what the log has missed is an error in the program's log
//! and is written as soon as the database is there ([`super::late`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chassis::db::Db;
use chassis::error::chain;
use chassis::time::now;
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::audit::{Action, Error, Ledger, Outcome, Planned};
use super::file::Turn;
use super::late::{Intent, Late, Untold};
use super::plan::{Known, Plan, SwitchError, SwitchRequest, plan};
use crate::config::{Config, Refused};

/// How long a step forward waits for the audit log.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long a step back waits for it.
pub const HASTE: Duration = Duration::from_millis(250);

/// Makes switches; cheap to clone.
#[derive(Debug, Clone)]
pub struct Switcher(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) ledger: Ledger,
    pub(super) late: Late,
    pub(super) file: PathBuf,
    /// Held for the whole of a switch.
    pub(super) course: Mutex<Course>,
    /// How many steps back are wanted or under way: steps forward that wait for the database make room for them.
    back: watch::Sender<usize>,
}

#[derive(Debug)]
pub(super) struct Course {
    /// The file as the log knows it, or will when nothing waits any more.
    pub(super) known: Known,
    pub(super) is_recovered: bool,
}

/// A switch that was made.
#[derive(Debug, Clone)]
pub struct Switched {
    /// Its id in the audit log. Absent if the file said already what was asked for, or if the log will have it later.
    pub entry: Option<i64>,
    /// What was done, in the words of the log.
    pub planned: Planned,
    /// The config to put into force.
    pub config: Config,
    /// Whether the file was changed.
    pub is_changed: bool,
    /// Whether the log has all of it; what is missing will be written when the database takes it.
    pub is_recorded: bool,
}

impl Switcher {
    /// For the config file that is served, with the log in this database, whose schema must be current. Does nothing yet.
    pub fn new(db: Db, file: &Path, served: &Config) -> Self {
        let ledger = Ledger::new(db, &place(file));
        Self(Arc::new(Inner {
            late: Late::new(ledger.clone()),
            ledger,
            file: file.to_owned(),
            course: Mutex::new(Course {
                known: Known::of(served),
                is_recovered: false,
            }),
            back: watch::Sender::new(0),
        }))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// The audit log.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Finds out how switches ended that a killed router had begun ([`super::recover`]), and notes if the file was edited
    /// while no router looked. To be called at the start; what fails is done before the next step forward.
    pub async fn recover(&self) -> Result<(), SwitchError> {
        let inner = Arc::clone(&self.0);
        let recovering = tokio::spawn(async move {
            let mut course = inner.course.lock().await;
            inner.unless_back(inner.recover(&mut course)).await
        });
        recovering.await.map_err(|_| SwitchError::Interrupted)?
    }

    /// Makes a switch. An error means that the file is as it was.
    pub async fn perform(&self, request: SwitchRequest) -> Result<Switched, SwitchError> {
        let inner = Arc::clone(&self.0);
        let performing = tokio::spawn(async move { inner.perform(request).await });
        performing.await.map_err(|_| SwitchError::Interrupted)?
    }

    /// Notes that the reload has taken a file. One that a switch has written is no news, and is not noted.
    pub async fn note_reload(&self, taken: &Config) {
        let taken = Known::of(taken);
        let mut course = self.0.course.lock().await;
        self.0.note_edit(&mut course, taken, "the file was edited");
    }

    /// Notes that the reload has refused a file; `hash` is the SHA-256 of its bytes in hex.
    pub async fn note_refused(&self, refused: &Refused, hash: &str) {
        let course = self.0.course.lock().await;
        let planned = Planned {
            action: Action::RefusedReload,
            moves: Vec::new(),
            hash_after: hash.to_owned(),
            ..course
                .known
                .reload_to(&course.known, "the edited file has mistakes")
        };
        self.0.late.push(fact(planned, refused.to_string()));
    }

    /// Notes a step of a hand-over: what was done, by whom, of which pass. The file stays as it is.
    pub async fn note_handover(&self, actor: &str, told: String) {
        let course = self.0.course.lock().await;
        let planned = Planned {
            actor: actor.to_owned(),
            action: Action::Handover,
            moves: Vec::new(),
            ..course.known.reload_to(&course.known, &told)
        };
        self.0.late.push(fact(planned, String::new()));
    }

    /// How many entries the log does not have yet.
    pub fn waiting(&self) -> usize {
        self.0.late.waiting()
    }

    /// Waits until the log has everything that it is to have, at most for `patience`; whether it has. For a graceful stop.
    pub async fn written(&self, patience: Duration) -> bool {
        self.0.late.written(patience).await
    }
}

impl Inner {
    async fn perform(&self, request: SwitchRequest) -> Result<Switched, SwitchError> {
        if !request.action.is_way_back() {
            let mut course = self.course.lock().await;
            self.unless_back(self.ready(&mut course)).await?;
            return self.make(&mut course, request).await;
        }
        self.back.send_modify(|back| *back += 1);
        let mut course = self.course.lock().await;
        let made = self.make(&mut course, request).await;
        self.back.send_modify(|back| *back -= 1);
        made
    }

    async fn make(&self, course: &mut Course, request: SwitchRequest) -> Result<Switched, SwitchError> {
        let is_way_back = request.action.is_way_back();
        let file = self.file.clone();
        let (turn, made) = blocking(move || {
            let turn = Turn::take(&file)?;
            let made = plan(&file.display().to_string(), &turn.read()?, &request)?;
            Ok((turn, made))
        })
        .await?;
        // Somebody edited the file a moment ago, and the reload has not come by yet.
        self.note_edit(course, made.before.clone(), "the file was edited");
        if made.is_fulfilled() {
            return Ok(switched(made, None, false, true));
        }
        // What waits comes before it in the log, if it can.
        if self.late.waiting() > 0 && !self.late.written(HASTE).await && !is_way_back {
            return Err(SwitchError::Unrecorded(self.behind()));
        }
        let intent = self.begin(&made.planned, is_way_back).await?;
        let (expected, text) = (made.planned.hash_before.clone(), made.text.clone());
        // The turn goes on until the outcome is written: nobody else begins before this one is told.
        let (_turn, put) = blocking(move || {
            let mut turn = turn;
            let put = turn.put(&expected, &text).map_err(SwitchError::from);
            Ok((turn, put))
        })
        .await?;
        let (outcome, detail) = match &put {
            Ok(()) => (Outcome::Done, String::new()),
            Err(error) => (Outcome::NotDone, error.to_string()),
        };
        let entry = match &intent {
            Intent::Written(id) => Some(*id),
            Intent::Missing | Intent::Pending(_) => None,
        };
        let is_recorded = self.end(intent, &made.planned, outcome, detail).await;
        put?;
        course.known = made.after.clone();
        Ok(switched(made, entry, true, is_recorded))
    }

    /// A step forward is made only when the log is complete up to here.
    async fn ready(&self, course: &mut Course) -> Result<(), SwitchError> {
        if !self.late.written(PATIENCE).await {
            return Err(SwitchError::Unrecorded(self.behind()));
        }
        match course.is_recovered {
            true => Ok(()),
            false => self.recover(course).await,
        }
    }

    fn behind(&self) -> String {
        format!("{} earlier entries wait for it", self.late.waiting())
    }

    /// Work that waits for the database, given up when somebody wants to go back.
    async fn unless_back<T>(
        &self,
        work: impl Future<Output = Result<T, SwitchError>>,
    ) -> Result<T, SwitchError> {
        let mut back = self.back.subscribe();
        tokio::select! {
            done = work => done,
            _ = back.wait_for(|back| *back > 0) => Err(SwitchError::Unrecorded("a revert went first".to_owned())),
        }
    }

    /// Writes the intent. In a hurry, it need not be written yet when this returns.
    async fn begin(&self, planned: &Planned, is_hasty: bool) -> Result<Intent, SwitchError> {
        let (ledger, intent) = (self.ledger.clone(), planned.clone());
        let mut attempt = tokio::spawn(async move { ledger.intend(&intent).await });
        let patience = if is_hasty { HASTE } else { PATIENCE };
        let mut back = self.back.subscribe();
        let ended = tokio::select! {
            ended = timeout(patience, &mut attempt) => ended.map_err(|_| format!("no answer in {patience:?}")),
            _ = back.wait_for(|back| *back > 0 && !is_hasty) => Err("a revert went first".to_owned()),
        };
        let (missing, why) = match ended {
            Ok(Ok(Ok(id))) => return Ok(Intent::Written(id)),
            Ok(Ok(Err(error))) => (Intent::Missing, chain(&error)),
            Ok(Err(_)) => return Err(SwitchError::Interrupted),
            Err(why) => (Intent::Pending(attempt), why),
        };
        if is_hasty {
            let sentence = planned.sentence();
            tracing::error!(
                error = why,
                "going back without the audit log, which gets it later: {sentence}"
            );
            return Ok(missing);
        }
        // Should the database take the intent after all, it gets its end.
        let untold = Untold {
            outcome: Outcome::NotDone,
            ..fact(planned.clone(), format!("the audit log came too late: {why}"))
        };
        self.late.push(Untold {
            intent: missing,
            ..untold
        });
        Err(SwitchError::Unrecorded(why))
    }

    /// Writes the outcome, or leaves it to be written; whether it is.
    async fn end(&self, intent: Intent, planned: &Planned, outcome: Outcome, detail: String) -> bool {
        if let Intent::Written(id) = intent {
            let (ledger, text) = (self.ledger.clone(), detail.clone());
            let attempt: JoinHandle<Result<(), Error>> =
                tokio::spawn(async move { ledger.conclude(id, outcome, &text).await });
            if let Ok(Ok(Ok(()))) = timeout(HASTE, attempt).await {
                return true;
            }
        }
        let is_logged = !matches!(intent, Intent::Written(_));
        self.late.push(Untold {
            intent,
            outcome,
            is_logged,
            ..fact(planned.clone(), detail)
        });
        false
    }

    fn note_edit(&self, course: &mut Course, found: Known, reason: &str) {
        if found.hash != course.known.hash {
            self.late
                .push(fact(course.known.reload_to(&found, reason), String::new()));
            course.known = found;
        }
    }
}

/// What has happened already, to be written when the log can take it.
pub(super) fn fact(planned: Planned, detail: String) -> Untold {
    Untold {
        intent: Intent::Missing,
        planned: planned.bounded(),
        at: now(),
        outcome: Outcome::Done,
        detail,
        is_logged: false,
    }
}

fn switched(made: Plan, entry: Option<i64>, is_changed: bool, is_recorded: bool) -> Switched {
    Switched {
        entry,
        planned: made.planned,
        config: made.config,
        is_changed,
        is_recorded,
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SwitchError> + Send + 'static,
) -> Result<T, SwitchError> {
    spawn_blocking(work).await.map_err(|_| SwitchError::Interrupted)?
}

/// `HOST:PATH`. The folder is the one behind its symlinks; the file is not, since a ConfigMap's is another each time.
fn place(file: &Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim())
        .filter(|host| !host.is_empty())
        .unwrap_or("localhost");
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = path
        .parent()
        .and_then(|folder| std::fs::canonicalize(folder).ok());
    let path = match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    };
    format!("{host}:{}", path.display())
}

#[cfg(test)]
mod tests;
