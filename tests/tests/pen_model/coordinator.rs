//! Coordinators: whoever tells the sides what to do.
//!
//! There are two, and each may do anything at any time that its journal and a look at the sides allow: begin a pass, go on with
//! its own or the other's, abort, race itself. Judging is left to the sides. A command stays on its way until it is lost, so
//! it may arrive at any later time and any number of times; a coordinator that is slow, dead or started again is one whose
//! commands come late, not at all, or from an old journal.

use crate::state::{Command, NAMES, Name, Pass, PenState, Phase, State};

/// The commands that a coordinator may give now.
pub fn commands(state: &State, coordinator: u8, last_epoch: u8) -> Vec<Command> {
    let mut commands = Vec::new();
    for name in NAMES {
        let (side, peer) = (state.side(name), state.side(name.peer()));
        let follows = peer.follow.is_some_and(|follow| follow.phase == Phase::Following);
        if side.accepts() && follows && side.pen.epoch <= last_epoch {
            let pass = Pass {
                coordinator,
                epoch: side.pen.epoch,
            };
            commands.push(Command::Fence { to: name, pass });
        }
        if side.pen.state == PenState::Granted {
            commands.push(Command::Accept {
                to: name.peer(),
                receipt: side.pen,
            });
            if peer.accepts() {
                commands.push(Command::Turn {
                    to: name,
                    receipt: peer.pen,
                });
            }
        }
    }
    if let Some(pass) = state.journals[usize::from(coordinator)] {
        let to = Name::of_epoch(pass.epoch);
        commands.push(Command::Abort { to, pass });
        commands.push(Command::Grant {
            to,
            pass,
            proof: proof(state, to.peer()),
        });
    }
    commands
}

/// What the follower says that it has reached.
fn proof(state: &State, name: Name) -> u16 {
    let follow = state.side(name).follow;
    follow
        .filter(|follow| follow.phase == Phase::Following)
        .map_or(0, |follow| follow.cursor)
}

/// The command that counts on a grant before there is one. No coordinator gives it; see the guard.
pub fn rash_accept(state: &State, name: Name) -> Option<Command> {
    let pen = state.side(name).pen;
    (pen.state == PenState::Fenced).then(|| {
        let receipt = crate::state::Pen {
            holder: name.peer(),
            epoch: pen.epoch + 1,
            state: PenState::Granted,
            ..pen
        };
        Command::Accept {
            to: name.peer(),
            receipt,
        }
    })
}

/// A coordinator finds another's pass, half done, and goes on with it.
pub fn take_over(state: &State, coordinator: u8, name: Name) -> Option<State> {
    let pen = state.side(name).pen;
    let pass = pen.pass.filter(|_| pen.state == PenState::Fenced)?;
    let mut next = state.clone();
    next.journals[usize::from(coordinator)] = Some(pass);
    (next != *state).then_some(next)
}
