//! What a half-done pass needs next, from both sides' rows alone.
//!
//! For `banyan doctor`, and for a coordinator that takes up what another has left. It is the table *Every state, and who may move*
//! of the protocol's page, as code.

use crate::wire::{Pen, Position, State, Status};

/// The one move that is right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// No pass is under way. One may begin.
    None {
        /// Who accepts writes.
        holder: String,
    },
    /// Everything is there: the holder can grant.
    Grant {
        /// The side to ask.
        at: String,
    },
    /// The follower is not at the end of the feed yet. It goes on by itself; the holder can take the fence back.
    Drain {
        /// The side that must come further.
        at: String,
        /// To where.
        until: Position,
    },
    /// The pen was granted, and the other side has everything: it can accept.
    Accept {
        /// The side to ask.
        at: String,
    },
    /// The pen was granted, and the other side has not everything yet. There is no way back: it must come to the end.
    Await {
        /// The side that must come further.
        at: String,
        /// To where.
        until: Position,
    },
    /// The new holder writes; the old one must turn and follow.
    Turn {
        /// The side to ask.
        at: String,
    },
    /// Both sides say that they hold the pen, or none can be right: a database was put back from a backup.
    Restored {
        /// The side whose epoch is the greater: it is right.
        right: String,
    },
}

/// What there is, and what is right now.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// Who accepts writes; none while nobody does.
    pub writes: Option<String>,
    /// The move.
    pub next: Move,
}

/// Judges two sides' rows.
pub fn diagnose(one: &Status, other: &Status) -> Diagnosis {
    let writers: Vec<&str> = [one, other]
        .into_iter()
        .filter(|side| side.pen.is_here())
        .map(|side| side.side.as_str())
        .collect();
    let writes = writers.first().map(|side| (*side).to_owned());
    // The side that gave or gives the pen away: the one that is on the move, else the holder.
    let (from, to) = if moves(&other.pen) || (!moves(&one.pen) && other.pen.is_here()) {
        (other, one)
    } else {
        (one, other)
    };
    let next = match (writers.len(), from.pen.state) {
        (2, _) => restored(one, other),
        (_, State::Fenced) => fenced(from, to),
        (_, State::Granted) => granted(from, to),
        (1, State::Held) => Move::None {
            holder: from.side.clone(),
        },
        _ => restored(one, other),
    };
    Diagnosis { writes, next }
}

fn moves(pen: &Pen) -> bool {
    pen.state != State::Held
}

fn restored(one: &Status, other: &Status) -> Move {
    let right = if one.pen.epoch >= other.pen.epoch {
        one
    } else {
        other
    };
    Move::Restored {
        right: right.side.clone(),
    }
}

fn fenced(from: &Status, to: &Status) -> Move {
    match from.pen.position {
        Some(until) if !has_reached(from, to, until) => Move::Drain {
            at: to.side.clone(),
            until,
        },
        _ => Move::Grant {
            at: from.side.clone(),
        },
    }
}

fn granted(from: &Status, to: &Status) -> Move {
    if to.pen.epoch >= from.pen.epoch {
        return Move::Turn {
            at: from.side.clone(),
        };
    }
    match from.pen.position {
        Some(until) if !has_reached(from, to, until) => Move::Await {
            at: to.side.clone(),
            until,
        },
        _ => Move::Accept { at: to.side.clone() },
    }
}

/// Whether a follower of this feed has come to a position.
fn has_reached(from: &Status, to: &Status, position: Position) -> bool {
    to.follow
        .as_ref()
        .is_some_and(|follow| follow.feed == from.pen.feed && follow.reached >= Some(position))
}
