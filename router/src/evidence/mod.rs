//! What is known of each route: answers, errors and latencies of both sides, and what came of comparing them.
//!
//! For the certificates that a promotion rests on ([`crate::certificate`]), for the auto-promotion controller, and for
//! whoever shows it. Every worker notes its requests in a [`Tally`] of its own and hands the counts over once a second; the
//! shadow executor notes comparisons. Neither happens on a request's path. Two windows come of it: the last two minutes by
//! second ([`Evidence::recent`]) for breaches, and a day by some minutes ([`Evidence::parts`]) for certificates, which the
//! [`store`] keeps over restarts and adds up over several routers.
//!
//! Evidence is *about* something: a route by its name, a subject (a hash of everything that would make old evidence
//! worthless if it changed: the route's rule, how it is compared, where its upstreams are), and the builds that answered. It
//! is never moved from one subject or build to another.
//!
//! Architecture Invariant: memory is bounded by the number of routes. Names are few and short ([`bucket`]), buckets, builds
//! and subjects are limited ([`ledger`]), latencies have a common budget, and a store that cannot be reached holds nothing
//! back. Where something must go, the oldest evidence goes: there is less of it then, and less evidence means hold.
//!
//! Architecture Invariant: time is passed in, nothing in here reads a clock but [`store::Store::keep`].

pub mod bucket;
pub mod counts;
pub mod latency;
pub mod ledger;
pub mod recent;
pub mod store;
pub mod tally;
pub mod window;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

pub use bucket::{Comparison, Comparisons, SAMPLING};
pub use counts::Counts;
pub use latency::Latencies;
pub use recent::RecentTotals;
pub use tally::{Outcome, Side, Tally};
pub use window::{Builds, Part, WindowTotals};

use bucket::Bucket;
use ledger::{Ledger, Span, Unsaved};

/// Routes of which evidence is held at the most; of any beyond there is none, so they hold.
const ROUTES: usize = 20_000;

/// Different latencies that are held at the most, all routes together; eight bytes each.
const LATENCIES: usize = 6_000_000;

/// Bytes of a build id that is taken for one; what is longer is as good as unknown.
const BUILD_LENGTH: usize = 128;

/// What evidence is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The route's name.
    pub route: &'a str,
    /// A hash of everything that would make old evidence worthless if it changed.
    pub subject: &'a str,
    /// The build that the monolith's upstream last named; none only if it never named one.
    pub monolith: Option<&'a str>,
    /// The build that the service's upstream last named; none only if it never named one.
    pub service: Option<&'a str>,
}

/// What is known of all routes; shared by everything in the process.
#[derive(Debug)]
pub struct Evidence {
    span: Span,
    budget: usize,
    routes: RwLock<HashMap<String, Arc<Mutex<Ledger>>>>,
}

impl Evidence {
    /// Knows nothing yet, and will know things for as long as `window`.
    pub fn new(window: Duration) -> Self {
        Self {
            span: Span::new(window),
            budget: LATENCIES,
            routes: RwLock::default(),
        }
    }

    /// Notes what a worker counted since it last did so; see [`Tally::drain`]. Do so also when an upstream names another
    /// build, so that the one's answers are not put down to the other. Takes some two microseconds: with thousands of busy
    /// routes, send what was drained to another thread.
    pub fn note_traffic(&self, about: &About<'_>, side: Side, counts: &Counts, at: SystemTime) {
        let (span, builds) = (self.span, about.builds());
        self.note(about, |ledger| {
            ledger.note_traffic((about.subject, &builds), span, (side, counts), at);
        });
    }

    /// Notes what came of comparing the answers to one request. `status` is the monolith's. Both answers must be noted as
    /// traffic too: an error that both sides made is taken off the service's errors by its comparison.
    pub fn note_comparison(
        &self,
        about: &About<'_>,
        status: u16,
        comparison: Comparison<'_>,
        at: SystemTime,
    ) {
        let (span, builds) = (self.span, about.builds());
        self.note(about, |ledger| {
            ledger.note_comparison((about.subject, &builds), span, (status, comparison), at);
        });
    }

    /// Notes that the monolith was asked twice, and in which groups it differed from itself; none if it did not.
    pub fn note_noise(&self, about: &About<'_>, groups: &[String], at: SystemTime) {
        self.note_bucket(about, at, |bucket| bucket.comparisons.note_noise(groups));
    }

    /// Notes that a copy was not sent. Only [`SAMPLING`] does not count against the route.
    pub fn note_drop(&self, about: &About<'_>, reason: &'static str, at: SystemTime) {
        self.note_drops(about, reason, 1, at);
    }

    /// Notes that several copies were not sent, for who counts them first.
    pub fn note_drops(&self, about: &About<'_>, reason: &'static str, copies: u64, at: SystemTime) {
        self.note_bucket(about, at, |bucket| bucket.comparisons.note_drops(reason, copies));
    }

