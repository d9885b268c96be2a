//! The shadow's thread: sends copies, compares, asks again, and notes what it found.
//!
//! For `serve`, which starts it. It has a thread, a runtime and an HTTP client of its own, at a lower priority, so that
//! whatever the service does (sleeps, resets, sends without end) is waited for here and nowhere else. A second thread takes in
//! what the workers counted, so that they need no lock. A service that cannot be reached, or that answers with more than is
//! compared, is left alone for a while by its circuit ([`crate::standing`]), which the worker looks at before it makes a copy.
//!
//! A difference counts only if it stands up: the follower may lag, and some fields differ by themselves. So after a pause
//! the monolith, the service and the monolith once more are asked. If the service now agrees with either of the monolith's
//! answers, it was lag. Fields in which the monolith differs from itself are noise; so are fields that a random sample of
//! requests, for which the monolith is asked twice, has shown to be noisy ([`crate::compare::noise`]); a pair that differs in
//! nothing else is not asked again. What is left is a mismatch. How many can be asked again at a time is limited, since it is
//! load on the monolith; what finds no place is counted as not compared, never as equal.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::fetch::{self, Client};
use super::findings::Findings;
use super::{Copy, Draft, Place, Shadow};
use crate::compare::{self, Answer, Differences, Limits, Verdict};
use crate::evidence::{Comparison, Side};
use crate::notes::Notes;
use crate::standing::Change;
use crate::{position, standing};

/// Starts the threads, and gives the end of them that the workers hold.
///
/// What the workers have counted is taken in by a thread that does not step back: on a machine without time to spare a breach must
/// show, while copies may wait.
pub fn start(findings: Arc<Findings>) -> std::io::Result<Shadow> {
    let (queue, copies) = unbounded_channel();
    let (notes, mut counted) = unbounded_channel::<Notes>();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let takes_in = Arc::clone(&findings);
    std::thread::Builder::new()
        .name("evidence".to_owned())
        .spawn(move || {
            while let Some(notes) = counted.blocking_recv() {
                takes_in.take_in(&notes);
            }
        })?;
    std::thread::Builder::new()
        .name("shadow".to_owned())
        .spawn(move || {
            step_back();
            runtime.block_on(run(copies, findings));
        })?;
    Ok(Shadow::new(queue, notes))
}

/// Makes this thread one that runs when nobody else wants to (`SCHED_IDLE`, sched(7)). With a niceness of 10, and of 19 as well,
/// clients beside a full shadow waited for a fifth longer (p99) on two cores that they shared with everything else.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority as threads;
        let idle = threads::ThreadSchedulePolicy::Normal(threads::NormalThreadSchedulePolicy::Idle);
        let this = threads::thread_native_id();
        // Should it be refused, the shadow counts as much as the others.
        let _kept = threads::set_thread_priority_and_policy(this, threads::ThreadPriority::Min, idle);
    }
}

/// Serves the workers until all of them are gone.
async fn run(mut copies: UnboundedReceiver<Copy>, findings: Arc<Findings>) {
    let bench = Bench {
        client: fetch::client(),
        findings,
        rechecking: Cell::new(0),
    };
    let mut under_way = FuturesUnordered::new();
    let mut most = 1;
    loop {
        tokio::select! {
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
            copy = copies.recv(), if under_way.len() < most => {
                let Some(copy) = copy else { break };
                most = copy.draft.snapshot.config.shadow.concurrency;
                under_way.push(bench.examine(copy));
            }
        }
    }
}

/// Where copies are examined.
struct Bench {
    client: Client,
    findings: Arc<Findings>,
    /// How many differences are being asked again.
    rechecking: Cell<usize>,
}

/// A copy of a request, with the answer that its twin got.
struct Pair {
    draft: Box<Draft>,
    answer: Answer,
    _place: Place,
}

/// What is left of a difference after it was looked at again.
enum Outcome {
    Lag,
    Noise(Vec<String>),
    Mismatch(Differences),
    Unclear(&'static str),
}

impl Bench {
    async fn examine(&self, copy: Copy) {
        let copy = Pair {
            answer: copy.collected.answer(),
            draft: copy.draft,
            _place: copy.place,
        };
        let draft = &copy.draft;
        let answer = match self.ask(draft, Side::Service).await {
            Ok(answer) => answer,
            Err(reason) => {
                return self
                    .findings
                    .compared(draft, &copy.answer, Comparison::Incomparable(reason));
            }
        };
        self.sample_noise(&copy).await;
        let verdict = compare_by_rules(draft, &copy.answer, &answer);
        self.findings.differed_at_first(draft, &differing(&verdict));
        match verdict {
            Verdict::Equal => self.findings.compared(draft, &copy.answer, Comparison::Equal),
            Verdict::Incomparable(reason) => {
                let reason = reason.to_string();
                self.findings
                    .compared(draft, &copy.answer, Comparison::Incomparable(&reason));
            }
            // What the second look would excuse is excused at once: a time stamp in every answer must not take up the places
            // that real differences need, nor ask the monolith thrice for each request.
            Verdict::Differs(differences) if self.findings.excuses(draft, &differences) => {
                let groups: Vec<String> = differences.groups().map(str::to_owned).collect();
                self.findings
                    .compared(draft, &copy.answer, Comparison::Noise(&groups));
            }
            Verdict::Differs(_) => self.look_again(&copy).await,
        }
    }

