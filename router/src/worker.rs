//! What one worker thread has to itself: its view of the config, its connections, its clock.
//!
//! For the exchanges that it runs. Workers share the current snapshot and nothing else.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_http::Request;
use arc_swap::{ArcSwap, Cache};

use crate::attempt::Budget;
use crate::clock::{Clock, TICK};
use crate::config::Percent;
use crate::events::Events;
use crate::evidence::Side;
use crate::forward::Forwarder;
use crate::limits::Limits;
use crate::notes::Notebook;
use crate::origin::Scheme;
use crate::plan::{Plan, Refused};
use crate::shadow::{Reason, Shadow};
use crate::snapshot::Snapshot;
use crate::spans::Spans;
use crate::watch::{Connection, Watch};

/// The snapshot that new requests are served from.
pub type Current = Arc<ArcSwap<Snapshot>>;

/// One worker's own things.
#[derive(Debug)]
pub struct Worker {
    current: RefCell<Cache<Current, Arc<Snapshot>>>,
    /// Its connections to upstreams.
    pub forwarder: Forwarder,
    /// Its connections from clients.
    pub watch: Watch,
    /// Its time.
    pub clock: Clock,
    /// What it may ask a second time.
    pub budget: Budget,
    /// Where copies go.
    pub shadow: Shadow,
    /// Where requests are recorded, if they are.
    spans: Option<Spans>,
    /// What clients may ask, over all workers.
    pub limits: Arc<Limits>,
    is_draining: Arc<AtomicBool>,
    /// Where it tells what happened.
    pub events: Events,
    notebook: RefCell<Notebook>,
    ticks: Cell<u32>,
}

/// Every how many ticks a worker hands over what it has counted: once a second.
const NOTES_EVERY: u32 = 4;

impl Worker {
    /// Sets up a worker on this thread and starts its round of inspection.
    pub fn start(
        current: Current,
        (shadow, spans): (Shadow, Option<Spans>),
        limits: Arc<Limits>,
        is_draining: Arc<AtomicBool>,
        events: Events,
    ) -> Rc<Self> {
        let clock = Clock::new();
        let snapshot = current.load_full();
        let watch = Watch::new(clock.clone(), &snapshot.config.router);
        let notebook = Notebook::new(snapshot, shadow.notes());
        let worker = Rc::new(Self {
            current: RefCell::new(Cache::new(current)),
            forwarder: Forwarder::new(clock.clone()),
            watch,
            clock,
            budget: Budget::default(),
            notebook: RefCell::new(notebook),
            shadow,
            spans,
            limits,
            is_draining,
            events,
            ticks: Cell::new(0),
        });
        let inspected = Rc::downgrade(&worker);
        tokio::task::spawn_local(async move {
            let mut round = tokio::time::interval(TICK);
            round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                round.tick().await;
                let Some(worker) = inspected.upgrade() else { break };
                worker.inspect();
            }
        });
        worker
    }

    /// The worker of this thread, started if there is none yet.
    pub fn here(start: impl FnOnce() -> Rc<Self>) -> Rc<Self> {
        thread_local! {
            static HERE: RefCell<Weak<Worker>> = RefCell::default();
        }
        HERE.with_borrow_mut(|here| {
            here.upgrade().unwrap_or_else(|| {
                let worker = start();
                *here = Rc::downgrade(&worker);
                worker
            })
        })
    }

    /// The snapshot to serve a request from.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.current.borrow_mut().load())
    }

    /// What will be done with a request, if it is within its client's limits.
    pub fn plan(&self, request: &Request, connection: Option<&Rc<Connection>>) -> Result<Plan, Box<Refused>> {
        let snapshot = self.snapshot();
        let Some(spans) = &self.spans else {
            return self.plan_by(snapshot, request, connection);
        };
        let start = spans.start(&snapshot.config.telemetry);
        let mut made = self.plan_by(snapshot, request, connection);
        if let Some(start) = start {
            // Only a stream of HTTP/2 has no connection to itself, and that is spoken over TLS alone.
            let scheme = connection.map_or(Scheme::Https, |connection| connection.scheme());
            start.follow(&mut made, request, scheme);
        }
        made
    }

    fn plan_by(
        &self,
        snapshot: Arc<Snapshot>,
        request: &Request,
        connection: Option<&Rc<Connection>>,
    ) -> Result<Plan, Box<Refused>> {
        self.limits.admit(request, &snapshot.config.router)?;
        let mut plan = Plan::make(snapshot, request, connection)?;
        plan.client.must_close |= self.is_draining.load(Ordering::Relaxed);
        Ok(plan)
    }

    /// Counts an upstream's answer, or that there was none.
    pub fn note(&self, plan: &Plan, status: Option<u16>, took: Duration) {
        let side = match plan.is_at_monolith() {
            true => Side::Monolith,
            false => Side::Service,
        };
        let mut notebook = self.notebook.borrow_mut();
        notebook.served(&plan.snapshot, plan.decision.route, side, status, took);
    }

    /// Draws a sample of so many percent.
    pub fn draw(&self, share: Percent) -> bool {
        share.threshold() >= 10_000 || rand::random_range(0..10_000) < share.threshold()
    }

    /// Counts a copy that is not made.
    pub fn drop_copy(&self, by: &Arc<Snapshot>, route: usize, reason: Reason) {
        self.notebook.borrow_mut().dropped(by, route, reason);
    }

    fn inspect(&self) {
        let snapshot = self.snapshot();
        let settings = &snapshot.config.router;
        self.clock.tick();
        self.ticks.set(self.ticks.get().wrapping_add(1));
        if self.ticks.get().is_multiple_of(NOTES_EVERY) {
            self.notebook.borrow_mut().hand_over();
            self.limits.tidy();
        }
        self.watch.look_over(settings);
        self.forwarder.tidy(&snapshot.config.upstreams, settings);
    }
}
