//! What must be so before the pen moves: the follower follows closely, both sides describe the same tables, their clocks agree, and
//! the old holder could follow in its turn.

use std::time::{Duration, Instant};

use handover::wire::{Copy, Phase, Status};

use super::pass::Pass;
use super::progress;
use super::sides::{Both, failure};
use crate::cli::remote::Failure;

/// How long the follower may take to everything that the holder has.
const CATCH_UP: Duration = Duration::from_secs(5);
/// How far apart the clocks may be: expiry is judged by one clock, logs by both.
const SKEW: Duration = Duration::from_secs(10);
/// How often a copy is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Lets the other side copy and follow, and waits until it does.
pub(super) fn following(pass: &mut Pass<'_>, again: bool) -> Result<Both, Failure> {
    let runtime = &pass.remote.runtime;
    let begun = runtime
        .block_on(pass.sides.at(pass.to).copy(&Copy { pass: pass.id, again }))
        .map_err(failure);
    begun?;
    let bar = progress::rows("copy", pass.quiet);
    let began = Instant::now();
    loop {
        let both = pass.sides.both(&pass.remote.runtime)?;
        let taker = both.at(pass.to);
        let Some(follow) = &taker.follow else {
            return Err(Failure::Other(format!(
                "`{}` does not follow; see `banyan doctor`",
                taker.side
            )));
        };
        match follow.phase {
            Phase::Following => {
                bar.finish_and_clear();
                let detail = format!(
                    "{} follows {} ({:.1} s)",
                    taker.side,
                    follow.source,
                    began.elapsed().as_secs_f64()
                );
                pass.note("copy", &detail);
                return Ok(both);
            }
            Phase::Parked | Phase::Sealed => return Err(Failure::Other(stuck(taker))),
            Phase::Copying | Phase::CatchingUp => {
                let copied = follow.copied.as_ref();
                bar.set_position(copied.map_or(0, |copied| copied.rows));
                bar.set_message(
                    copied.map_or_else(|| follow.phase.word().to_owned(), |copied| copied.table.clone()),
                );
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn stuck(taker: &Status) -> String {
    let follow = taker.follow.as_ref();
    match follow.and_then(|follow| follow.parked.as_ref()) {
        Some(parked) => {
            let row = match (&parked.table, &parked.key) {
                (Some(table), Some(key)) => format!(" ({table} {})", key.text()),
                (Some(table), None) => format!(" ({table})"),
                _ => String::new(),
            };
            format!(
                "`{}` is parked{row}: {}\nmend the cause, then begin anew with --again",
                taker.side, parked.error
            )
        }
        None => format!("the link of `{}` has been sealed, which is for good", taker.side),
    }
}

/// What is missing, in sentences; nothing if the pass may go on.
pub(super) fn missing(pass: &Pass<'_>) -> Result<Vec<String>, Failure> {
    let both = pass.sides.both(&pass.remote.runtime)?;
    let (giver, taker) = (both.at(pass.from), both.at(pass.to));
    let mut missing = taker
        .ready
        .missing
        .iter()
        .map(|reason| format!("{}: {reason}", taker.side))
        .collect::<Vec<_>>();
    if giver.tables != taker.tables {
        missing.push(format!(
            "`{}` and `{}` describe the module's tables differently",
            giver.side, taker.side
        ));
    }
    let now = pass
        .remote
        .runtime
        .block_on(pass.sides.at(pass.to).status_now(CATCH_UP));
    let is_current = now.is_ok_and(|status| status.follow.and_then(|follow| follow.current) == Some(true));
    if !is_current {
        missing.push(format!(
            "`{}` has not caught up with `{}` in {CATCH_UP:?}",
            taker.side, giver.side
        ));
    }
    let skew = (giver.now - taker.now).abs().to_std().unwrap_or_default();
    if skew > SKEW {
        missing.push(format!(
            "the clocks of the two sides are {skew:?} apart; {SKEW:?} are allowed"
        ));
    }
    if let Err(error) = pass.remote.runtime.block_on(pass.sides.at(pass.from).rehearse()) {
        missing.push(format!("there would be no way back: {error}"));
    }
    Ok(missing)
}
