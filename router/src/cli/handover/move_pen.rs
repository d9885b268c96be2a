//! `banyan handover`: the pass from beginning to end, or what is left of one.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use handover::compare::Report;
use handover::doctor::{self, Move};
use handover::wire::{Pen, Phase, State};
use serde_json::{Value, json};
use uuid::Uuid;

use super::pass::Pass;
use super::sides::{Both, End, Sides, failure};
use super::{preflight, verify};
use crate::cli::remote::{Failure, Remote, Target};
use crate::cli::{say, tell};

/// Rows that may be looked at while writes wait: each adds to the pause.
const FEW: usize = 50;

/// Move a module's data, and the right to write it, to the other side.
///
/// Copies the rows while traffic runs, compares them, and passes the pen: writes wait for a moment at the router, the holder lets
/// nobody write, the follower comes to the end of the feed, and then it is the holder. The old holder follows from there on, so the
/// way back is the same command. It can be run again after any failure: what was done is found and gone on with.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan handover catalog --plan              what would be done
  banyan handover catalog --until verify      copy and compare, move nothing
  banyan handover catalog                     all of it
  banyan handover catalog --to monolith       and back

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 held: the two sides differ, or are not ready.")]
pub(in crate::cli) struct Handover {
    /// The module's name.
    module: String,
    /// Who is going to have the pen.
    #[arg(long, value_enum, default_value = "service")]
    to: End,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    plan: bool,
    /// Stop after this step.
    #[arg(long, value_enum, value_name = "STEP")]
    until: Option<Step>,
    /// Throw away what the follower has and copy anew.
    #[arg(long)]
    again: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Where a pass can be stopped. After the fence there is nothing to stop for: nobody could write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Step {
    /// The other side has all rows and follows.
    Copy,
    /// Both sides have been compared.
    Verify,
    /// Everything that a pass needs has been looked at.
    Preflight,
}

/// How a pass ended.
enum Ended {
    Moved(Pen),
    Stopped(Step),
    There,
    Held(Vec<String>),
}

impl Handover {
    pub(in crate::cli) fn run(self) -> ExitCode {
        match self.work() {
            Ok(code) => code,
            Err(failure) => failure.end(self.json),
        }
    }

    fn work(&self) -> Result<ExitCode, Failure> {
        let sides = Sides::open(&self.target.file.config, &self.module)?;
        let remote = Remote::open(&self.target)?;
        let both = sides.both(&remote.runtime)?;
        if self.plan {
            say(&self.planned(&sides, &both));
            return Ok(ExitCode::SUCCESS);
        }
        let mut pass = self.pass(&remote, &sides, &both);
        let ended = self.go(&mut pass, &both);
        pass.close_journal();
        Ok(self.tell_end(&pass, &ended?))
    }

