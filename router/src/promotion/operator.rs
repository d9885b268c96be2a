//! Carries out what operators wish: promote, set, revert. Everything that switches a route by command comes through here.
//!
//! For the operators' port and for [`super::auto`]. A wish becomes a request to [`crate::switch`], which edits the file and
//! writes the audit log; then the new config is put into force, before the wish is answered: the next request is served by
//! it. A step that puts more trust in the service needs a certificate that passes, made from the evidence at this moment and
//! since the route's last switch. `--force` goes without, and stands out in the log. A way back needs nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use tokio::sync::watch;

use super::steps::{Obstacle, Step, back, next};
use crate::certificate::{Certificate, Subject, Verdict, certify};
use crate::config::{Config, Mode, Route, read_aside};
use crate::events::{About, Kind};
use crate::evidence::WindowTotals;
use crate::evidence::store::Store;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::switch::Change;
use crate::switch::audit::{Action, Entry, Filter, Ledger, Planned};
use crate::switch::file::{FileError, sha256};
use crate::switch::late::chain;
use crate::switch::perform::{Switched, Switcher};
use crate::switch::plan::{SwitchError, SwitchRequest, plan};

/// What somebody wishes.
#[derive(Debug, Clone)]
pub struct Command {
    /// What for.
    pub wish: Wish,
    /// Who wishes it: `cli:USER@HOST`, `api` or `auto`.
    pub actor: String,
    /// Why; may be empty unless it is forced.
    pub reason: String,
    /// Whether to do it although the certificate says hold.
    pub force: bool,
    /// The hash of the config that the wish was formed on, if it shall be refused on any other. A way back is never
    /// refused for that.
    pub expected: Option<String>,
}

/// What is wished for.
#[derive(Debug, Clone)]
pub enum Wish {
    /// The next step of a route.
    Promote(String),
    /// A certain mode for a route.
    Set(String, Mode),
    /// Routes back to the monolith.
    Revert(Which),
}

/// Which routes.
#[derive(Debug, Clone)]
pub enum Which {
    /// This one.
    Route(String),
    /// All of a module.
    Module(String),
    /// All.
    All,
}

/// Why a wish is not granted. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such route or module.
    #[error("there is no {what} `{name}`; {remedy}")]
    Unknown {
        /// `route` or `module`.
        what: &'static str,
        /// As it was given.
        name: String,
        /// What there is.
        remedy: String,
    },
    /// There is no such step.
    #[error("route {route}: {obstacle}")]
    Obstacle {
        /// The route.
        route: String,
        /// Why.
        obstacle: Obstacle,
    },
    /// The evidence does not allow it.
    #[error("the certificate for {} → {} says hold", .0.from, .0.to)]
    Hold(Box<Certificate>),
    /// Forcing needs a reason.
    #[error("a step against the certificate needs a reason; say why with --reason")]
    ReasonMissing,
    /// The evidence cannot be read.
    #[error(
        "the evidence cannot be read ({0}), and evidence that may be missing certifies nothing; mend the state database"
    )]
    Evidence(String),
    /// The switch was refused.
    #[error(transparent)]
    Switch(#[from] SwitchError),
}

/// Carries out wishes; one per process.
#[derive(Debug)]
pub struct Operator {
    state: Arc<State>,
    switcher: Switcher,
    store: Arc<Store>,
    file: PathBuf,
    /// Whether the state database can be asked.
    is_ready: watch::Sender<bool>,
}

/// How long a wish waits for a state database that is being brought up to date.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a certificate says about a route's next step.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate.
    pub certificate: Certificate,
    /// Whether the step needs it to pass. One that puts no more trust in the service does not.
    pub is_needed: bool,
}

/// A wish, worked out.
struct Worked {
    request: SwitchRequest,
    certificate: Option<Certificate>,
}

impl Operator {
    /// For the routes of this file.
    pub fn new(state: Arc<State>, switcher: Switcher, store: Arc<Store>, file: PathBuf) -> Self {
        Self {
            state,
            switcher,
            store,
            file,
            is_ready: watch::Sender::new(false),
        }
    }

    /// From now on the state database can be asked.
    pub fn get_ready(&self) {
        self.is_ready.send_replace(true);
    }

    /// The audit log, once it can be read. Just after the start it is waited for a moment.
    pub async fn ledger(&self) -> Result<&Ledger, Refusal> {
        let mut is_ready = self.is_ready.subscribe();
        let waited = tokio::time::timeout(PATIENCE, is_ready.wait_for(|is_ready| *is_ready)).await;
        match waited {
            Ok(Ok(_)) => Ok(self.switcher.ledger()),
            _ => Err(Refusal::Evidence(
                "the state database could not be opened yet".to_owned(),
            )),
        }
    }

