//! Clients' writes, and the routers that they come through.
//!
//! For whoever writes the router's part. One router begins with the wrong side in its file, which is all that a stale config
//! can do. The first write carries an Idempotency-Key, so its client may send it twice; the second carries none.

use crate::guards::Guards;
use crate::state::{ATTEMPTS, Attempt, Name, PenState, Router, State, WRITES};

/// The write whose client sends it again when no answer comes.
pub const KEYED: usize = 0;

/// Which sending of which write.
pub type Which = (usize, usize);

pub fn all() -> impl Iterator<Item = Which> {
    (0..WRITES).flat_map(|write| (0..ATTEMPTS).map(move |attempt| (write, attempt)))
}

/// A client sends, or sends again before it has an answer.
pub fn send(state: &State, (write, attempt): Which, router: u8) -> Option<State> {
    let before = &state.writes[write];
    let again = attempt > 0;
    if before.attempts[attempt] != Attempt::Unsent
        || (again && (write != KEYED || before.acknowledged || before.attempts[0] == Attempt::Unsent))
    {
        return None;
    }
    Some(with(
        state,
        (write, attempt),
        Attempt::AtRouter {
            router,
            replayed: false,
        },
    ))
}

/// A router sends a write on to the side that it believes to hold the pen.
pub fn forward(state: &State, which: Which) -> Option<State> {
    let Attempt::AtRouter { router, replayed } = state.writes[which.0].attempts[which.1] else {
        return None;
    };
    let Router { holder, holding, .. } = state.routers[usize::from(router)];
    (!holding).then(|| {
        with(
            state,
            which,
            Attempt::OnItsWay {
                router,
                replayed,
                to: holder,
            },
        )
    })
}

/// A write arrives: it is refused with 421, answered from the record, or passes the trigger and takes its number.
pub fn write(state: &State, guards: &Guards, which: Which) -> Option<State> {
    let Attempt::OnItsWay { router, replayed, to } = state.writes[which.0].attempts[which.1] else {
        return None;
    };
    let side = state.side(to);
    if guards.writes_need_the_pen && !side.accepts() {
        return Some(refuse(state, which, (router, replayed, to)));
    }
    if state.open(to).any(|write| write == which.0) {
        return None;
    }
    if which.0 == KEYED && side.rows[which.0].answered[which.0] {
        let mut next = with(state, which, Attempt::Answered);
        next.writes[which.0].acknowledged = true;
        next.history.answered_elsewhere |= side.outbox[which.0] == 0;
        return Some(next);
    }
    let number = side.next;
    let mut next = with(
        state,
        which,
        Attempt::Open {
            router,
            side: to,
            number,
        },
    );
    next.side_mut(to).next += 1;
    Some(next)
}

/// 421: nothing happened, so the router may send the write once more ([`forward`]); it learns who holds the pen.
fn refuse(state: &State, which: Which, (router, replayed, to): (u8, bool, Name)) -> State {
    let attempt = if replayed {
        Attempt::Refused
    } else {
        Attempt::AtRouter {
            router,
            replayed: true,
        }
    };
    let mut next = with(state, which, attempt);
    let pen = state.side(to).pen;
    let known = &mut next.routers[usize::from(router)];
    let news = pen.epoch >= known.epoch;
    if news {
        (known.holder, known.epoch) = (pen.holder, pen.epoch);
    }
    known.holding |= !news || pen.state != PenState::Held;
    next
}

/// The transaction commits, and the client gets the answer or does not.
pub fn commit(state: &State, which: Which, lost: bool) -> Option<State> {
    let Attempt::Open { router, side, number } = state.writes[which.0].attempts[which.1] else {
        return None;
    };
    let after = if lost {
        Attempt::Unknown { router }
    } else {
        Attempt::Answered
    };
    let mut next = with(state, which, after);
    next.writes[which.0].acknowledged |= !lost;
    let side = next.side_mut(side);
    let row = &mut side.rows[which.0];
    row.times[which.0] += 1;
    row.answered[which.0] |= which.0 == KEYED;
    side.outbox[which.0] |= 1 << number;
    Some(next)
}

/// A router that sends a write again though it was not refused. No router does; see the guard.
pub fn replay(state: &State, guards: &Guards, which: Which) -> Option<State> {
    let Attempt::Unknown { router } = state.writes[which.0].attempts[which.1] else {
        return None;
    };
    let again = Attempt::AtRouter {
        router,
        replayed: true,
    };
    (!guards.replay_needs_a_refusal && which.0 != KEYED).then(|| with(state, which, again))
}

/// A router is told that a fence is near.
pub fn hold_writes(state: &State, router: usize) -> Option<State> {
    let mut next = state.clone();
    let held = std::mem::replace(&mut next.routers[router].holding, true);
    (!held).then_some(next)
}

/// A router is told, or finds out, who holds the pen.
pub fn release_writes(state: &State, router: usize, name: Name) -> Option<State> {
    let pen = state.side(name).pen;
    let news = state.side(name).accepts() && pen.epoch >= state.routers[router].epoch;
    let mut next = state.clone();
    next.routers[router] = Router {
        holder: name,
        epoch: pen.epoch,
        holding: false,
    };
    (news && next != *state).then_some(next)
}

/// A side dies and starts again: its open transactions are undone.
pub fn crash(state: &State, name: Name) -> Option<State> {
    let mut next = state.clone();
    for attempt in next.writes.iter_mut().flat_map(|write| &mut write.attempts) {
        if let Attempt::Open { router, side, .. } = *attempt
            && side == name
        {
            *attempt = Attempt::Unknown { router };
        }
    }
    (next != *state).then_some(next)
}

fn with(state: &State, (write, attempt): Which, now: Attempt) -> State {
    let mut next = state.clone();
    next.writes[write].attempts[attempt] = now;
    next
}
