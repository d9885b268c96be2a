//! The evidence that a certificate may rest on: which of the buckets count, and their sum.
//!
//! For [`crate::certificate`], and for whoever shows how far a route has come. The question is always about the builds that
//! run now. So the window begins when the last answer of any other build came: a deployment begins a new window by itself,
//! and while two builds answer in turn the window stays so short that no certificate can come of it. This needs no memory
//! of deployments, and works the same for the buckets of several routers.

use std::time::{Duration, SystemTime};

use super::bucket::{Bucket, Comparisons, millis};
use super::counts::Counts;

/// The builds of the two sides, as they call themselves (`x-build-id`).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Builds {
    /// The monolith's; none if it has never said.
    pub monolith: Option<String>,
    /// The service's; none if it has never said.
    pub service: Option<String>,
}

/// A bucket and the builds that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Whose answers are in the bucket.
    pub builds: Builds,
    /// What became known of them.
    pub bucket: Bucket,
}

/// The sum of what is known of a route, its present subject and its present builds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowTotals {
    /// The builds that this is about.
    pub builds: Builds,
    /// When the first thing in here was noted; none if there is nothing.
    pub begins: Option<SystemTime>,
    /// When the last thing was noted.
    pub ends: Option<SystemTime>,
    /// The monolith's answers.
    pub monolith: Counts,
    /// The service's answers, to clients and to copies.
    pub service: Counts,
    /// Both compared.
    pub comparisons: Comparisons,
}

/// How much newer a nameless build must be before it is believed that the upstream stopped saying its build.
const NAMELESS: Duration = Duration::from_secs(60);

impl WindowTotals {
    /// Sums up what counts among these parts, in any order; nothing from before `from`.
    pub fn sum(parts: &[Part], from: SystemTime) -> Self {
        let from = millis(from);
        let Some(builds) = present(parts) else {
            return Self::default();
        };
        let others = parts.iter().filter(|part| part.builds.contradict(builds));
        let begins = others.map(|part| part.bucket.last).max().unwrap_or(0).max(from);
        let mut totals = Self {
            builds: builds.clone(),
            ..Self::default()
        };
        let counting = parts
            .iter()
            .filter(|part| part.builds == *builds && part.bucket.first >= begins);
        for Part { bucket, .. } in counting {
            let (first, last) = (moment(bucket.first), moment(bucket.last));
            totals.begins = Some(totals.begins.map_or(first, |begins| begins.min(first)));
            totals.ends = totals.ends.max(Some(last));
            totals.monolith.merge(&bucket.monolith);
            totals.service.merge(&bucket.service);
            totals.comparisons.merge(&bucket.comparisons);
        }
        totals
    }
}

impl Builds {
    /// Whether on some side both are known and differ.
    fn contradict(&self, other: &Self) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
        differ(&self.monolith, &other.monolith) || differ(&self.service, &other.service)
    }

    fn known(&self) -> usize {
        usize::from(self.monolith.is_some()) + usize::from(self.service.is_some())
    }
}

/// The builds that answered last. A router that has just started does not know them yet, so builds that are known better
/// and do not contradict go before, unless they have not been heard of for a while.
fn present(parts: &[Part]) -> Option<&Builds> {
    let newest = parts.iter().max_by_key(|part| part.bucket.last)?;
    let since = newest.bucket.last.saturating_sub(NAMELESS.as_millis() as u64);
    let fitting = parts
        .iter()
        .filter(|part| part.bucket.last >= since && !part.builds.contradict(&newest.builds));
    let best = fitting.max_by_key(|part| (part.builds.known(), part.bucket.last))?;
    Some(&best.builds)
}

fn moment(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(service: Option<&str>, first: u64, last: u64) -> Part {
        let mut bucket = Bucket::beginning(moment(first * 1_000));
        bucket.touch(moment(last * 1_000));
        bucket.service.classes[1] = last - first;
        let builds = Builds {
            monolith: Some("m1".to_owned()),
            service: service.map(str::to_owned),
        };
        Part { builds, bucket }
    }

    fn counted(parts: &[Part]) -> (Option<String>, u64) {
        let totals = WindowTotals::sum(parts, moment(0));
        (totals.builds.service, totals.service.total())
    }

    fn build(name: &str, total: u64) -> (Option<String>, u64) {
        (Some(name.to_owned()), total)
    }

    #[test]
    fn a_new_build_begins_a_new_window_and_so_does_the_old_one_when_it_comes_back() {
        let mut parts = vec![part(Some("a"), 0, 300), part(Some("a"), 301, 400)];
        assert_eq!(counted(&parts), build("a", 399));
        parts.push(part(Some("b"), 401, 500));
        assert_eq!(counted(&parts), build("b", 99));
        parts.push(part(Some("a"), 501, 510));
        assert_eq!(counted(&parts), build("a", 9));
    }

    #[test]
    fn builds_that_answer_in_turn_give_next_to_nothing() {
        let parts = [
            part(Some("a"), 0, 300),
            part(Some("b"), 1, 299),
            part(Some("b"), 301, 598),
            part(Some("a"), 302, 599),
        ];
        assert_eq!(counted(&parts), build("a", 0));
    }

    #[test]
    fn a_router_that_just_started_does_not_end_the_window_but_silence_about_the_build_does() {
        let mut parts = vec![part(Some("a"), 0, 300), part(None, 310, 312)];
        assert_eq!(counted(&parts), build("a", 300));
        parts.push(part(Some("a"), 313, 320));
        assert_eq!(counted(&parts), build("a", 307));
        parts.push(part(None, 321, 400));
        assert_eq!(counted(&parts), (None, 81));
    }

    #[test]
    fn nothing_gives_nothing_and_what_is_too_old_is_left_out() {
        assert_eq!(WindowTotals::sum(&[], moment(0)), WindowTotals::default());
        let parts = [part(Some("a"), 0, 300), part(Some("a"), 301, 400)];
        let totals = WindowTotals::sum(&parts, moment(100_000));
        assert_eq!(totals.service.total(), 99);
        assert_eq!(totals.begins, Some(moment(301_000)));
        assert_eq!(totals.ends, Some(moment(400_000)));
    }
}
