//! One pass: the pen of a module goes from one side to the other, step by step. Each step is told to the router's journal before
//! the next begins.

use std::time::{Duration, Instant};

use handover::client;
use handover::wire::{self, Pen, Position, State};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::sides::{Both, End, Sides, failure};
use crate::admin::wish::{ModeWord, SetMode, WishBody, WishFor};
use crate::cli::remote::{Failure, PATIENCE, Remote, actor};
use crate::cli::tell;

/// How long nobody may write before the fence ends by itself, in milliseconds.
const EXPIRES_MS: u64 = 5_000;
/// How long a fence waits for open transactions before it lets them go on, in milliseconds.
const WAIT_MS: u64 = 500;
/// How long the follower may take to the end of the feed.
const DRAIN: Duration = Duration::from_secs(3);
/// How long the router holds writes at the most: a little longer than all of it may take.
const HOLD_MS: u64 = 4_000;

/// A pass under way.
pub(super) struct Pass<'r> {
    pub(super) remote: &'r Remote,
    pub(super) sides: &'r Sides,
    pub(super) module: &'r str,
    pub(super) id: Uuid,
    pub(super) from: End,
    pub(super) to: End,
    pub(super) quiet: bool,
    pub(super) told: Vec<Value>,
    pub(super) began: Option<Instant>,
    /// The entry of the journal that was written last, which waits for those before it.
    pub(super) journal: Option<JoinHandle<bool>>,
}

