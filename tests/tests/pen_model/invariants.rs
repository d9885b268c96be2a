//! What must be so in every state.
//!
//! For whoever reads a counterexample: its name is that of one of these.

use stateright::Property;

use crate::doctor;
use crate::model::Model;
use crate::state::{Name, PenState, Phase, State, WRITES};

pub const ONE_WRITER: &str = "at most one side writes (P1)";
pub const KEPT: &str = "an acknowledged write is at the holder, once (P2)";
pub const ONCE: &str = "no write is done twice (P2)";
pub const FORWARD: &str = "epochs grow";
pub const PARITY: &str = "an epoch's parity names its holder";
pub const OWN_PASS: &str = "a command of another pass changes nothing";
pub const WAY_ON: &str = "doctor's moves lead to a side that writes";
pub const EQUAL: &str = "a follower with nothing before it has the holder's rows";

/// The invariants, and what a run must have seen to be worth anything.
pub fn properties() -> Vec<Property<Model>> {
    vec![
        Property::always(ONE_WRITER, |_, state| one_writer(state)),
        Property::always(KEPT, |_, state| kept(state)),
        Property::always(ONCE, |_, state| once(state)),
        Property::always(FORWARD, |_, state: &State| !state.history.went_back),
        Property::always(PARITY, |_, state| parity(state)),
        Property::always(OWN_PASS, |_, state: &State| !state.history.strayed),
        Property::always(WAY_ON, |model: &Model, state| {
            doctor::leads_to_a_writer(state, &model.guards, model.bounds.poison)
        }),
        Property::always(EQUAL, |_, state| equal(state)),
    ]
}

/// The side that accepts writes, and a side that has a write in an open transaction, are the same one.
fn one_writer(state: &State) -> bool {
    let writes = |name| state.side(name).accepts() || state.open(name).next().is_some();
    !(writes(Name::Monolith) && writes(Name::Service))
}

fn kept(state: &State) -> bool {
    state.writers().all(|side| {
        (0..WRITES).all(|write| !state.writes[write].acknowledged || side.rows[write].times[write] == 1)
    })
}

fn once(state: &State) -> bool {
    let mut rows = state.sides.iter().flat_map(|side| &side.rows);
    rows.all(|row| row.times.iter().all(|times| *times <= 1))
}

fn parity(state: &State) -> bool {
    state
        .sides
        .iter()
        .all(|side| side.pen.holder == Name::of_epoch(side.pen.epoch))
}

fn equal(state: &State) -> bool {
    state.writers().all(|side| {
        let follow = state.side(side.name.peer()).follow;
        let at_rest = follow
            .is_some_and(|follow| follow.phase == Phase::Following && side.head() & !follow.cursor == 0);
        !at_rest || state.side(side.name.peer()).rows == side.rows
    })
}

/// What must have been seen, in some state, for a run to have tried anything.
pub fn sights() -> Vec<Property<Model>> {
    vec![
        Property::sometimes("the service holds the pen", |_, state: &State| {
            state.side(Name::Service).accepts()
        }),
        Property::sometimes("a pass was aborted", |_, state: &State| state.history.aborted),
        Property::sometimes("a pen was granted and is not accepted", |_, state: &State| {
            let pen = state.side(Name::Monolith).pen;
            pen.state == PenState::Granted && pen.epoch > state.side(Name::Service).pen.epoch
        }),
    ]
}

/// What a run there and back must have seen besides.
pub fn sight_of_the_way_back() -> Property<Model> {
    Property::sometimes(
        "the pen is back after a write at the service",
        |_, state: &State| state.side(Name::Monolith).accepts() && state.side(Name::Service).head() != 0,
    )
}

/// What a run with a client that repeats its write must have seen besides.
pub fn sight_of_a_repetition() -> Property<Model> {
    Property::sometimes(
        "a repeated write is answered by the other side",
        |_, state: &State| state.history.answered_elsewhere,
    )
}
