//! What is known of one route: its last seconds, and its buckets by builds, for each subject that it has had lately.
//!
//! For [`super::Evidence`], which holds one for each route under a lock of its own. Subjects overlap for a moment in a
//! reload, when some workers still serve from the snapshot before; so a new subject does not end the old one, the oldest is
//! forgotten once there are too many.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::bucket::{Bucket, Comparison, millis};
use super::counts::Counts;
use super::recent::Recent;
use super::tally::Side;
use super::window::{Builds, Part};

/// Subjects of one route, and pairs of builds of one subject, that are remembered.
const REMEMBERED: usize = 4;

/// Buckets in one window, whatever its length.
const BUCKETS: u64 = 288;

/// How long the window is, and the spans that it is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The window, in milliseconds.
    window: u64,
    /// One bucket, in milliseconds: whole minutes.
    bucket: u64,
}

impl Span {
    /// Cuts a window into whole minutes of which there are at most 288: five minutes each for the usual 24 hours.
    pub fn new(window: Duration) -> Self {
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(60_000);
        Self {
            window,
            bucket: window.div_ceil(BUCKETS).div_ceil(60_000) * 60_000,
        }
    }

    /// When the bucket began that `at` lies in, in milliseconds since the Unix epoch.
    fn begin(self, at: SystemTime) -> u64 {
        let at = millis(at);
        at - at % self.bucket
    }

    /// The same, but no bucket goes on over a cut (in milliseconds since the Unix epoch).
    fn begin_after(self, cut: u64, at: SystemTime) -> u64 {
        let begin = self.begin(at);
        match millis(at) >= cut {
            true => begin.max(cut),
            false => begin,
        }
    }

    /// The first begin of a bucket that is not too old; what began earlier may be forgotten.
    pub fn oldest(self, now: SystemTime) -> u64 {
        millis(now).saturating_sub(self.window + self.bucket)
    }
}

/// A bucket that the store does not have yet as it is now.
#[derive(Debug, Clone)]
pub struct Unsaved {
    /// What its evidence is about.
    pub subject: String,
    /// Whose answers are in it.
    pub builds: Builds,
    /// When it began, in milliseconds since the Unix epoch.
    pub begin: u64,
    /// How often it had been changed.
    pub revision: u64,
    /// What is in it.
    pub bucket: Bucket,
}

/// What is known of one route.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    subjects: Vec<Subject>,
    /// When a bucket last began out of turn, in milliseconds since the Unix epoch.
    cut: u64,
}

#[derive(Debug)]
struct Subject {
    name: String,
    noted: SystemTime,
    recent: Recent,
    series: Vec<Series>,
}

/// The buckets of one pair of builds, by begin.
#[derive(Debug)]
struct Series {
    builds: Builds,
    noted: SystemTime,
    buckets: BTreeMap<u64, Kept>,
}

#[derive(Debug)]
struct Kept {
    bucket: Bucket,
    revision: u64,
    saved: u64,
}

impl Ledger {
    pub(super) fn note_traffic(
        &mut self,
        (subject, builds): (&str, &Builds),
        span: Span,
        (side, counts): (Side, &Counts),
        at: SystemTime,
    ) {
        let begin = span.begin_after(self.cut, at);
        let subject = self.subject(subject, at);
        subject.recent.note_traffic(side, counts, at);
        subject.bucket(builds, begin, at).side(side).merge(counts);
    }