    /// Where switches are written down.
    pub fn switcher(&self) -> &Switcher {
        &self.switcher
    }

    /// What is being served.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Says what a command would do, in the words in which the log will record it.
    pub async fn plan(&self, command: &Command) -> Result<(Planned, Option<Certificate>), Refusal> {
        let worked = self.work_out(command).await?;
        let name = self.file.display().to_string();
        let bytes = read_aside(&self.file).await.map_err(|source| {
            SwitchError::File(FileError::Io {
                path: name.clone(),
                doing: "read",
                source,
            })
        })?;
        let planned = plan(&name, &bytes, &worked.request)?.planned;
        Ok((planned, worked.certificate))
    }

    /// Does it. When this is answered, the next request is served by the new config. Should not be dropped half way: the
    /// file would be switched, and the config in force only when the reload finds it.
    pub async fn perform(&self, command: &Command) -> Result<Switched, Refusal> {
        let worked = self.work_out(command).await?;
        if !worked.request.action.is_way_back() {
            self.ledger().await?;
        }
        let switched = self.switcher.perform(worked.request).await?;
        self.put_into_force(&switched.config).await;
        if switched.is_changed {
            tracing::info!("{}", switched.planned.sentence());
            self.state.events().tell(
                Kind::Switch,
                About {
                    routes: switched
                        .planned
                        .moves
                        .iter()
                        .map(|change| change.route.clone())
                        .collect(),
                    actor: Some(switched.planned.actor.clone()),
                    action: Some(switched.planned.action.word()),
                    ..About::new(switched.planned.sentence())
                },
            );
        }
        Ok(switched)
    }

    /// Serves from what was written, unless somebody has written something newer by now, who looks after that: another
    /// command, or the reload. A newer file that is not valid is nobody's.
    async fn put_into_force(&self, config: &Config) {
        let _turn = self.state.turn().await;
        let before = self.state.snapshot();
        if before.config.hash == config.hash {
            return;
        }
        let name = self.file.display().to_string();
        let found = tokio::fs::read(&self.file).await.unwrap_or_default();
        let is_newest = sha256(&found) == config.hash || Config::parse(&name, &found).is_err();
        if is_newest {
            self.state
                .replace(Snapshot::following(config.clone(), Some(&before)));
        }
    }

    /// The certificate for a route's next step, whatever it says.
    pub async fn certify(&self, route: &str) -> Result<Certified, Refusal> {
        let snapshot = self.state.snapshot();
        let (index, entry) = find(&snapshot.config, route)?;
        let step = next(&snapshot.config, entry).map_err(|obstacle| Refusal::Obstacle {
            route: route.to_owned(),
            obstacle,
        })?;
        Ok(Certified {
            certificate: self.certify_step(&snapshot, index, step).await?,
            is_needed: step.raises_trust(),
        })
    }

    /// When the route was last switched, and how; from the audit log.
    pub async fn last_switch(&self, route: &str) -> Result<Option<Entry>, Refusal> {
        // What the log does not have yet may be just what is asked for.
        if self.switcher.waiting() > 0 {
            return Err(Refusal::Evidence("the audit log waits to be written".to_owned()));
        }
        let ledger = self.ledger().await?;
        let filter = Filter {
            route: Some(route.to_owned()),
            place: Some(ledger.place().to_owned()),
            ..Filter::default()
        };
        let entries = ledger.list(filter, None, 1).await;
        let entries = entries.map_err(|error| Refusal::Evidence(chain(&error)))?;
        let Some(last) = entries.into_iter().next() else {
            return Ok(None);
        };
        if last.planned.moves.len() == last.planned.moves_total {
            return Ok(Some(last));
        }
        let whole = ledger.entry(last.id).await;
        whole.map(Some).map_err(|error| Refusal::Evidence(chain(&error)))
    }

