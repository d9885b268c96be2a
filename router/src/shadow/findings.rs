//! What the shadow has found, put where it is kept: evidence, noise, examples of mismatches.
//!
//! For [`super::run`], which finds it, and for the operators' port, which shows it. Noise and examples belong to the rules by
//! which they were found. When a reload changes a route's rules they are gone at once, not with the next copy: an operator
//! who has just had a field redacted must not be shown it any more, nor by a copy that was under way meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::Draft;
use crate::compare::noise;
use crate::compare::samples::Samples;
use crate::compare::{Answer, Differences};
use crate::evidence::{Comparison, Counts, Evidence, Outcome, Side};
use crate::notes::Notes;
use crate::snapshot::{Snapshot, UNMATCHED};
use crate::totals::Totals;

/// Fields of a route of which it is known how often they differ, and of which examples are kept.
const GROUPS: usize = 200;
/// Examples of each.
const EXAMPLES: usize = 5;

/// Where findings go.
#[derive(Debug)]
pub struct Findings {
    evidence: Arc<Evidence>,
    totals: Totals,
    routes: Mutex<HashMap<String, Known>>,
}

/// What is known of a route beyond its evidence.
#[derive(Debug)]
struct Known {
    /// What it is about.
    subject: Arc<str>,
    noise: noise::Tally,
    samples: Samples,
}

impl Findings {
    /// Nothing yet. Examples are kept once a snapshot says what of ([`Self::follow`]).
    pub fn new(evidence: Arc<Evidence>) -> Self {
        Self {
            evidence,
            totals: Totals::default(),
            routes: Mutex::default(),
        }
    }

    /// The evidence that is added to.
    pub fn evidence(&self) -> &Arc<Evidence> {
        &self.evidence
    }

    /// The same in numbers that only rise.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Takes in what a worker has counted.
    pub(super) fn take_in(&self, notes: &Notes) {
        let now = SystemTime::now();
        for (route, side, counts) in &notes.traffic {
            notes.snapshot.about(*route, |about| {
                self.totals.add_traffic(about.route, *side, counts);
                self.evidence.note_traffic(about, *side, counts, now);
            });
        }
        for (route, reason, copies) in &notes.drops {
            notes.snapshot.about(*route, |about| {
                self.totals.add_drops(about.route, reason.word(), *copies);
                self.evidence.note_drops(about, reason.word(), *copies, now);
            });
        }
    }

    /// The service answered a copy, or did not.
    pub(super) fn served(&self, draft: &Draft, status: Option<u16>, took: Duration) {
        let outcome = status.map_or(Outcome::Failed, |_| Outcome::Answered);
        let counts = Counts::of(status.unwrap_or(0), took, outcome);
        draft.snapshot.about(draft.route, |about| {
            self.totals.add_copies(about.route, &counts);
            self.evidence
                .note_traffic(about, Side::Service, &counts, SystemTime::now());
        });
    }

    /// A pair was compared, or could not be.
    pub(super) fn compared(&self, draft: &Draft, monolith: &Answer, comparison: Comparison<'_>) {
        draft.snapshot.about(draft.route, |about| {
            self.totals.add_comparison(about.route, comparison);
            self.evidence
                .note_comparison(about, monolith.status, comparison, SystemTime::now());
        });
    }

    /// A pair differs, and goes on doing so.
    pub(super) fn mismatch(&self, draft: &Draft, monolith: &Answer, differences: &Differences) {
        let (method, target) = (draft.asks.method.as_str(), draft.target());
        self.with(draft, |known| {
            known.samples.add(SystemTime::now(), method, &target, differences);
        });
        let groups: Vec<String> = differences.groups().map(str::to_owned).collect();
        self.compared(draft, monolith, Comparison::Mismatch(&groups));
    }

    /// A pair was compared for the first time, with these differences.
    pub(super) fn differed_at_first(&self, draft: &Draft, groups: &[String]) {
        self.with(draft, |known| known.noise.raw(groups.iter().map(String::as_str)));
    }

    /// The monolith was asked twice, and differed from itself in these groups.
    pub(super) fn doubled(&self, draft: &Draft, groups: &[String]) {
        self.with(draft, |known| {
            known.noise.noise(groups.iter().map(String::as_str));
        });
        draft.snapshot.about(draft.route, |about| {
            self.evidence.note_noise(about, groups, SystemTime::now());
        });
    }

    /// Whether a field differs by itself as often as between the two.
    pub(super) fn is_noise(&self, draft: &Draft, group: &str) -> bool {
        let thresholds = &draft.snapshot.config.noise;
        self.with(draft, |known| known.noise.is_noise(group, thresholds))
    }