    pub(super) fn note_comparison(
        &mut self,
        (subject, builds): (&str, &Builds),
        span: Span,
        (status, comparison): (u16, Comparison<'_>),
        at: SystemTime,
    ) {
        let begin = span.begin_after(self.cut, at);
        let subject = self.subject(subject, at);
        subject.recent.note_comparison(comparison, at);
        let bucket = subject.bucket(builds, begin, at);
        bucket.comparisons.note(status, comparison, at);
    }

    /// The bucket that now is noted in, for what shows in no window of seconds.
    pub(super) fn bucket(
        &mut self,
        (subject, builds): (&str, &Builds),
        span: Span,
        at: SystemTime,
    ) -> &mut Bucket {
        let begin = span.begin_after(self.cut, at);
        self.subject(subject, at).bucket(builds, begin, at)
    }

    /// What is noted from `at` on goes into buckets that began no earlier.
    pub(super) fn cut(&mut self, at: SystemTime) {
        self.cut = millis(at);
    }

    pub(super) fn recent(&self, subject: &str) -> Option<&Recent> {
        let subject = self.subjects.iter().find(|known| known.name == subject)?;
        Some(&subject.recent)
    }

    /// All buckets of a subject that began at `oldest` or later.
    pub(super) fn parts(&self, subject: &str, oldest: u64) -> Vec<Part> {
        let subjects = self.subjects.iter().filter(|known| known.name == subject);
        let series = subjects.flat_map(|subject| &subject.series);
        let parts = series.flat_map(|series| {
            series.buckets.range(oldest..).map(|(_, kept)| Part {
                builds: series.builds.clone(),
                bucket: kept.bucket.clone(),
            })
        });
        parts.collect()
    }

    pub(super) fn unsaved(&self) -> Vec<Unsaved> {
        let mut unsaved = Vec::new();
        for subject in &self.subjects {
            for series in &subject.series {
                let changed = series
                    .buckets
                    .iter()
                    .filter(|(_, kept)| kept.revision > kept.saved);
                unsaved.extend(changed.map(|(begin, kept)| Unsaved {
                    subject: subject.name.clone(),
                    builds: series.builds.clone(),
                    begin: *begin,
                    revision: kept.revision,
                    bucket: kept.bucket.clone(),
                }));
            }
        }
        unsaved
    }

    /// Takes note that a bucket is kept as it was at that revision.
    pub(super) fn saved(&mut self, saved: &Unsaved) {
        let subject = self.subjects.iter_mut().find(|known| known.name == saved.subject);
        let series = subject.and_then(|subject| {
            let mut series = subject.series.iter_mut();
            series.find(|known| known.builds == saved.builds)
        });
        if let Some(kept) = series.and_then(|series| series.buckets.get_mut(&saved.begin)) {
            kept.saved = kept.saved.max(saved.revision);
        }
    }

    /// Forgets buckets that began before `oldest`, and subjects of which nothing is left.
    pub(super) fn tidy(&mut self, oldest: u64, now: SystemTime) {
        for subject in &mut self.subjects {
            subject.recent.tidy(now);
            for series in &mut subject.series {
                series.buckets = series.buckets.split_off(&oldest);
            }
            subject.series.retain(|series| !series.buckets.is_empty());
        }
        self.subjects.retain(|subject| !subject.series.is_empty());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// How many different latencies are held in the buckets that began at a time.
    pub(super) fn weigh(&self, weights: &mut BTreeMap<u64, usize>) {
        for subject in &self.subjects {
            let buckets = subject.series.iter().flat_map(|series| &series.buckets);
            for (begin, kept) in buckets {
                *weights.entry(*begin).or_default() += kept.bucket.values();
            }
        }
    }

    /// How many different latencies are held in windows of seconds.
    pub(super) fn recent_values(&self) -> usize {
        self.subjects.iter().map(|subject| subject.recent.values()).sum()
    }

    fn subject(&mut self, name: &str, at: SystemTime) -> &mut Subject {
        let place = match self.subjects.iter().position(|known| known.name == name) {
            Some(place) => place,
            None => {
                make_room(&mut self.subjects, |subject| subject.noted);
                self.subjects.push(Subject {
                    name: name.to_owned(),
                    noted: at,
                    recent: Recent::default(),
                    series: Vec::new(),
                });
                self.subjects.len() - 1
            }
        };
        let subject = &mut self.subjects[place];
        subject.noted = at;
        subject
    }
}

impl Subject {
    fn bucket(&mut self, builds: &Builds, begin: u64, at: SystemTime) -> &mut Bucket {
        let place = match self.series.iter().position(|known| known.builds == *builds) {
            Some(place) => place,
            None => {
                make_room(&mut self.series, |series| series.noted);
                self.series.push(Series {
                    builds: builds.clone(),
                    noted: at,
                    buckets: BTreeMap::new(),
                });
                self.series.len() - 1
            }
        };
        let series = &mut self.series[place];
        series.noted = at;
        // Whoever switches a route all day long makes many buckets.
        if series.buckets.len() as u64 > 2 * BUCKETS {
            series.buckets.pop_first();
        }
        let kept = series.buckets.entry(begin).or_insert_with(|| Kept {
            bucket: Bucket::beginning(at),
            revision: 0,
            saved: 0,
        });
        kept.revision += 1;
        kept.bucket.touch(at);
        &mut kept.bucket
    }
}

/// Removes what was noted longest ago if there is no room for one more.
fn make_room<T>(row: &mut Vec<T>, noted: impl Fn(&T) -> SystemTime) {
    if row.len() >= REMEMBERED {
        let oldest = (0..row.len()).min_by_key(|place| noted(&row[*place]));
        oldest.map(|place| row.swap_remove(place));
    }
}
