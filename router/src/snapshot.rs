//! A config in the form that requests are served from.
//!
//! For every worker: a reload builds a new snapshot and swaps it in whole; a request holds on to the one it began with.
//! What can be worked out once (the lookup table, header values) is worked out here and not per request.

use std::sync::Arc;

use http02::header::HeaderValue;
use sha2::{Digest, Sha256};

use crate::balance::Places;
use crate::choose::{Decision, Rule};
use crate::config::{Address, Config, Mode, Owner, Route};
use crate::evidence::About;
use crate::pen::Pen;
use crate::position::{Position, Reached};
use crate::standing::Standing;
use crate::table::Table;

/// What requests that no route matches are counted under; no route can have this name.
pub const UNMATCHED: &str = "(unmatched)";

/// A config ready to serve.
#[derive(Debug)]
pub struct Snapshot {
    /// The config itself.
    pub config: Config,
    /// The routes arranged for lookup; answers with indexes into `config.routes`.
    pub table: Table,
    /// Index of the monolith in `config.upstreams`.
    pub monolith: usize,
    standings: Vec<Arc<Standing>>,
    places: Vec<Places>,
    reached: Vec<Arc<[Reached; 2]>>,
    pens: Vec<Option<Arc<Pen>>>,
    subjects: Vec<Arc<str>>,
    served_by: Vec<HeaderValue>,
    why_fixed: Vec<Option<HeaderValue>>,
    why_unmatched: Option<HeaderValue>,
}

impl Snapshot {
    /// Prepares a config, knowing nothing yet of its upstreams.
    pub fn new(config: Config) -> Self {
        Self::following(config, None)
    }

    /// Prepares a config and takes over what the snapshot before it knew of upstreams and modules that stay.
    pub fn following(config: Config, before: Option<&Self>) -> Self {
        let (standings, reached) = (standings(&config, before), reached(&config, before));
        let places = places(&config, before);
        let pens = pens(&config, before);
        let table = Table::new(
            config
                .routes
                .iter()
                .map(|route| (route.host.as_ref(), &route.rule)),
        );
        let monolith = config.monolith();
        let served_by = config.upstreams.iter().map(|upstream| header(&upstream.name));
        let served_by = served_by
            .map(|name| name.unwrap_or(HeaderValue::from_static("?")))
            .collect();
        let mut snapshot = Self {
            config,
            table,
            monolith,
            standings,
            places,
            reached,
            pens,
            subjects: Vec::new(),
            served_by,
            why_fixed: Vec::new(),
            why_unmatched: None,
        };
        let subjects = snapshot
            .config
            .routes
            .iter()
            .map(|route| subject(&snapshot.config, route));
        snapshot.subjects = subjects.collect();
        snapshot.why_fixed = snapshot.reasons();
        let unmatched = snapshot.monolith_for(None, Rule::Unmatched);
        snapshot.why_unmatched = header(&unmatched.why(&snapshot));
        snapshot
    }

    /// The reasons that no request changes, by route.
    fn reasons(&self) -> Vec<Option<HeaderValue>> {
        let routes = self.config.routes.iter().enumerate();
        let reasons = routes.map(|(index, route)| match route.mode {
            Mode::Canary(_) => None,
            Mode::Monolith | Mode::Shadow | Mode::Service | Mode::ByOwner => {
                header(&self.monolith_for(Some(index), Rule::Fixed).why(self))
            }
        });
        reasons.collect()
    }

    /// A decision, for the sake of its reason, in which the upstream does not show.
    fn monolith_for(&self, route: Option<usize>, rule: Rule) -> Decision {
        Decision {
            upstream: self.monolith,
            route,
            rule,
            unusual: None,
            overruled: None,
        }
    }

    /// How an upstream is doing.
    pub fn standing(&self, upstream: usize) -> &Standing {
        &self.standings[upstream]
    }

    /// How each of an upstream's addresses is doing.
    pub fn places(&self, upstream: usize) -> &Places {
        &self.places[upstream]
    }

    /// How far a module's data has come on the side of an upstream.
    pub fn reached(&self, module: usize, upstream: usize) -> &Reached {
        &self.reached[module][usize::from(upstream != self.monolith)]
    }

    /// What is known of a module's pen, if it is handed over.
    pub fn pen(&self, module: usize) -> Option<&Arc<Pen>> {
        self.pens[module].as_ref()
    }

    /// All pens.
    pub fn pens(&self) -> impl Iterator<Item = &Arc<Pen>> {
        self.pens.iter().flatten()
    }

    /// Who holds a module's data: the holder of its pen, or whom the file names.
    pub fn owner(&self, module: usize) -> Owner {
        let known = self.pens[module].as_ref().and_then(|pen| pen.holder());
        known.unwrap_or(self.config.modules[module].writes)
    }

    /// The upstream that holds a module's data.
    pub fn owner_upstream(&self, module: usize) -> usize {
        match (self.owner(module), self.config.modules[module].service) {
            (Owner::Service, Some(service)) => service,
            _ => self.monolith,
        }
    }