    /// Asks one side, and notes how it did if it is the service.
    async fn ask(&self, draft: &Draft, side: Side) -> Result<Answer, &'static str> {
        let config = &draft.snapshot.config;
        let upstream = match side {
            Side::Monolith => draft.snapshot.monolith,
            Side::Service => draft.service,
        };
        let head = draft.head(side).ok_or("not-sendable")?;
        let began = Instant::now();
        let address = &config.upstreams[upstream].addresses[draft.snapshot.places(upstream).any()];
        let fetched = fetch::fetch(&self.client, address, head, &config.shadow).await;
        let took = began.elapsed();
        // First of all: an answer counts for the build that it names, also the first answer of a build.
        if let Ok(answer) = &fetched {
            let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
            let said = (text(&standing::BUILD), text(&position::NAME));
            draft.snapshot.heed(Some(draft.route), upstream, said);
        }
        if side == Side::Service {
            let standing = draft.snapshot.standing(upstream);
            let name = &config.upstreams[upstream].name;
            let tell = |change, bad: &str, good: &str| match change {
                Change::None => {}
                Change::Opened => tracing::warn!(upstream = name, "no copies for a while: it {bad}"),
                Change::Closed => tracing::info!(upstream = name, "copies again: it {good}"),
            };
            let reached = match &fetched {
                Err(fetch::Failure::Broken) => standing.copies.fail(&config.fallback),
                // Its connections are few and held for long, which the queue looks to.
                Err(fetch::Failure::Timeout) => Change::None,
                Ok(_) | Err(fetch::Failure::TooLarge { .. }) => standing.copies.succeed(),
            };
            tell(reached, "cannot be reached", "answers");
            let sized = match &fetched {
                // Not read, but the service has filled a connection with it that cannot be used again.
                Err(fetch::Failure::TooLarge { .. }) => standing.oversized.fail(&config.fallback),
                Err(_) => Change::None,
                Ok(_) => standing.oversized.succeed(),
            };
            tell(
                sized,
                "answers with more than is compared",
                "answers with as much as is compared",
            );
            let status = match &fetched {
                Ok(answer) => Some(answer.status),
                // It did answer, with more than is looked at.
                Err(fetch::Failure::TooLarge { status }) => Some(*status),
                Err(_) => None,
            };
            self.findings.served(draft, status, took);
        }
        fetched.map_err(|failure| failure.word(side))
    }

    async fn look_again(&self, copy: &Pair) {
        let draft = &copy.draft;
        let places = (draft.snapshot.config.shadow.concurrency / 2).max(1);
        let outcome = if self.rechecking.get() >= places {
            Outcome::Unclear("not-asked-again")
        } else {
            self.rechecking.set(self.rechecking.get() + 1);
            tokio::time::sleep(draft.snapshot.config.shadow.recheck_after).await;
            let outcome = self.confirm(draft).await;
            self.rechecking.set(self.rechecking.get() - 1);
            outcome.unwrap_or_else(Outcome::Unclear)
        };
        match outcome {
            Outcome::Lag => self.findings.compared(draft, &copy.answer, Comparison::Lag),
            Outcome::Noise(groups) => self
                .findings
                .compared(draft, &copy.answer, Comparison::Noise(&groups)),
            Outcome::Unclear(reason) => {
                self.findings
                    .compared(draft, &copy.answer, Comparison::Incomparable(reason));
            }
            Outcome::Mismatch(differences) => self.findings.mismatch(draft, &copy.answer, &differences),
        }
    }

    async fn confirm(&self, draft: &Draft) -> Result<Outcome, &'static str> {
        let before = self.ask(draft, Side::Monolith).await?;
        let service = self.ask(draft, Side::Service).await?;
        let mut differences = match compare_by_rules(draft, &before, &service) {
            Verdict::Equal => return Ok(Outcome::Lag),
            Verdict::Incomparable(_) => return Err("incomparable-when-asked-again"),
            Verdict::Differs(differences) => differences,
        };
        let after = self.ask(draft, Side::Monolith).await?;
        if compare_by_rules(draft, &after, &service) == Verdict::Equal {
            return Ok(Outcome::Lag);
        }
        let noisy = differing(&compare_by_rules(draft, &before, &after));
        let groups: Vec<String> = differences.groups().map(str::to_owned).collect();
        let is_whole = differences.unlisted() == 0 && differences.uncompared.is_none();
        differences.listed.retain(|difference| {
            !noisy.contains(&difference.group) && !self.findings.is_noise(draft, &difference.group)
        });
        match (differences.listed.is_empty(), is_whole) {
            (true, true) => Ok(Outcome::Noise(groups)),
            // Nobody knows what stands behind the noise.
            (true, false) => Err("more-differences-than-are-listed"),
            (false, _) => Ok(Outcome::Mismatch(differences)),
        }
    }

    /// For a random sample the monolith is asked twice, whatever the service said, to learn what differs by itself.
    async fn sample_noise(&self, copy: &Pair) {
        let draft = &copy.draft;
        let share = draft.snapshot.config.shadow.noise_sample.threshold();
        if rand::random_range(0..10_000) >= share {
            return;
        }
        if let Ok(again) = self.ask(draft, Side::Monolith).await {
            let groups = differing(&compare_by_rules(draft, &copy.answer, &again));
            self.findings.doubled(draft, &groups);
        }
    }
}

fn compare_by_rules(draft: &Draft, left: &Answer, right: &Answer) -> Verdict {
    let config = &draft.snapshot.config;
    let limits = Limits {
        body: config.shadow.max_body.saturating_mul(4),
        ..Limits::default()
    };
    compare::compare(&config.routes[draft.route].compare, &limits, left, right)
}

fn differing(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Differs(differences) => differences.groups().map(str::to_owned).collect(),
        Verdict::Equal | Verdict::Incomparable(_) => Vec::new(),
    }
}
