//! A config in the form that requests are served from.
//!
//! For every worker: a reload builds a new snapshot and swaps it in whole; a request holds on to the one it began with.
//! What can be worked out once (the lookup table, header values) is worked out here and not per request.

use http02::header::HeaderValue;

use crate::choose::{Decision, Rule};
use crate::config::{Config, Mode};
use crate::table::Table;

/// A config ready to serve.
#[derive(Debug)]
pub struct Snapshot {
    /// The config itself.
    pub config: Config,
    /// The routes arranged for lookup; answers with indexes into `config.routes`.
    pub table: Table,
    /// Index of the monolith in `config.upstreams`.
    pub monolith: usize,
    served_by: Vec<HeaderValue>,
    why_fixed: Vec<Option<HeaderValue>>,
    why_unmatched: Option<HeaderValue>,
}

impl Snapshot {
    /// Prepares a config.
    pub fn new(config: Config) -> Self {
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
            served_by,
            why_fixed: Vec::new(),
            why_unmatched: None,
        };
        let fixed = |index: usize| Decision {
            upstream: monolith,
            route: Some(index),
            rule: Rule::Fixed,
            unusual: None,
        };
        let why_fixed = snapshot
            .config
            .routes
            .iter()
            .enumerate()
            .map(|(index, route)| match route.mode {
                Mode::Canary(_) => None,
                Mode::Monolith | Mode::Service => header(&fixed(index).why(&snapshot)),
            });
        snapshot.why_fixed = why_fixed.collect();
        let unmatched = Decision {
            upstream: monolith,
            route: None,
            rule: Rule::Unmatched,
            unusual: None,
        };
        snapshot.why_unmatched = header(&unmatched.why(&snapshot));
        snapshot
    }

    /// The value of `x-served-by`.
    pub fn served_by(&self, upstream: usize) -> HeaderValue {
        self.served_by[upstream].clone()
    }

    /// The value of `x-served-why`, prepared unless it depends on the request.
    pub fn served_why(&self, decision: &Decision) -> HeaderValue {
        let prepared = match (&decision.rule, decision.route, decision.unusual) {
            (Rule::Fixed, Some(route), None) => self.why_fixed[route].clone(),
            (Rule::Unmatched, None, None) => self.why_unmatched.clone(),
            _ => None,
        };
        prepared
            .or_else(|| header(&decision.why(self)))
            .unwrap_or(HeaderValue::from_static("?"))
    }
}

fn header(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
