//! The commands that move the pen, as each side carries them out: one transaction each.
//!
//! For whoever writes `extracted/handover`: these are the preconditions and the effects. A command that finds another state
//! than it names changes nothing; that it has been done already is an answer, not an effect, and needs no model.

use crate::guards::Guards;
use crate::state::{Command, Follow, Name, Pass, Pen, PenState, Phase, State};

/// Carries out a command. `None`: refused, or done already.
pub fn carry_out(state: &State, guards: &Guards, command: Command) -> Option<State> {
    let mut next = state.clone();
    let done = match command {
        Command::Fence { to, pass } => fence(&mut next, guards, to, pass),
        Command::Grant { to, pass, proof } => grant(&mut next, guards, to, pass, proof),
        Command::Abort { to, pass } => abort(&mut next, guards, to, pass),
        Command::Accept { to, receipt } => accept(&mut next, guards, to, receipt),
        Command::Turn { to, receipt } => turn(&mut next, guards, to, receipt),
    };
    done.then_some(next)
}

/// held → fenced, at the end of the feed.
fn fence(state: &mut State, guards: &Guards, to: Name, pass: Pass) -> bool {
    let writers = state.open(to).next().is_some();
    let side = state.side(to);
    if !side.accepts()
        || (guards.fence_names_the_epoch && side.pen.epoch != pass.epoch)
        || (guards.fence_waits_for_writers && writers)
    {
        return false;
    }
    let position = side.head();
    let pen = &mut state.side_mut(to).pen;
    *pen = Pen {
        state: PenState::Fenced,
        pass: Some(pass),
        position,
        ..*pen
    };
    state.history.strayed |= ended(state, pass);
    true
}

/// fenced → granted: the point of no return.
fn grant(state: &mut State, guards: &Guards, to: Name, pass: Pass, proof: u16) -> bool {
    let pen = state.side(to).pen;
    if pen.holder != to
        || (guards.grant_needs_the_fence && pen.state != PenState::Fenced)
        || (guards.grant_names_the_pass && pen.pass != Some(pass))
        || (guards.grant_needs_proof && pen.position & !proof != 0)
    {
        return false;
    }
    end(state, pen.pass, pass);
    state.side_mut(to).pen = Pen {
        holder: to.peer(),
        epoch: pen.epoch + 1,
        state: PenState::Granted,
        ..pen
    };
    true
}

/// fenced → held by the same side.
fn abort(state: &mut State, guards: &Guards, to: Name, pass: Pass) -> bool {
    let pen = state.side(to).pen;
    if (guards.abort_needs_the_fence && pen.state != PenState::Fenced)
        || (guards.abort_names_the_pass && pen.pass != Some(pass))
    {
        return false;
    }
    end(state, pen.pass, pass);
    state.history.aborted = true;
    let epoch = pen.epoch + if guards.abort_skips_an_epoch { 2 } else { 1 };
    state.side_mut(to).pen = Pen {
        holder: to,
        epoch,
        state: PenState::Held,
        position: 0,
        ..pen
    };
    true
}

/// The holder's own abort, when the fence has expired.
pub fn expire(state: &State, guards: &Guards, name: Name) -> Option<State> {
    let pen = state.side(name).pen;
    let pass = pen.pass.filter(|_| pen.state == PenState::Fenced)?;
    let mut next = state.clone();
    abort(&mut next, guards, name, pass).then_some(next)
}

/// The follower becomes the holder. Checked against its own database.
fn accept(state: &mut State, guards: &Guards, to: Name, receipt: Pen) -> bool {
    let side = state.side(to);
    let reached = side
        .follow
        .is_some_and(|follow| follow.phase == Phase::Following && receipt.position & !follow.cursor == 0);
    if receipt.holder != to
        || side.pen.epoch == receipt.epoch
        || (guards.accept_needs_a_newer_epoch && side.pen.epoch > receipt.epoch)
        || (guards.accept_needs_the_position && !reached)
    {
        return false;
    }
    let (head, known) = (side.head(), side.pen.epoch);
    state.history.went_back |= known > receipt.epoch;
    let side = state.side_mut(to);
    side.pen = Pen {
        state: PenState::Held,
        position: head,
        ..receipt
    };
    if guards.accept_ends_following {
        side.follow = None;
    }
    true
}

/// The old holder follows the new one, from where that one began.
fn turn(state: &mut State, guards: &Guards, to: Name, receipt: Pen) -> bool {
    let side = state.side(to);
    let granted = side.pen.state == PenState::Granted && side.pen.epoch == receipt.epoch;
    let now = state.side(to.peer()).head();
    if guards.turn_needs_the_grant && !granted {
        return false;
    }
    let known = side.pen.epoch;
    state.history.went_back |= known > receipt.epoch;
    let cursor = if guards.turn_begins_at_the_acceptance {
        receipt.position
    } else {
        now
    };
    let side = state.side_mut(to);
    side.pen = Pen {
        position: 0,
        ..receipt
    };
    side.follow = Some(Follow {
        epoch: receipt.epoch,
        cursor,
        phase: Phase::Following,
    });
    true
}

fn bit(pass: Pass) -> u32 {
    1 << (u32::from(pass.coordinator) * 16 + u32::from(pass.epoch))
}

fn ended(state: &State, pass: Pass) -> bool {
    state.history.ended & bit(pass) != 0
}

/// Notes that the pass of the row is over, and whether the command was about another.
fn end(state: &mut State, row: Option<Pass>, command: Pass) {
    state.history.strayed |= row != Some(command) || ended(state, command);
    state.history.ended |= row.map_or(0, bit);
}
