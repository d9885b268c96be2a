//! What a request for a switch would do: the new text, the new config, and the words of the log.
//!
//! For `banyan plan`, which prints it, and [`super::perform`], which does it; pure. Every refusal that depends on the file
//! alone is made here, so what `plan` accepts, `perform` refuses only if something else has changed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::Change;
use super::audit::{self, Action, Move, Planned};
use super::edit::{EditError, edit};
use super::file::{FileError, sha256};
use crate::config::{Config, Refused};

/// A wish to switch routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchRequest {
    /// Who wishes it: `cli:USER@HOST`, `api` or `auto`.
    pub actor: String,
    /// What the routes are switched for. The two ways back are made even if the audit log cannot be written.
    pub action: Action,
    /// Where the routes are to go.
    pub changes: Vec<Change>,
    /// Why; may be empty.
    pub reason: String,
    /// Whether it is done without the evidence that it takes.
    pub forced: bool,
    /// The evidence.
    pub certificate: Option<Value>,
    /// SHA-256 (hex) of the file that the wish was made for. Another file is refused; absent takes any.
    pub expected: Option<String>,
}

/// Why nothing was switched.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The file has no such route, or it cannot be edited.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The edited file would be refused: its mistakes, with their lines.
    #[error("the switch is refused, because the file would not be valid with it:\n{0}")]
    Refused(Refused),
    /// The file is refused as it is: it was edited after the router last took it, and has mistakes.
    #[error("the file is not valid as it is, so it cannot be switched by command; mend it first:\n{0}")]
    Broken(Refused),
    /// The file was changed meanwhile, or cannot be replaced.
    #[error(transparent)]
    File(#[from] FileError),
    /// The audit log cannot be written.
    #[error(
        "nothing was switched, because the audit log cannot be written: {0}; mend its database and run the command \
         again. A revert goes on without it"
    )]
    Unrecorded(String),
    /// The router is stopping.
    #[error("the switch was interrupted; see `banyan audit` for what became of it")]
    Interrupted,
}

/// A switch, worked out and not yet made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the log will say.
    pub planned: Planned,
    /// The file as it will be.
    pub text: String,
    /// The config that it will be.
    pub config: Config,
    /// The file as it was found.
    pub(super) before: Known,
    /// The file as it will be.
    pub(super) after: Known,
}

/// The modes that a version of the file gives its routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// SHA-256 of the file, in hex.
    pub(super) hash: String,
    /// Module and mode, by route.
    routes: BTreeMap<String, (String, String)>,
}

/// Works out what a request does to the bytes of the file; `file` is what mistakes are reported under.
pub fn plan(file: &str, bytes: &[u8], request: &SwitchRequest) -> Result<Plan, SwitchError> {
    let before = Config::parse(file, bytes).map_err(SwitchError::Broken)?;
    if let Some(expected) = request.expected.as_ref().filter(|hash| **hash != before.hash) {
        let changed = FileError::changed(Path::new(file), expected, &before.hash);
        return Err(SwitchError::File(changed));
    }
    // What parses as a config is UTF-8.
    let text = edit(&String::from_utf8_lossy(bytes), &request.changes)?;
    let config = Config::parse(file, text.as_bytes()).map_err(SwitchError::Refused)?;
    let (before, after) = (Known::of(&before), Known::of(&config));
    let planned = Planned {
        actor: request.actor.clone(),
        action: request.action,
        moves_total: 0,
        moves: before.moves_to(&after),
        reason: request.reason.clone(),
        forced: request.forced,
        certificate: request.certificate.clone(),
        hash_before: before.hash.clone(),
        hash_after: sha256(text.as_bytes()),
    };
    Ok(Plan {
        planned: planned.bounded(),
        text,
        config,
        before,
        after,
    })
}

impl Plan {
    /// Whether the file says already what the request asks for.
    pub fn is_fulfilled(&self) -> bool {
        self.planned.hash_before == self.planned.hash_after
    }
}

impl Known {
    pub(super) fn of(config: &Config) -> Self {
        let routes = config.routes.iter().map(|route| {
            let module = config.modules.get(route.module);
            let module = module.map(|module| module.name.clone()).unwrap_or_default();
            (route.name.clone(), (module, route.mode.to_string()))
        });
        Self {
            hash: config.hash.clone(),
            routes: routes.collect(),
        }
    }

    /// The routes that are served otherwise afterwards, by name.
    pub(super) fn moves_to(&self, after: &Self) -> Vec<Move> {
        let absent = || "absent".to_owned();
        let one = |route: &String| {
            let (was, is) = (self.routes.get(route), after.routes.get(route));
            let mode = |known: Option<&(String, String)>| known.map_or_else(absent, |(_, mode)| mode.clone());
            let module = is.or(was).map(|(module, _)| module.clone());
            (was != is).then(|| Move {
                route: route.clone(),
                module: module.unwrap_or_default(),
                before: mode(was),
                after: mode(is),
            })
        };
        let gone = self
            .routes
            .keys()
            .filter(|route| !after.routes.contains_key(*route));
        let mut moves: Vec<Move> = after.routes.keys().chain(gone).filter_map(one).collect();
        moves.sort_by(|left, right| left.route.cmp(&right.route));
        moves
    }

    /// The same routes in other modes, where others are known.
    pub(super) fn in_modes(&self, modes: &BTreeMap<String, String>) -> Self {
        let mut before = self.clone();
        for (route, (_, mode)) in &mut before.routes {
            if let Some(known) = modes.get(route) {
                mode.clone_from(known);
            }
        }
        before
    }

    /// How the log tells that a file edited by hand was taken.
    pub(super) fn reload_to(&self, after: &Self, reason: &str) -> Planned {
        Planned {
            actor: "file".to_owned(),
            action: audit::Action::Reload,
            moves: self.moves_to(after),
            moves_total: 0,
            reason: reason.to_owned(),
            forced: false,
            certificate: None,
            hash_before: self.hash.clone(),
            hash_after: after.hash.clone(),
        }
    }
}