    fn pass<'r>(&'r self, remote: &'r Remote, sides: &'r Sides, both: &Both) -> Pass<'r> {
        let from = if self.to == End::Service {
            End::Monolith
        } else {
            End::Service
        };
        let on_the_move = both.at(from).pen.state != State::Held;
        let known = both.at(from).pen.pass.filter(|_| on_the_move);
        Pass {
            remote,
            sides,
            module: &self.module,
            id: known.unwrap_or_else(Uuid::now_v7),
            from,
            to: self.to,
            quiet: self.json,
            told: Vec::new(),
            began: None,
            journal: None,
        }
    }

    fn go(&self, pass: &mut Pass<'_>, both: &Both) -> Result<Ended, Failure> {
        let diagnosis = doctor::diagnose(&both.monolith, &both.service);
        let giver = match &diagnosis.next {
            Move::None { holder } if both.end_of(holder) == self.to => return Ok(Ended::There),
            Move::None { .. } => return self.whole(pass),
            Move::Restored { right } => {
                return Err(Failure::Other(format!(
                    "the two sides contradict each other, as after a restored backup; `{right}` is right: see `banyan doctor`"
                )));
            }
            _ => giver(both),
        };
        if giver == self.to {
            return Err(Failure::Other(format!(
                "a pass to the {} is under way; end it with `banyan handover {} --to {}`",
                if self.to == End::Service {
                    "monolith"
                } else {
                    "service"
                },
                self.module,
                if self.to == End::Service {
                    "monolith"
                } else {
                    "service"
                },
            )));
        }
        if !self.json {
            tell(&format!("pass {} is half done; going on with it", pass.id));
        }
        // There was no fence before all rows had been found equal.
        self.rest(pass, both, &mut Report::default())
    }

    /// A pass from its beginning.
    fn whole(&self, pass: &mut Pass<'_>) -> Result<Ended, Failure> {
        if !self.json {
            tell(&format!(
                "handover of {}: {} → {} (pass {})",
                self.module,
                pass.from.word(),
                pass.to.word(),
                pass.id
            ));
        }
        let both = super::preflight::following(pass, self.again)?;
        if self.until == Some(Step::Copy) {
            return Ok(Ended::Stopped(Step::Copy));
        }
        let mut report = verify::run(pass, &both)?;
        // Rows that are changed all the time come to rest when writes wait. A few can be looked at then.
        let comes_to_rest = self.until.is_none() && report.unsettled.len() <= FEW;
        if report.total > 0 || !(report.unsettled.is_empty() || comes_to_rest) {
            return Ok(Ended::Held(verify::told(&report)));
        }
        if self.until == Some(Step::Verify) {
            return Ok(Ended::Stopped(Step::Verify));
        }
        let missing = preflight::missing(pass)?;
        if !missing.is_empty() {
            // Another coordinator may have been quicker.
            let now = pass.sides.both(&pass.remote.runtime)?;
            let is_there = now.at(self.to).pen.is_here();
            return Ok(if is_there {
                Ended::There
            } else {
                Ended::Held(missing)
            });
        }
        pass.note("preflight", "both sides are ready, and so is the way back");
        if self.until == Some(Step::Preflight) {
            return Ok(Ended::Stopped(Step::Preflight));
        }
        let both = pass.sides.both(&pass.remote.runtime)?;
        self.rest(pass, &both, &mut report)
    }

    /// From the fence on. Whatever happens, writes do not wait longer than they must.
    fn rest(&self, pass: &mut Pass<'_>, both: &Both, report: &mut Report) -> Result<Ended, Failure> {
        pass.hold()?;
        let moved = checked_moves(pass, both, report);
        pass.release();
        match moved? {
            Some(pen) => {
                pass.routes()?;
                Ok(Ended::Moved(pen))
            }
            None => Ok(Ended::Held(verify::told(report))),
        }
    }

    fn planned(&self, sides: &Sides, both: &Both) -> String {
        let from = if self.to == End::Service {
            End::Monolith
        } else {
            End::Service
        };
        let (giver, taker) = (both.at(from), both.at(self.to));
        if taker.pen.is_here() {
            return format!(
                "nothing: `{}` has the pen of {} already, in epoch {}",
                taker.side, self.module, taker.pen.epoch
            );
        }
        let phase = taker.follow.as_ref().map(|follow| follow.phase);
        if phase == Some(Phase::Sealed) {
            return format!(
                "nothing: the link of `{}` has been sealed, which is for good",
                taker.side
            );
        }
        let copy = match phase {
            Some(Phase::Following) if !self.again => format!("`{}` follows already", taker.side),
            _ => format!("`{}` copies all rows of `{}` and follows", taker.side, giver.side),
        };
        let routes = if sides.routes_to_set.is_empty() {
            "nothing in the file: mode by-owner follows the pen".to_owned()
        } else {
            let routes = sides.routes_to_set.join(", ");
            format!("mode {} in the file: {routes}", self.to.word())
        };
        format!(
            "copy       {copy}\nverify     all rows of both sides are compared; a difference stops it\npreflight  lag, clocks, tables, and \
             whether `{0}` could follow\nhold       the router lets writes wait, 4 s at the most\nfence      `{0}` lets nobody write\n\
             drain      `{1}` comes to the end of the feed\ngrant      epoch {2}; from here on there is only forward\naccept     `{1}` \
             writes\nturn       `{0}` follows\nrelease    the router sends writes to `{1}`\nroutes     {3}",
            giver.side,
            taker.side,
            giver.pen.epoch + 1,
            routes,
        )
    }

    fn tell_end(&self, pass: &Pass<'_>, ended: &Ended) -> ExitCode {
        let (word, sentence) = match ended {
            Ended::Moved(pen) => (
                "moved",
                format!(
                    "`{}` has the pen of {} in epoch {}; the way back: banyan handover {} --to {}",
                    pen.holder,
                    self.module,
                    pen.epoch,
                    self.module,
                    pass.from.word()
                ),
            ),
            Ended::Stopped(step) => (
                "stopped",
                format!("stopped after {}; nothing has moved", step_word(*step)),
            ),
            Ended::There => (
                "there",
                format!(
                    "nothing to do: the {} has the pen of {} already",
                    self.to.word(),
                    self.module
                ),
            ),
            Ended::Held(reasons) => (
                "held",
                format!("held; nothing has moved:\n  {}", reasons.join("\n  ")),
            ),
        };
        if self.json {
            let epoch = if let Ended::Moved(pen) = ended {
                json!(pen.epoch)
            } else {
                Value::Null
            };
            say(&json!({
                "module": self.module, "pass": pass.id, "outcome": word, "epoch": epoch, "sentence": sentence, "steps": pass.told,
            }).to_string());
        } else {
            say(&sentence);
        }
        if matches!(ended, Ended::Held(_)) {
            ExitCode::from(3)
        } else {
            ExitCode::SUCCESS
        }
    }
}

fn step_word(step: Step) -> &'static str {
    match step {
        Step::Copy => "copy",
        Step::Verify => "verify",
        Step::Preflight => "preflight",
    }
}

/// Who gives the pen away in the pass that is under way.
fn giver(both: &Both) -> End {
    if both.service.pen.state == State::Held {
        End::Monolith
    } else {
        End::Service
    }
}

/// The moves that are left, if the rows that had not come to rest are equal now that writes wait. Before the fence, so that whoever finds
/// one and goes on with it knows that all rows were equal.
fn checked_moves(pass: &mut Pass<'_>, both: &Both, report: &mut Report) -> Result<Option<Pen>, Failure> {
    if !report.unsettled.is_empty() {
        verify::settle(pass, report)?;
        if !report.is_equal() {
            return Ok(None);
        }
    }
    moves(pass, both).map(Some)
}

/// The moves that are left.
fn moves(pass: &mut Pass<'_>, both: &Both) -> Result<Pen, Failure> {
    let giver = &both.at(pass.from).pen;
    let receipt = if giver.state == State::Granted {
        giver.clone()
    } else {
        let fenced = if giver.state == State::Fenced {
            giver.clone()
        } else {
            pass.fence(both)?
        };
        let proof = pass.drain(&fenced)?;
        pass.grant(&fenced, proof)?
    };
    let accepted = pass.accept(&receipt)?;
    let taker = pass
        .remote
        .runtime
        .block_on(pass.sides.at(pass.to).status())
        .map_err(failure)?;
    debug_assert_eq!(accepted.epoch, taker.pen.epoch);
    pass.turn(&accepted)
}
