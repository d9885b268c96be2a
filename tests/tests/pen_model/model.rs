//! The model: which states there are at the beginning, what can happen, how far it is followed.
//!
//! For the checker. Every step is one that a process or the network can make by itself; the checker tries all of them in every
//! order. The names of the actions are those of the functions that do the same in the programs.

use std::collections::BTreeSet;

use stateright::Property;

use crate::clients::{self, Which};
use crate::coordinator;
use crate::guards::Guards;
use crate::invariants;
use crate::state::{
    ATTEMPTS, Answer, Attempt, Command, Follow, NAMES, Name, Pen, PenState, Phase, Router, Row, Side, State,
    WRITES, Write,
};
use crate::{follower, pen};

/// How much of the endless is looked at. Bounds cut beginnings only: what has begun can always be finished.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// No pass begins at a later epoch.
    pub last_epoch: u8,
    /// How many coordinators there are: 1 or 2.
    pub coordinators: u8,
    /// Commands on their way at once.
    pub commands: usize,
    /// Answers to followers on their way at once.
    pub answers: usize,
    /// How many of the writes are made.
    pub writes: usize,
    /// How many routers there are: 1, or 2 of which the second begins with the wrong side.
    pub routers: u8,
    /// Whether the routers hold writes when told, not only when refused.
    pub holding: bool,
    /// Whether the client with an Idempotency-Key repeats its write.
    pub repeats: bool,
    /// Whether sides crash.
    pub crashes: bool,
    /// Whether the service begins without a copy, and copies can begin anew.
    pub copies: bool,
    /// How many of the rows are read again without need.
    pub repairs: usize,
    /// A write whose row the service can never apply.
    pub poison: Option<usize>,
    /// Whether the pen is expected to come back.
    pub way_back: bool,
}

/// What the checker explores.
#[derive(Clone, Debug)]
pub struct Model {
    pub guards: Guards,
    pub bounds: Bounds,
}

/// Whatever happens next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// A coordinator gives a command.
    Order(u8, Command),
    TakeOver(u8, Name),
    /// A command arrives. It may arrive again.
    CarryOut(Command),
    Lose(Command),
    Expire(Name),
    Crash(Name),
    Copy(Name),
    CopyChunk(Name),
    Changes(Name),
    Repair(Name, usize),
    Apply {
        answer: Answer,
        torn: bool,
    },
    Forget(Answer),
    Send(Which, u8),
    Forward(Which),
    Write(Which),
    Commit {
        which: Which,
        lost: bool,
    },
    Replay(Which),
    HoldWrites(u8),
    ReleaseWrites(u8, Name),
}