    async fn work_out(&self, command: &Command) -> Result<Worked, Refusal> {
        let snapshot = self.state.snapshot();
        let config = &snapshot.config;
        self.expect(command, config)?;
        let (action, changes, step) = match &command.wish {
            Wish::Promote(route) => {
                let (index, entry) = find(config, route)?;
                let step = next(config, entry).map_err(|obstacle| Refusal::Obstacle {
                    route: route.clone(),
                    obstacle,
                })?;
                (Action::Promote, vec![change(entry, step.to)], Some((index, step)))
            }
            Wish::Set(route, to) => {
                let (index, entry) = find(config, route)?;
                let step = Step {
                    from: entry.mode,
                    to: *to,
                };
                // Writes are nobody's to compare; the file's own conditions decide about them.
                let is_read = entry.rule.methods.unsafe_one().is_none();
                (
                    Action::Set,
                    vec![change(entry, *to)],
                    is_read.then_some((index, step)),
                )
            }
            Wish::Revert(which) => (Action::Revert, ways_back(config, which)?, None),
        };
        let is_auto = command.actor == super::auto::ACTOR;
        let action = match action {
            Action::Promote if is_auto => Action::AutoPromote,
            Action::Revert if is_auto => Action::AutoRevert,
            action => action,
        };
        let certificate = match step.filter(|(_, step)| step.raises_trust()) {
            Some((index, step)) => Some(self.certify_step(&snapshot, index, step).await?),
            None => None,
        };
        let holds = certificate
            .as_ref()
            .is_some_and(|certificate| certificate.verdict == Verdict::Hold);
        if let (true, false, Some(certificate)) = (holds, command.force, &certificate) {
            return Err(Refusal::Hold(Box::new(certificate.clone())));
        }
        if holds && command.reason.trim().is_empty() {
            return Err(Refusal::ReasonMissing);
        }
        Ok(Worked {
            request: SwitchRequest {
                actor: command.actor.clone(),
                action,
                changes,
                reason: command.reason.clone(),
                forced: holds,
                certificate: certificate
                    .as_ref()
                    .and_then(|certificate| serde_json::to_value(certificate).ok()),
                // A step forward was thought about with this file in mind; a way back is right with any.
                expected: (!action.is_way_back()).then(|| config.hash.clone()),
            },
            certificate,
        })
    }

    /// Refuses a wish that was formed on another config.
    fn expect(&self, command: &Command, config: &Config) -> Result<(), Refusal> {
        let expected = command.expected.as_ref().filter(|hash| **hash != config.hash);
        match (expected, &command.wish) {
            (None, _) | (_, Wish::Revert(_)) => Ok(()),
            (Some(expected), _) => Err(Refusal::Switch(SwitchError::File(FileError::changed(
                &self.file,
                expected,
                &config.hash,
            )))),
        }
    }

    async fn certify_step(
        &self,
        snapshot: &Snapshot,
        index: usize,
        step: Step,
    ) -> Result<Certificate, Refusal> {
        let route = &snapshot.config.routes[index];
        let subject = Subject {
            route: route.name.clone(),
            from: step.from.to_string(),
            to: step.to.to_string(),
            config_hash: snapshot.config.hash.clone(),
            subject_hash: snapshot.subject(index).to_string(),
        };
        let last = self.last_switch(&route.name).await?;
        let since = last.map_or(SystemTime::UNIX_EPOCH, |entry| {
            SystemTime::from(DateTime::<chrono::Utc>::from_naive_utc_and_offset(
                entry.at,
                chrono::Utc,
            ))
        });
        let window = self.window(&subject, since).await?;
        Ok(certify(
            &subject,
            &window,
            &snapshot.config.certificate,
            SystemTime::now(),
        ))
    }

    async fn window(&self, subject: &Subject, since: SystemTime) -> Result<WindowTotals, Refusal> {
        let about = (subject.route.as_str(), subject.subject_hash.as_str());
        let evidence = self.state.findings().evidence();
        let window = self.store.window(evidence, about, since, SystemTime::now()).await;
        window.map_err(|error| Refusal::Evidence(chain(&error)))
    }
}

fn change(route: &Route, to: Mode) -> Change {
    Change {
        route: route.name.clone(),
        to,
    }
}

fn find<'c>(config: &'c Config, name: &str) -> Result<(usize, &'c Route), Refusal> {
    let mut routes = config.routes.iter().enumerate();
    routes
        .find(|(_, route)| route.name == name)
        .ok_or_else(|| Refusal::Unknown {
            what: "route",
            name: name.to_owned(),
            remedy: known(config.routes.iter().map(|route| route.name.as_str())),
        })
}

/// The changes that take routes back. Those of the file that is served; one that has been added since is not in use yet.
pub(crate) fn ways_back(config: &Config, which: &Which) -> Result<Vec<Change>, Refusal> {
    let chosen: Vec<&Route> = match which {
        Which::Route(name) => vec![find(config, name)?.1],
        Which::All => config.routes.iter().collect(),
        Which::Module(name) => {
            let index = config.modules.iter().position(|module| module.name == *name);
            let index = index.ok_or_else(|| Refusal::Unknown {
                what: "module",
                name: name.clone(),
                remedy: known(config.modules.iter().map(|module| module.name.as_str())),
            })?;
            config
                .routes
                .iter()
                .filter(|route| route.module == index)
                .collect()
        }
    };
    let steps = chosen
        .into_iter()
        .filter_map(|route| Some((route, back(config, route)?)));
    Ok(steps.map(|(route, step)| change(route, step.to)).collect())
}

fn known<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.take(20).collect();
    match names.is_empty() {
        true => "there is none".to_owned(),
        false => format!("there are: {}", names.join(", ")),
    }
}
