//! What there is: two databases, messages between them, coordinators' journals, routers, clients' writes.
//!
//! For the other files of the model. Everything durable is in [`Side`] and [`State::journals`]; a crash of a side ends its
//! open transactions and nothing else. A coordinator keeps its journal, so its crash and restart is a coordinator that does
//! nothing for a while and then goes on from an old journal, which it may do anyway.

use std::collections::BTreeSet;

/// How many writes the clients make.
pub const WRITES: usize = 2;
/// How many rows there are. Also how many chunks a copy has.
pub const ROWS: usize = 2;
/// How often one write can be sent: once, and once again by a client that got no answer.
pub const ATTEMPTS: usize = 2;

/// A set of numbers of a feed: a snapshot, a cursor, a position.
pub type Numbers = u16;

/// One of the two processes, with its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    Monolith,
    Service,
}

pub const NAMES: [Name; 2] = [Name::Monolith, Name::Service];

impl Name {
    pub fn peer(self) -> Self {
        match self {
            Self::Monolith => Self::Service,
            Self::Service => Self::Monolith,
        }
    }

    /// The side whose epochs these are: the monolith's are odd.
    pub fn of_epoch(epoch: u8) -> Self {
        if epoch % 2 == 1 {
            Self::Monolith
        } else {
            Self::Service
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PenState {
    Held,
    Fenced,
    Granted,
}

/// One attempt to move the pen: which coordinator began it, at which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pass {
    pub coordinator: u8,
    pub epoch: u8,
}

/// The pen's row in a side's database, and what a receipt is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pen {
    pub holder: Name,
    pub epoch: u8,
    pub state: PenState,
    pub pass: Option<Pass>,
    /// Fenced and granted: where the feed ended. Held: where the feed stood at the acceptance.
    pub position: Numbers,
}

/// One row of the module, and the idempotency records of the writes that changed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// How often each write was done.
    pub times: [u8; WRITES],
    /// The writes whose first answer is on record.
    pub answered: [bool; WRITES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// So many chunks are there.
    Copying(u8),
    CatchingUp,
    Following,
}

/// The follower's row in its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Follow {
    /// The epoch in which it began to follow. A cursor can be the same again in a later one.
    pub epoch: u8,
    pub cursor: Numbers,
    pub phase: Phase,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    pub name: Name,
    pub pen: Pen,
    pub rows: [Row; ROWS],
    /// The outbox: the numbers of committed changes, by the row that they changed.
    pub outbox: [Numbers; ROWS],
    /// The number that the next change takes, before its commit.
    pub next: u8,
    pub follow: Option<Follow>,
}

impl Side {
    /// Whether the database lets a write pass.
    pub fn accepts(&self) -> bool {
        self.pen.holder == self.name && self.pen.state == PenState::Held
    }

    /// All that is committed: what a snapshot of now would see.
    pub fn head(&self) -> Numbers {
        self.outbox.iter().fold(0, |all, numbers| all | numbers)
    }
}

/// What somebody told a side to do. On its way it can be late, doubled or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Command {
    Fence { to: Name, pass: Pass },
    Grant { to: Name, pass: Pass, proof: Numbers },
    Abort { to: Name, pass: Pass },
    Accept { to: Name, receipt: Pen },
    Turn { to: Name, receipt: Pen },
}

/// What the holder answered to a follower's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Answer {
    pub to: Name,
    /// The follower's row when it asked.
    pub asked: Follow,
    /// The rows that the answer carries.
    pub rows: [Option<Row>; ROWS],
    /// Where the holder's feed stood when it answered.
    pub head: Numbers,
    /// Whether it is a chunk of the copy, and not a page of the feed.
    pub chunk: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Router {
    pub holder: Name,
    pub epoch: u8,
    /// Whether writes wait here.
    pub holding: bool,
}

/// Where one sending of a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attempt {
    Unsent,
    AtRouter {
        router: u8,
        replayed: bool,
    },
    OnItsWay {
        router: u8,
        replayed: bool,
        to: Name,
    },
    /// In a transaction that has passed the trigger and has taken a number.
    Open {
        router: u8,
        side: Name,
        number: u8,
    },
    Answered,
    /// No answer came, and whether anything happened is not known.
    Unknown {
        router: u8,
    },
    /// Refused in the end; nothing happened.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    pub attempts: [Attempt; ATTEMPTS],
    pub acknowledged: bool,
}

/// What happened, as far as an invariant asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// Passes that were granted or aborted, one bit each.
    pub ended: u32,
    /// A command took effect on a pass that was not its own, or was over.
    pub strayed: bool,
    /// A side's epoch became smaller.
    pub went_back: bool,
    /// A pass was aborted.
    pub aborted: bool,
    /// A retried write got its first answer from a side that had not done it.
    pub answered_elsewhere: bool,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub sides: [Side; 2],
    pub journals: [Option<Pass>; 2],
    pub commands: BTreeSet<Command>,
    pub answers: BTreeSet<Answer>,
    pub routers: [Router; 2],
    pub writes: [Write; WRITES],
    pub history: History,
}

impl State {
    pub fn side(&self, name: Name) -> &Side {
        &self.sides[name as usize]
    }

    pub fn side_mut(&mut self, name: Name) -> &mut Side {
        &mut self.sides[name as usize]
    }

    /// The sides that accept writes.
    pub fn writers(&self) -> impl Iterator<Item = &Side> {
        self.sides.iter().filter(|side| side.accepts())
    }

    /// The writes in open transactions of a side.
    pub fn open(&self, name: Name) -> impl Iterator<Item = usize> + '_ {
        (0..WRITES).filter(move |write| {
            let open = |attempt: &Attempt| matches!(attempt, Attempt::Open { side, .. } if *side == name);
            self.writes[*write].attempts.iter().any(open)
        })
    }
}
