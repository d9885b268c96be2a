//! The live view: once a second how much goes through, what failed, who has the pen, how far behind the other side is, and the step
//! of the pass. One line that changes on a terminal; elsewhere a line a second.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use handover::client::Side;
use handover::wire::{Phase, State, Status};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use crate::clients::Counts;
use crate::demo::screen::say;

/// How often it looks.
const GLANCE: Duration = Duration::from_secs(1);
/// How long a side may take to say its status; after that it is shown as silent.
const PATIENCE: Duration = Duration::from_millis(800);

/// The view. It goes when it is dropped.
#[derive(Debug)]
pub(super) struct View {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    step: Mutex<String>,
    bar: Option<ProgressBar>,
}

impl View {
    /// Begins to show what clients do and what both sides say. The journey has so many stages.
    pub(super) fn start(counts: Arc<Counts>, sides: [Side; 2], stages: u64) -> Self {
        // The line goes to standard error, as progress does; only a terminal can change it.
        let bar = std::io::stderr().is_terminal().then(|| bar(stages));
        let shared = Arc::new(Shared {
            step: Mutex::default(),
            bar,
        });
        shared.tell(&format!(
            "  {:>5}  {:>10}  {:>6}  {:>9}  {:<24}  {:<22}  STEP",
            "TIME", "REQUESTS/S", "FAILED", "WRITTEN", "PEN", "LAG"
        ));
        let task = tokio::spawn(watch(Arc::clone(&shared), counts, sides));
        Self { shared, task }
    }

    /// The next stage of the journey begins, with this step.
    pub(super) fn stage(&self, step: &str) {
        if let Some(bar) = &self.shared.bar {
            bar.inc(1);
        }
        self.step(step);
    }

    /// Another step.
    pub(super) fn step(&self, step: &str) {
        step.clone_into(&mut self.shared.step());
    }

    /// A line that stays.
    pub(super) fn tell(&self, line: &str) {
        self.shared.tell(line);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.shared.bar {
            bar.finish_and_clear();
        }
    }
}

impl Shared {
    fn step(&self) -> std::sync::MutexGuard<'_, String> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    fn show(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(line.to_owned()),
            None => say(&format!("  {line}")),
        }
    }
}

fn bar(stages: u64) -> ProgressBar {
    let bar = ProgressBar::new(stages);
    if let Ok(style) = ProgressStyle::with_template("  {wide_msg}\n  {spinner} {bar:30} stage {pos} of {len}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

async fn watch(shared: Arc<Shared>, counts: Arc<Counts>, [monolith, service]: [Side; 2]) {
    let began = Instant::now();
    let mut pace = interval(GLANCE);
    pace.tick().await;
    let (mut before, mut then) = (counts.requests(), began);
    loop {
        pace.tick().await;
        let (left, right) = tokio::join!(
            timeout(PATIENCE, monolith.status()),
            timeout(PATIENCE, service.status())
        );
        let statuses: Vec<Status> = [left, right]
            .into_iter()
            .filter_map(|answer| answer.ok()?.ok())
            .collect();
        let (requests, now) = (counts.requests(), Instant::now());
        let rate = (requests - before) as f64 / (now - then).as_secs_f64();
        (before, then) = (requests, now);
        let line = format!(
            "{:>4.0}s  {rate:>10.0}  {:>6}  {:>9}  {:<24}  {:<22}  {}",
            began.elapsed().as_secs_f64(),
            counts.wrong(),
            HumanCount(counts.acknowledged()).to_string(),
            pen(&statuses),
            lag(&statuses),
            shared.step().as_str()
        );
        shared.show(&line);
    }
}

/// The row that knows most: the greatest epoch, and of two with the same the one that says who writes.
fn newest(statuses: &[Status]) -> Option<&Status> {
    statuses
        .iter()
        .max_by_key(|status| (status.pen.epoch, status.pen.state == State::Held))
}

/// Who has the pen, in which epoch.
fn pen(statuses: &[Status]) -> String {
    let Some(Status { pen, .. }) = newest(statuses) else {
        return "no side answers".to_owned();
    };
    match pen.state {
        State::Held => format!("{}, epoch {}", pen.holder, pen.epoch),
        State::Fenced => format!("fenced, epoch {}", pen.epoch),
        State::Granted => format!("given to {}, epoch {}", pen.holder, pen.epoch),
    }
}

/// How far behind the follower is.
fn lag(statuses: &[Status]) -> String {
    let Some(newest) = newest(statuses) else {
        return "-".to_owned();
    };
    let follows = |status: &&Status| status.side != newest.pen.holder;
    let Some(follow) = statuses
        .iter()
        .find(follows)
        .and_then(|status| status.follow.as_ref())
    else {
        return "nobody follows".to_owned();
    };
    match (follow.phase, follow.lag_seconds, &follow.copied) {
        (Phase::Following, Some(seconds), _) => format!("{seconds:.1} s"),
        (Phase::Copying, _, Some(copied)) => format!("copying, {} rows", HumanCount(copied.rows)),
        (phase, ..) => phase.word().to_owned(),
    }
}
