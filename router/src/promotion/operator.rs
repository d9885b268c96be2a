//! Carries out what operators wish: promote, set, revert. Everything that switches a route by command comes through here.
//!
//! For the operators' port and for [`super::auto`]. A wish becomes a request to [`crate::switch`], which edits the file and
//! writes the audit log; then the new config is put into force, before the wish is answered: the next request is served by
//! it. A step that puts more trust in the service needs a certificate that passes, made from the evidence at this moment and
//! since the route's last switch. `--force` goes without, and stands out in the log. A way back needs nothing, not even a
//! file that is valid.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chassis::error::chain;
use chrono::DateTime;

use super::steps::Step;
use super::wish::{Command, Refusal, Wish, find, meaning, next_step};
use crate::certificate::{Certificate, Subject, Verdict, certify};
use crate::config::{Config, Refused, read_aside};
use crate::events::{About, Kind};
use crate::evidence::WindowTotals;
use crate::evidence::store::Store;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::switch::audit::{Action, Entry, Filter, Ledger, Planned};
use crate::switch::file::{FileError, sha256};
use crate::switch::perform::{Switched, Switcher};
use crate::switch::plan::{SwitchError, SwitchRequest, plan};

/// Carries out wishes; one per process.
#[derive(Debug)]
pub struct Operator {
    state: Arc<State>,
    switcher: Switcher,
    store: Arc<Store>,
    file: PathBuf,
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
        }
    }

    /// The audit log, once it can be read. Just after the start it is waited for a moment.
    pub async fn ledger(&self) -> Result<&Ledger, Refusal> {
        match self.state.until_database(PATIENCE).await {
            true => Ok(self.switcher.ledger()),
            false => Err(Refusal::Evidence(
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
        let is_way_back = worked.request.action.is_way_back();
        let switched = match self.switcher.perform(worked.request.clone()).await {
            Err(SwitchError::Broken(refused)) if is_way_back => {
                self.go_back_without_the_file(worked.request, refused).await?
            }
            switched => {
                let switched = switched?;
                self.put_into_force(&switched.config).await;
                switched
            }
        };
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

    /// Goes back from what is served, because the file cannot be read as a config.
    async fn go_back_without_the_file(
        &self,
        request: SwitchRequest,
        refused: Refused,
    ) -> Result<Switched, Refusal> {
        let _turn = self.state.turn().await;
        let before = self.state.snapshot();
        let switched = self.switcher.go_back(request, &before.config).await?;
        if switched.is_changed {
            self.state
                .replace(Snapshot::following(switched.config.clone(), Some(&before)));
            self.state.judge(Some(refused));
        }
        Ok(switched)
    }

    /// The certificate for a route's next step, whatever it says.
    pub async fn certify(&self, route: &str) -> Result<Certified, Refusal> {
        let snapshot = self.state.snapshot();
        let (index, entry) = find(&snapshot.config, route)?;
        let step = next_step(&snapshot.config, entry)?;
        Ok(Certified {
            certificate: self.certify_step(&snapshot, index, step).await?,
            is_needed: step.raises_trust(),
        })
    }

    /// When the route was last switched, and how; from the audit log.
    pub async fn last_switch(&self, route: &str) -> Result<Option<Entry>, Refusal> {
        // What the log does not have yet may be just what is asked for. After a reload, or a step of a hand-over, that is a matter of
        // moments; only a database that cannot be written keeps it waiting.
        if !self.switcher.written(PATIENCE).await {
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
        let file = tokio::fs::read(&self.file).await.unwrap_or_default();
        let file = Config::parse(&self.file.display().to_string(), &file);
        let meant = meaning(&command.wish, config, file.as_ref().unwrap_or(config))?;
        let certificate = match meant.step.filter(|(_, step)| step.raises_trust()) {
            Some((index, step)) => Some(self.certify_step(&snapshot, index, step).await?),
            None => None,
        };
        let is_auto = command.actor == super::auto::ACTOR;
        let action = match meant.action {
            Action::Promote if is_auto => Action::AutoPromote,
            Action::Revert if is_auto => Action::AutoRevert,
            action => action,
        };
        let is_forced = command.force && !action.is_way_back();
        if !action.is_way_back() {
            allow(command, certificate.as_ref())?;
        }
        Ok(Worked {
            request: SwitchRequest {
                actor: command.actor.clone(),
                action,
                changes: meant.changes,
                reason: command.reason.clone(),
                // Whoever forced it did not wait for the certificate, so it is in the log also where that would have passed.
                forced: is_forced,
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

/// Refuses a wish that the certificate holds, unless it is forced, which takes a reason.
fn allow(command: &Command, certificate: Option<&Certificate>) -> Result<(), Refusal> {
    let held = certificate.filter(|certificate| certificate.verdict == Verdict::Hold);
    match (command.force, command.reason.trim(), held) {
        (true, "", _) => Err(Refusal::ReasonMissing),
        (false, _, Some(certificate)) => Err(Refusal::Hold(Box::new(certificate.clone()))),
        (true, _, _) | (false, _, None) => Ok(()),
    }
}
