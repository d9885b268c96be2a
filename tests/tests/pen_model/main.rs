//! The pen's protocol, checked: every order of steps, messages late, doubled, lost, two coordinators, crashes, a stale router.
//!
//! For whoever changes the protocol (`docs/src/reference/hand-over-protocol.md`) or its code: change it here first. With all
//! guards the invariants hold in every state within the bounds; without any single guard one of them fails, and the test
//! ([`without`]) says which. `cargo test -p banyan-tests --test pen_model -- --nocapture` prints how many states there were.
//!
//! `BANYAN_MODEL_EPOCHS` raises the epoch up to which passes begin, for a longer look than every run can afford.

#![expect(
    clippy::print_stderr,
    reason = "a test says how far it looked, and a counterexample is read"
)]

mod clients;
mod coordinator;
mod doctor;
mod follower;
mod guards;
mod invariants;
mod model;
mod pen;
mod state;
mod without;

use stateright::{Checker, Model as _};

use guards::Guards;
use model::{Bounds, Model};

/// Two coordinators against each other, and a network at its worst; one write.
pub const RACE: Bounds = Bounds {
    last_epoch: 2,
    coordinators: 2,
    commands: 2,
    answers: 1,
    writes: 1,
    routers: 1,
    holding: false,
    repeats: false,
    crashes: false,
    copies: false,
    repairs: 0,
    poison: None,
    way_back: true,
};

/// There and back, with a client that repeats its write, a stale router, and crashes.
pub const JOURNEY: Bounds = Bounds {
    coordinators: 1,
    commands: 1,
    routers: 2,
    holding: true,
    repeats: true,
    crashes: true,
    ..RACE
};

/// Two writes of two rows, of which the second has no Idempotency-Key, there and back with crashes.
pub const TWO_WRITES: Bounds = Bounds {
    coordinators: 1,
    writes: 2,
    crashes: true,
    ..RACE
};

/// Copies that begin and begin anew while writes run and the pen moves once.
pub const COPY: Bounds = Bounds {
    last_epoch: 1,
    coordinators: 1,
    commands: 1,
    writes: 2,
    copies: true,
    way_back: false,
    ..RACE
};

/// Two followers by mistake, whose answers cross.
pub const TWO_FOLLOWERS: Bounds = Bounds {
    answers: 2,
    writes: 1,
    ..COPY
};

/// Rows that are read again without need, there and back, and answers that come late.
pub const REPAIR: Bounds = Bounds {
    coordinators: 1,
    commands: 1,
    answers: 2,
    repairs: 1,
    ..RACE
};

/// A row that the service can never apply.
pub const POISON: Bounds = Bounds {
    last_epoch: 1,
    coordinators: 1,
    commands: 1,
    writes: 2,
    poison: Some(1),
    way_back: false,
    ..RACE
};

/// How many states all runs together must have, or the bounds have become too narrow to show anything.
const STATES: usize = 500_000;

#[test]
fn with_all_guards_every_invariant_holds_in_every_state() {
    let runs = [
        ("race", RACE),
        ("journey", JOURNEY),
        ("two writes", TWO_WRITES),
        ("copy", COPY),
        ("two followers", TWO_FOLLOWERS),
        ("repair", REPAIR),
        ("poison", POISON),
    ];
    let states: usize = runs.into_iter().map(|(name, bounds)| explore(name, bounds)).sum();
    assert!(states >= STATES, "{states} states are fewer than {STATES}");
}

/// Visits every state within the bounds, and says how many there are.
fn explore(name: &str, bounds: Bounds) -> usize {
    let last_epoch = std::env::var("BANYAN_MODEL_EPOCHS")
        .ok()
        .and_then(|text| text.parse().ok());
    let bounds = Bounds {
        last_epoch: last_epoch.unwrap_or(bounds.last_epoch),
        ..bounds
    };
    let started = std::time::Instant::now();
    let model = Model {
        guards: Guards::ALL,
        bounds,
    };
    let checker = model.checker().threads(THREADS).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    eprintln!(
        "{name}: {states} states, up to {depth} steps, {:.1?}",
        started.elapsed()
    );
    checker.assert_properties();
    states
}

/// Threads of a run.
pub const THREADS: usize = 2;