    /// Takes note that a route was switched: what comes after it is told apart from what was before at once, and not only
    /// when the next bucket begins.
    pub fn cut(&self, route: &str, at: SystemTime) {
        if let Some(ledger) = self.ledger(route) {
            lock(&ledger).cut(at);
        }
    }

    /// Both sides over the last seconds (up to 120, whole), for the breach detector. Whether the upstream is healthy is for
    /// the caller to add.
    pub fn recent(&self, route: &str, subject: &str, last: Duration, now: SystemTime) -> RecentTotals {
        let Some(ledger) = self.ledger(route) else {
            return RecentTotals::default();
        };
        let ledger = lock(&ledger);
        let recent = ledger.recent(subject);
        recent.map_or_else(RecentTotals::default, |recent| recent.totals(last.as_secs(), now))
    }

    /// The buckets of this process that are within the window.
    pub fn parts(&self, route: &str, subject: &str, now: SystemTime) -> Vec<Part> {
        let oldest = self.span.oldest(now);
        let ledger = self.ledger(route);
        ledger.map_or_else(Vec::new, |ledger| lock(&ledger).parts(subject, oldest))
    }

    /// The sum of what this process knows, nothing from before `from`. What other routers know, and what was known before the
    /// last start, [`store::Store::window`] adds.
    pub fn window(&self, route: &str, subject: &str, from: SystemTime, now: SystemTime) -> WindowTotals {
        WindowTotals::sum(&self.parts(route, subject, now), from)
    }

    /// Forgets the routes that are not among these; for a reload.
    pub fn retain(&self, is_route: impl Fn(&str) -> bool) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.retain(|name, _| is_route(name));
    }

    /// Forgets what is too old, and the oldest buckets of all routes if they hold more latencies than there is room for. To
    /// be called every few seconds; [`store::Store::keep`] does.
    pub fn tidy(&self, now: SystemTime) {
        let oldest = self.span.oldest(now);
        let (mut weights, mut recent) = (BTreeMap::new(), 0);
        for ledger in self.ledgers() {
            let mut ledger = lock(&ledger);
            ledger.tidy(oldest, now);
            ledger.weigh(&mut weights);
            recent += ledger.recent_values();
        }
        let mut room = self.budget.saturating_sub(recent);
        let too_much = weights.iter().rev().find(|(_, weight)| {
            let fits = **weight <= room;
            room = room.saturating_sub(**weight);
            !fits
        });
        if let Some((begin, _)) = too_much {
            tracing::warn!(
                budget = self.budget,
                "more evidence than there is room for; the oldest is forgotten"
            );
            for ledger in self.ledgers() {
                lock(&ledger).tidy(begin + 1, now);
            }
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever holds one besides the table is about to note something in it.
        routes.retain(|_, ledger| Arc::strong_count(ledger) > 1 || !lock(ledger).is_empty());
    }

    /// How the window is cut.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The names of the routes of which something is known.
    pub fn routes(&self) -> Vec<String> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.keys().cloned().collect()
    }

    /// The buckets of a route that changed since they were last [`Self::saved`].
    pub(crate) fn unsaved(&self, route: &str) -> Vec<Unsaved> {
        let ledger = self.ledger(route);
        ledger.map_or_else(Vec::new, |ledger| lock(&ledger).unsaved())
    }

    /// Takes note that a bucket is kept as it was when it was asked for.
    pub(crate) fn saved(&self, route: &str, bucket: &Unsaved) {
        if let Some(ledger) = self.ledger(route) {
            lock(&ledger).saved(bucket);
        }
    }

    fn note_bucket(&self, about: &About<'_>, at: SystemTime, note: impl FnOnce(&mut Bucket)) {
        let (span, builds) = (self.span, about.builds());
        self.note(about, |ledger| {
            note(ledger.bucket((about.subject, &builds), span, at));
        });
    }

    fn note(&self, about: &About<'_>, note: impl FnOnce(&mut Ledger)) {
        if let Some(ledger) = self.ledger(about.route).or_else(|| self.open(about.route)) {
            note(&mut lock(&ledger));
        }
    }

    fn ledger(&self, route: &str) -> Option<Arc<Mutex<Ledger>>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.get(route).map(Arc::clone)
    }

    fn open(&self, route: &str) -> Option<Arc<Mutex<Ledger>>> {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if routes.len() >= ROUTES && !routes.contains_key(route) {
            return None;
        }
        Some(Arc::clone(routes.entry(route.to_owned()).or_default()))
    }

    fn ledgers(&self) -> Vec<Arc<Mutex<Ledger>>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.values().map(Arc::clone).collect()
    }
}

impl About<'_> {
    fn builds(&self) -> Builds {
        let build = |id: Option<&str>| {
            let known = id.filter(|id| !id.is_empty() && id.len() <= BUILD_LENGTH);
            known.map(str::to_owned)
        };
        Builds {
            monolith: build(self.monolith),
            service: build(self.service),
        }
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
