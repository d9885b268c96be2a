//! What one worker thread has to itself: its view of the config, its connections, its clock.
//!
//! For the exchanges that it runs. Workers share the current snapshot and nothing else.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::clock::{Clock, TICK};
use crate::forward::Forwarder;
use crate::snapshot::Snapshot;
use crate::watch::Watch;

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
}

impl Worker {
    /// Sets up a worker on this thread and starts its round of inspection.
    pub fn start(current: Current) -> Rc<Self> {
        let clock = Clock::new();
        let settings = &current.load().config.router;
        let watch = Watch::new(clock.clone(), settings);
        let worker = Rc::new(Self {
            current: RefCell::new(Cache::new(current)),
            forwarder: Forwarder::new(clock.clone()),
            watch,
            clock,
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

    /// The snapshot to serve a request from.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.current.borrow_mut().load())
    }

    fn inspect(&self) {
        let snapshot = self.snapshot();
        let settings = &snapshot.config.router;
        self.clock.tick();
        self.watch.look_over(settings);
        self.forwarder.tidy(&snapshot.config.upstreams, settings);
    }
}