    /// What evidence about a route is about, as a hash: what it matches, how it is compared, who answers. Its mode and its
    /// percentage are no part of it, or each promotion would begin anew.
    pub fn subject(&self, route: usize) -> &Arc<str> {
        &self.subjects[route]
    }

    /// Says what evidence about a route is about. The index after the last stands for requests that no route matches.
    pub fn about<T>(&self, route: usize, tell: impl FnOnce(&About<'_>) -> T) -> T {
        let entry = self.config.routes.get(route);
        let service = entry.and_then(|entry| self.config.modules[entry.module].service);
        let service = service.and_then(|upstream| self.standing(upstream).build());
        let monolith = self.standing(self.monolith).build();
        tell(&About {
            route: entry.map_or(UNMATCHED, |entry| &entry.name),
            subject: self.subjects.get(route).map_or("", |subject| subject),
            monolith: monolith.as_deref(),
            service: service.as_deref(),
        })
    }

    /// Takes note of what an upstream says of itself on an answer: its build and its position, which is given.
    pub fn heed(
        &self,
        route: Option<usize>,
        upstream: usize,
        (build, position): (Option<&str>, Option<&str>),
    ) -> Option<Position> {
        if let Some(build) = build {
            self.standing(upstream).note_build(build);
        }
        let position = Position::parse(position?)?;
        let module = self.config.routes[route?].module;
        self.reached(module, upstream).raise(position);
        Some(position)
    }

    /// The value of `x-served-by`.
    pub fn served_by(&self, upstream: usize) -> HeaderValue {
        self.served_by[upstream].clone()
    }

    /// The value of `x-served-why`, prepared unless it depends on the request.
    pub fn served_why(&self, decision: &Decision) -> HeaderValue {
        let is_plain = decision.unusual.is_none() && decision.overruled.is_none();
        let prepared = match (&decision.rule, decision.route) {
            (Rule::Fixed, Some(route)) if is_plain => self.why_fixed[route].clone(),
            (Rule::Unmatched, None) if is_plain => self.why_unmatched.clone(),
            _ => None,
        };
        prepared
            .or_else(|| header(&decision.why(self)))
            .unwrap_or(HeaderValue::from_static("?"))
    }
}

/// What was known of each upstream that stays, at one of its addresses at least.
fn standings(config: &Config, before: Option<&Snapshot>) -> Vec<Arc<Standing>> {
    let standings = config.upstreams.iter().map(|upstream| {
        let known = before.and_then(|before| {
            let mut upstreams = before.config.upstreams.iter();
            let at = upstreams.position(|other| other.shares_with(upstream))?;
            Some(Arc::clone(&before.standings[at]))
        });
        known.unwrap_or_default()
    });
    standings.collect()
}

/// What was known of each address that stays.
fn places(config: &Config, before: Option<&Snapshot>) -> Vec<Places> {
    let known = |address: &Address| {
        let before = before?;
        let mut upstreams = before.config.upstreams.iter().zip(&before.places);
        upstreams.find_map(|(upstream, places)| {
            let index = upstream.addresses.iter().position(|known| known == address)?;
            Some(Arc::clone(places.outlier(index)))
        })
    };
    let upstreams = config.upstreams.iter();
    upstreams.map(|upstream| Places::new(upstream, known)).collect()
}

/// What was known of the pen of each module that stays and is asked for it at the same places.
fn pens(config: &Config, before: Option<&Snapshot>) -> Vec<Option<Arc<Pen>>> {
    let pens = config.modules.iter().map(|module| {
        let settings = module.handover.as_ref()?;
        let known = before.and_then(|before| {
            before
                .pens()
                .find(|pen| pen.module == module.name && pen.settings == *settings)
        });
        Some(known.map_or_else(|| Arc::new(Pen::new(&module.name, settings)), Arc::clone))
    });
    pens.collect()
}

/// How far the data of each module that stays had come.
fn reached(config: &Config, before: Option<&Snapshot>) -> Vec<Arc<[Reached; 2]>> {
    let reached = config.modules.iter().map(|module| {
        let known = before.and_then(|before| {
            let mut modules = before.config.modules.iter();
            let at = modules.position(|other| other.name == module.name)?;
            Some(Arc::clone(&before.reached[at]))
        });
        known.unwrap_or_default()
    });
    reached.collect()
}

fn subject(config: &Config, route: &Route) -> Arc<str> {
    let authority = |upstream: usize| config.upstreams[upstream].listed();
    let service = config.modules[route.module].service;
    let service = service.map(authority).unwrap_or_default();
    let monolith = authority(config.monolith());
    let about = format!(
        "{}\n{:?}\n{monolith}\n{service}\n{:?}\n{:?}",
        route.rule, route.host, route.compare, config.noise
    );
    let digest = Sha256::digest(about.as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    hex.into()
}

fn header(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