    /// Whether all that differs are fields that differ by themselves.
    pub(super) fn excuses(&self, draft: &Draft, differences: &Differences) -> bool {
        let thresholds = &draft.snapshot.config.noise;
        self.with(draft, |known| known.noise.excuses(differences, thresholds))
    }

    /// The examples of a route's mismatches.
    pub fn samples(&self, route: &str) -> Samples {
        let routes = self.lock();
        routes
            .get(route)
            .map(|known| known.samples.clone())
            .unwrap_or_default()
    }

    /// This snapshot is about to be served: forgets the routes that it does not have, and what was found by other rules.
    pub fn follow(&self, snapshot: &Snapshot) {
        let routes = snapshot.config.routes.iter().enumerate();
        let subjects: HashMap<&str, &Arc<str>> = routes
            .map(|(index, route)| (route.name.as_str(), snapshot.subject(index)))
            .collect();
        {
            let mut known = self.lock();
            known.retain(|route, known| subjects.get(route.as_str()) == Some(&&known.subject));
            for (route, subject) in &subjects {
                known
                    .entry((*route).to_owned())
                    .or_insert_with(|| Known::about(subject));
            }
        }
        let is_route = |route: &str| route == UNMATCHED || subjects.contains_key(route);
        self.totals.retain(is_route);
        self.evidence.retain(is_route);
    }

    /// What a copy finds by rules that have been replaced while it was under way is about nothing that is there any more.
    fn with<T>(&self, draft: &Draft, act: impl FnOnce(&mut Known) -> T) -> T {
        let name = &draft.snapshot.config.routes[draft.route].name;
        let subject = draft.snapshot.subject(draft.route);
        let mut routes = self.lock();
        match routes.get_mut(name).filter(|known| known.subject == *subject) {
            Some(known) => act(known),
            None => act(&mut Known::about(subject)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn about(subject: &Arc<str>) -> Self {
        Self {
            subject: Arc::clone(subject),
            noise: noise::Tally::new(GROUPS),
            samples: Samples::new(GROUPS, EXAMPLES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Difference;
    use crate::config::Config;
    use crate::shadow::Asked;

    fn snapshot(rules: &str) -> Arc<Snapshot> {
        let text = format!(
            "[router]\n[upstreams]\nmonolith = \"http://a\"\ns = \"http://b\"\n[modules.m]\nservice = \"s\"\n\
             [[modules.m.routes]]\nname = \"r\"\nmatch = \"GET /a\"\nmode = \"shadow\"\n{rules}"
        );
        Arc::new(Snapshot::new(
            Config::parse("test.toml", text.as_bytes()).unwrap(),
        ))
    }

    /// A copy that was made while this snapshot was served has differed.
    fn differ(findings: &Findings, snapshot: &Arc<Snapshot>) {
        let draft = Draft {
            snapshot: Arc::clone(snapshot),
            route: 0,
            service: 1,
            asks: Asked {
                method: http::Method::GET,
                text: bytes::BytesMut::from("/a"),
                fields: 2,
                by_own_name: false,
            },
        };
        let answer = Answer {
            status: 200,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        let differences = Differences {
            listed: vec![Difference {
                group: "body $.note".to_owned(),
                at: "$.note".to_owned(),
                left: "\"Ann\"".to_owned(),
                right: "\"Bob\"".to_owned(),
                count: 1,
            }],
            total: 1,
            uncompared: None,
        };
        findings.mismatch(&draft, &answer, &differences);
    }

    #[test]
    fn a_copy_that_was_under_way_in_a_reload_shows_nothing_by_the_rules_of_before() {
        let findings = Findings::new(Arc::new(Evidence::new(Duration::from_secs(3_600))));
        let shown = || {
            findings
                .samples("r")
                .groups()
                .map(|(_, group)| group.count)
                .sum::<u64>()
        };
        let (plain, hiding) = (snapshot(""), snapshot("compare = { redact = [\"$.note\"] }"));
        findings.follow(&plain);
        differ(&findings, &plain);
        assert_eq!(shown(), 1);
        // The same rules again: nothing is lost.
        findings.follow(&snapshot(""));
        assert_eq!(shown(), 1);
        findings.follow(&hiding);
        assert_eq!(shown(), 0);
        differ(&findings, &hiding);
        differ(&findings, &plain);
        assert_eq!(shown(), 1, "the one by the rules that hold");
    }
}