impl stateright::Model for Model {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let side = |name| Side {
            name,
            pen: Pen {
                holder: Name::Monolith,
                epoch: 1,
                state: PenState::Held,
                pass: None,
                position: 0,
            },
            rows: [Row::default(); _],
            outbox: [0; _],
            next: 0,
            follow: None,
        };
        let mut service = side(Name::Service);
        if !self.bounds.copies {
            service.follow = Some(Follow {
                epoch: 1,
                cursor: 0,
                phase: Phase::Following,
            });
        }
        let router = |holder| Router {
            holder,
            epoch: 1,
            holding: false,
        };
        vec![State {
            sides: [side(Name::Monolith), service],
            journals: [None; 2],
            commands: BTreeSet::new(),
            answers: BTreeSet::new(),
            routers: [router(Name::Monolith), router(Name::Service)],
            writes: [Write {
                attempts: [Attempt::Unsent; ATTEMPTS],
                acknowledged: false,
            }; WRITES],
            history: Default::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.orders(state, actions);
        for name in NAMES {
            actions.extend([
                Action::Expire(name),
                Action::CopyChunk(name),
                Action::Changes(name),
            ]);
            actions.extend(self.bounds.crashes.then_some(Action::Crash(name)));
            actions.extend((0..self.bounds.repairs).map(|row| Action::Repair(name, row)));
            actions.extend(self.bounds.copies.then_some(Action::Copy(name)));
        }
        for &answer in &state.answers {
            actions.extend([false, true].map(|torn| Action::Apply { answer, torn }));
            actions.push(Action::Forget(answer));
        }
        self.writes(actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let guards = &self.guards;
        match action {
            Action::Order(coordinator, command) => self.order(state, coordinator, command),
            Action::TakeOver(coordinator, name) => coordinator::take_over(state, coordinator, name),
            Action::CarryOut(command) => pen::carry_out(state, guards, command),
            Action::Lose(command) => changed(state, |next| next.commands.remove(&command)),
            Action::Expire(name) => pen::expire(state, guards, name),
            Action::Crash(name) => clients::crash(state, name),
            Action::Copy(name) => follower::copy(state, guards, name),
            Action::CopyChunk(name) => self.answered(state, follower::copy_chunk(state, guards, name)?),
            Action::Changes(name) => self.answered(state, follower::changes(state, guards, name)?),
            Action::Repair(name, row) => self.answered(state, follower::repair(state, name, row)?),
            Action::Apply { answer, torn } => {
                let next = follower::apply(state, guards, answer, self.bounds.poison, torn)?;
                changed(&next, |next| next.answers.remove(&answer))
            }
            Action::Forget(answer) => changed(state, |next| next.answers.remove(&answer)),
            Action::Send(which, router) => clients::send(state, which, router),
            Action::Forward(which) => clients::forward(state, which),
            Action::Write(which) => clients::write(state, guards, which),
            Action::Commit { which, lost } => clients::commit(state, which, lost),
            Action::Replay(which) => clients::replay(state, guards, which),
            Action::HoldWrites(router) => clients::hold_writes(state, usize::from(router)),
            Action::ReleaseWrites(router, name) => clients::release_writes(state, usize::from(router), name),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = invariants::properties();
        properties.extend(invariants::sights());
        properties.extend(self.bounds.way_back.then(invariants::sight_of_the_way_back));
        properties.extend(self.bounds.repeats.then(invariants::sight_of_a_repetition));
        properties
    }
}

impl Model {
    fn orders(&self, state: &State, actions: &mut Vec<Action>) {
        for coordinator in 0..self.bounds.coordinators {
            let commands = coordinator::commands(state, coordinator, self.bounds.last_epoch);
            actions.extend(
                commands
                    .into_iter()
                    .map(|command| Action::Order(coordinator, command)),
            );
            actions.extend(NAMES.map(|name| Action::TakeOver(coordinator, name)));
        }
        if !self.guards.accept_needs_the_grant {
            let rash = NAMES
                .into_iter()
                .filter_map(|name| coordinator::rash_accept(state, name));
            actions.extend(rash.map(|command| Action::Order(0, command)));
        }
        for &command in &state.commands {
            actions.extend([Action::CarryOut(command), Action::Lose(command)]);
        }
    }

    fn writes(&self, actions: &mut Vec<Action>) {
        for router in 0..self.bounds.routers {
            actions.extend(NAMES.map(|name| Action::ReleaseWrites(router, name)));
            actions.extend(self.bounds.holding.then_some(Action::HoldWrites(router)));
        }
        let made =
            |&(write, attempt): &Which| write < self.bounds.writes && (attempt == 0 || self.bounds.repeats);
        for which in clients::all().filter(made) {
            actions.extend((0..self.bounds.routers).map(|router| Action::Send(which, router)));
            actions.extend([
                Action::Forward(which),
                Action::Write(which),
                Action::Replay(which),
            ]);
            actions.extend([false, true].map(|lost| Action::Commit { which, lost }));
        }
    }

    fn order(&self, state: &State, coordinator: u8, command: Command) -> Option<State> {
        let room = state.commands.len() < self.bounds.commands;
        let next = changed(state, |next| next.commands.insert(command)).filter(|_| room)?;
        let Command::Fence { pass, .. } = command else {
            return Some(next);
        };
        let mut next = next;
        next.journals[usize::from(coordinator)] = Some(pass);
        Some(next)
    }

    fn answered(&self, state: &State, answer: Answer) -> Option<State> {
        let room = state.answers.len() < self.bounds.answers;
        changed(state, |next| next.answers.insert(answer)).filter(|_| room)
    }
}

/// The state after a change, if there was one.
fn changed(state: &State, change: impl FnOnce(&mut State) -> bool) -> Option<State> {
    let mut next = state.clone();
    change(&mut next).then_some(next)
}
