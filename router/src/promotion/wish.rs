//! What operators may wish for, why a wish may not be granted, and what it means for a config.
//!
//! For [`super::operator`], which carries wishes out, and for whoever brings one. Pure.

use super::steps::{Obstacle, Step, back, next};
use crate::certificate::Certificate;
use crate::config::{Config, Mode, Route};
use crate::switch::Change;
use crate::switch::audit::Action;
use crate::switch::plan::SwitchError;

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
    #[error("a forced step needs a reason; say why with --reason")]
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

/// A wish in terms of a config.
#[derive(Debug)]
pub(super) struct Meant {
    /// What the log calls it.
    pub(super) action: Action,
    /// Where routes are to go.
    pub(super) changes: Vec<Change>,
    /// The step and the index of its route, if evidence may have a say in it.
    pub(super) step: Option<(usize, Step)>,
}

/// What a wish means, given what is served and what the file says, which differ for a moment after an edit by hand: steps
/// forward are judged by what is served, a way back is one from what the file says.
pub(super) fn meaning(wish: &Wish, served: &Config, file: &Config) -> Result<Meant, Refusal> {
    match wish {
        Wish::Promote(route) => {
            let (index, entry) = find(served, route)?;
            let step = next_step(served, entry)?;
            Ok(Meant {
                action: Action::Promote,
                changes: vec![change(entry, step.to)],
                step: Some((index, step)),
            })
        }
        Wish::Set(route, to) => {
            let (index, entry) = find(served, route)?;
            let step = Step {
                from: entry.mode,
                to: *to,
            };
            // Writes are nobody's to compare; the file's own conditions decide about them.
            let is_read = entry.rule.methods.unsafe_one().is_none();
            Ok(Meant {
                action: Action::Set,
                changes: vec![change(entry, *to)],
                step: is_read.then_some((index, step)),
            })
        }
        Wish::Revert(which) => Ok(Meant {
            action: Action::Revert,
            changes: ways_back(file, which)?,
            step: None,
        }),
    }
}

/// The next step of a route, or why there is none.
pub(super) fn next_step(config: &Config, route: &Route) -> Result<Step, Refusal> {
    next(config, route).map_err(|obstacle| Refusal::Obstacle {
        route: route.name.clone(),
        obstacle,
    })
}

fn change(route: &Route, to: Mode) -> Change {
    Change {
        route: route.name.clone(),
        to,
    }
}

/// A route and its index.
pub(super) fn find<'c>(config: &'c Config, name: &str) -> Result<(usize, &'c Route), Refusal> {
    let mut routes = config.routes.iter().enumerate();
    routes
        .find(|(_, route)| route.name == name)
        .ok_or_else(|| Refusal::Unknown {
            what: "route",
            name: name.to_owned(),
            remedy: known(config.routes.iter().map(|route| route.name.as_str())),
        })
}

/// The changes that take routes back.
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
