//! From every state there is a way on, and one can say which.
//!
//! For `banyan doctor`: [`next_move`] is its table. The invariant follows it from each state that the checker visits, with
//! both processes running and nobody else acting, and must come to a side that accepts writes.

use crate::guards::Guards;
use crate::state::{Command, Follow, NAMES, Name, Numbers, PenState, Phase, State};
use crate::{follower, pen};

/// The longest way on: a copy begun anew, its chunks, two pages, a grant, an acceptance.
const STEPS: usize = 12;

/// The one legal next move of a pass that is half done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// A side writes. What else is to be done has time.
    None,
    /// A command to a side.
    Order(Command),
    /// The follower's worker has to go on.
    Follow(Name),
    /// The follower must begin to copy.
    Copy(Name),
    /// Nobody can say. The protocol never leads here.
    Lost,
}

/// Reads both rows, as doctor does.
pub fn next_move(state: &State) -> Move {
    if state.writers().next().is_some() {
        return Move::None;
    }
    for name in NAMES {
        let (row, peer) = (state.side(name).pen, state.side(name.peer()));
        let reached = reached(peer.follow, row.position);
        match (row.state, row.pass) {
            (PenState::Fenced, Some(pass)) if row.holder == name && reached => {
                return Move::Order(Command::Grant {
                    to: name,
                    pass,
                    proof: row.position,
                });
            }
            (PenState::Fenced, Some(pass)) if row.holder == name => {
                return Move::Order(Command::Abort { to: name, pass });
            }
            (PenState::Granted, _) if peer.pen.epoch < row.epoch => {
                return match peer.follow {
                    None => Move::Copy(name.peer()),
                    Some(_) if reached => Move::Order(Command::Accept {
                        to: name.peer(),
                        receipt: row,
                    }),
                    Some(_) => Move::Follow(name.peer()),
                };
            }
            _ => {}
        }
    }
    Move::Lost
}

fn reached(follow: Option<Follow>, position: Numbers) -> bool {
    follow.is_some_and(|follow| follow.phase == Phase::Following && position & !follow.cursor == 0)
}

/// Whether doctor's moves, one after the other, lead to a side that accepts writes.
pub fn leads_to_a_writer(state: &State, guards: &Guards, poison: Option<usize>) -> bool {
    let mut state = state.clone();
    for _ in 0..STEPS {
        let next = match next_move(&state) {
            Move::None => return true,
            Move::Lost => return false,
            Move::Order(command) => pen::carry_out(&state, guards, command),
            Move::Copy(name) => follower::copy(&state, guards, name),
            Move::Follow(name) => follower::copy_chunk(&state, guards, name)
                .or_else(|| follower::changes(&state, guards, name))
                .and_then(|answer| follower::apply(&state, guards, answer, poison, false)),
        };
        match next {
            Some(next) => state = next,
            None => return false,
        }
    }
    false
}