impl Pass<'_> {
    /// Tells the operator and the journal what was done.
    pub(super) fn note(&mut self, step: &str, detail: &str) {
        if !self.quiet {
            tell(&format!("  {step:<10} {detail}"));
        }
        self.told.push(json!({ "step": step, "detail": detail }));
        let entry = json!({ "pass": self.id, "step": step, "detail": detail });
        // The journal explains; what is true stands in the sides. Nothing waits for it while writes wait, and a router that is away must
        // not stop a pass half-way.
        let before = self.journal.take();
        let written = self
            .remote
            .post_beside(before, &["modules", self.module, "journal"], &entry, &actor());
        self.journal = Some(written);
    }

    /// Waits until the journal has everything.
    pub(super) fn close_journal(&mut self) {
        if let Some(written) = self.journal.take() {
            let _ = self.remote.runtime.block_on(written);
        }
    }

    /// Lets writes wait at the router, so that clients notice a pause and no refusal.
    pub(super) fn hold(&mut self) -> Result<(), Failure> {
        let reason = format!("pass {}", self.id);
        let body = json!({ "ms": HOLD_MS, "reason": reason });
        self.remote
            .post(&["modules", self.module, "hold"], &body, &actor(), PATIENCE)?;
        self.began = Some(Instant::now());
        self.note("hold", "writes wait at the router");
        Ok(())
    }

    /// Lets them go on.
    pub(super) fn release(&mut self) {
        let reason = format!("pass {}", self.id);
        let released = self.remote.post(
            &["modules", self.module, "release"],
            &json!({ "reason": reason }),
            &actor(),
            PATIENCE,
        );
        let pause = self.began.take().map_or(0, |began| began.elapsed().as_millis());
        match released {
            Ok(_) => self.note("release", &format!("writes paused {pause} ms")),
            Err(_) => self.note(
                "release",
                "the router does not answer; it lets writes go on by itself",
            ),
        }
    }

    /// held → fenced.
    pub(super) fn fence(&mut self, both: &Both) -> Result<Pen, Failure> {
        let command = wire::Fence {
            pass: self.id,
            epoch: both.at(self.from).pen.epoch,
            to: both.at(self.to).side.clone(),
            expires_ms: EXPIRES_MS,
            wait_ms: WAIT_MS,
        };
        let pen = self.ask(self.sides.at(self.from).fence(&command))?;
        if pen.state != State::Fenced {
            return Err(Failure::Other(format!(
                "pass {} is over: the pen is {}",
                self.id,
                pen.state.word()
            )));
        }
        let at = pen
            .position
            .map(|position| position.to_string())
            .unwrap_or_default();
        self.note("fence", &format!("{} lets nobody write, at {at}", pen.side));
        Ok(pen)
    }

    /// Waits until the follower has everything; takes the fence back if it does not come that far.
    pub(super) fn drain(&mut self, fenced: &Pen) -> Result<wire::Proof, Failure> {
        let Some(until) = fenced.position else {
            return Err(Failure::Other("the fence says no position".to_owned()));
        };
        match self.reach(until) {
            Ok(proof) => {
                self.note("drain", &format!("{} has reached {until}", proof.side));
                Ok(proof)
            }
            Err(failure) => {
                self.take_back(fenced);
                Err(failure)
            }
        }
    }

    fn reach(&self, until: Position) -> Result<wire::Proof, Failure> {
        let deadline = Instant::now() + DRAIN;
        loop {
            let status = self.ask(self.sides.at(self.to).status_at(until, Duration::from_secs(1)))?;
            let follow = status.follow.as_ref();
            if follow.is_some_and(|follow| follow.reached >= Some(until)) {
                return Ok(wire::Proof {
                    side: status.side.clone(),
                    feed: follow.map(|follow| follow.feed).unwrap_or_default(),
                    reached: follow.and_then(|follow| follow.reached),
                });
            }
            if Instant::now() > deadline {
                let reached = follow
                    .and_then(|follow| follow.reached)
                    .map_or_else(|| "nothing".to_owned(), |at| at.to_string());
                return Err(Failure::Other(format!(
                    "{} has reached {reached} and not {until} in {DRAIN:?}; the fence was taken back, nothing has moved",
                    status.side
                )));
            }
        }
    }

    /// fenced → held, when a pass cannot go on.
    pub(super) fn take_back(&mut self, fenced: &Pen) {
        let command = wire::Abort {
            pass: self.id,
            epoch: fenced.epoch,
        };
        match self.ask(self.sides.at(self.from).abort(&command)) {
            Ok(pen) => self.note(
                "abort",
                &format!("{} writes on, in epoch {}", pen.holder, pen.epoch),
            ),
            Err(_) => self.note("abort", "the holder does not answer; the fence ends by itself"),
        }
    }

    /// fenced → granted: from here on there is only forward.
    pub(super) fn grant(&mut self, fenced: &Pen, proof: wire::Proof) -> Result<Pen, Failure> {
        let command = wire::Grant {
            pass: self.id,
            epoch: fenced.epoch,
            proof,
        };
        let pen = match self.ask(self.sides.at(self.from).grant(&command)) {
            Ok(pen) => pen,
            Err(failure) => {
                // Whether it was done is not known: the status says. An abort that comes after a grant changes nothing.
                self.take_back(fenced);
                return Err(failure);
            }
        };
        self.note(
            "grant",
            &format!("{} is to have the pen, in epoch {}", pen.holder, pen.epoch),
        );
        Ok(pen)
    }

    /// The follower becomes the holder.
    pub(super) fn accept(&mut self, receipt: &Pen) -> Result<Pen, Failure> {
        let pen = self.insist(|this| {
            this.ask(this.sides.at(this.to).accept(&wire::Accept {
                receipt: receipt.clone(),
            }))
        })?;
        self.note(
            "accept",
            &format!("{} writes, in epoch {}", pen.holder, pen.epoch),
        );
        Ok(pen)
    }

    /// The old holder follows.
    pub(super) fn turn(&mut self, receipt: &Pen) -> Result<Pen, Failure> {
        let pen = self.insist(|this| {
            this.ask(this.sides.at(this.from).turn(&wire::Turn {
                receipt: receipt.clone(),
            }))
        })?;
        self.note("turn", &format!("{} follows", pen.side));
        Ok(pen)
    }

    /// Asks again for a while: after the grant there is no way back, so a side that is away is waited for.
    fn insist(&self, ask: impl Fn(&Self) -> Result<Pen, Failure>) -> Result<Pen, Failure> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match ask(self) {
                Ok(pen) => return Ok(pen),
                Err(failure) if Instant::now() > deadline => return Err(failure),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Lets the file say what is so: the module's write routes go to the holder.
    pub(super) fn routes(&mut self) -> Result<(), Failure> {
        let mode = match self.to {
            End::Service => ModeWord::Service,
            End::Monolith => ModeWord::Monolith,
        };
        for route in &self.sides.routes_to_set {
            let wish = WishBody {
                wish: WishFor::Set(SetMode {
                    route: route.clone(),
                    mode,
                    percent: None,
                }),
                reason: format!(
                    "pass {}: the pen has moved, and the rows of both sides were equal",
                    self.id
                ),
                // What allows it is the pen, not the evidence of answers: a write cannot be shadowed.
                force: true,
                expected: None,
            };
            self.remote.post(&["switch"], &wish, &actor(), PATIENCE)?;
        }
        if self.sides.routes_to_set.is_empty() {
            self.note(
                "routes",
                "by-owner in the file: they have followed the pen already",
            );
            return Ok(());
        }
        let routes = self.sides.routes_to_set.join(", ");
        self.note("routes", &format!("{} in the file: {routes}", self.to.word()));
        Ok(())
    }

    /// One question to a side.
    fn ask<T>(&self, question: impl Future<Output = Result<T, client::Error>>) -> Result<T, Failure> {
        self.remote.runtime.block_on(question).map_err(failure)
    }
}
