//! The protocol's JSON, as types: what is asked and what is answered.
//!
//! For both ends. What each member means, and who may send what when, is written for readers of any language in
//! `docs/src/reference/hand-over-protocol.md`; this file follows it word by word. A request with a member that is not known is
//! refused; a member of an answer that is not known is passed over.

mod commands;
mod position;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::row::{Key, Row};

pub use commands::{Abort, Accept, Copy, Fence, Grant, Proof, Repair, Retention, Seal, Turn};
pub use position::Position;

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;

/// What every path begins with; the module's name follows.
pub const PREFIX: &str = "/handover/v1";

/// The header that names who holds the pen, on a 421.
pub const PEN_HOLDER: &str = "x-pen-holder";
/// The header with the pen's epoch, on a 421.
pub const PEN_EPOCH: &str = "x-pen-epoch";
/// The header with the pen's state, on a 421.
pub const PEN_STATE: &str = "x-pen-state";
/// The header with a position: of the write that is answered, else of what this side has reached.
pub const DATA_POSITION: &str = "x-data-position";

/// What can be done with a pen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The holder accepts writes.
    Held,
    /// Nobody does, and the pass may go on or be aborted.
    Fenced,
    /// Given away; there is no way back but another pass.
    Granted,
}

impl State {
    /// The word of the protocol, which is also what the database holds.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Fenced => "fenced",
            Self::Granted => "granted",
        }
    }
}

/// A side's row of the pen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pen {
    /// The module.
    pub module: String,
    /// The side whose row this is.
    pub side: String,
    /// Who has the right to write, as far as this side knows.
    pub holder: String,
    /// How often the pen has moved: odd while the monolith has it.
    pub epoch: u64,
    /// What can be done with it.
    pub state: State,
    /// The pass that touched it last.
    pub pass: Option<Uuid>,
    /// The end of the feed, while fenced or granted.
    pub position: Option<Position>,
    /// This side's own feed.
    pub feed: Uuid,
    /// Where this side's feed began when it accepted.
    pub feed_start: Option<String>,
    /// When a fence ends by itself, by this side's clock.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the row changed last.
    pub since: DateTime<Utc>,
    /// The last number of each sequence, while fenced or granted.
    pub sequences: Option<BTreeMap<String, String>>,
}

impl Pen {
    /// Whether this side accepts writes.
    pub fn is_here(&self) -> bool {
        self.holder == self.side && self.state == State::Held
    }
}

/// The answer of `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The protocol's version.
    pub protocol: u32,
    /// The module.
    pub module: String,
    /// Who answers.
    pub side: String,
    /// Who is at the other end.
    pub peer: String,
    /// The pen's row.
    pub pen: Pen,
    /// This side's own feed.
    pub feed: FeedStatus,
    /// What this side follows, if it does.
    pub follow: Option<FollowStatus>,
    /// Whether this side could take the pen.
    pub ready: Ready,
    /// The module's tables, parents first.
    pub tables: Vec<TableInfo>,
    /// This side's clock.
    pub now: DateTime<Utc>,
}

/// How far a feed goes, and who reads it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeedStatus {
    /// Its id.
    pub id: Uuid,
    /// Its end.
    pub head: Position,
    /// Who has read how much of it.
    pub followers: Vec<FollowerStatus>,
}

/// How far one follower has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FollowerStatus {
    /// Its name.
    pub side: String,
    /// The cursor that it sent last: everything before it is committed there.
    pub cursor: String,
    /// When it asked last.
    pub seen_at: DateTime<Utc>,
}

/// How far along a follower is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Chunks are missing.
    Copying,
    /// All chunks are there; the feed is not yet at the place where the last was read.
    CatchingUp,
    /// Every answer of the feed brings it to the holder's state.
    Following,
    /// A row could not be applied; nothing goes on until someone says so.
    Parked,
    /// The link has been ended.
    Sealed,
}

impl Phase {
    /// The word of the protocol, which is also what the database holds.
    pub fn word(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::CatchingUp => "catching-up",
            Self::Following => "following",
            Self::Parked => "parked",
            Self::Sealed => "sealed",
        }
    }
}

/// What a side follows, and how far it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FollowStatus {
    /// Whom it follows.
    pub source: String,
    /// Which feed.
    pub feed: Uuid,
    /// How far along.
    pub phase: Phase,
    /// The position up to which it has every write; none before `following`.
    pub reached: Option<Position>,
    /// Whether it has everything that the source had when the question came, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<bool>,
    /// Seconds since it last was at the feed's end.
    pub lag_seconds: Option<f64>,
    /// How far the copy is.
    pub copied: Option<Copied>,
    /// What stands in the way.
    pub parked: Option<Parked>,
}

/// How far a copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The table that is being copied.
    pub table: String,
    /// Rows so far, of all tables.
    pub rows: u64,
}

/// The change that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Its table, if it is one row's fault.
    pub table: Option<String>,
    /// Its key, if it is one row's fault.
    pub key: Option<Key>,
    /// What the database, or the feed, said.
    pub error: String,
}

/// Whether a side could take the pen, and if not, why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Whether it could.
    pub take: bool,
    /// What is missing, in sentences.
    pub missing: Vec<String>,
}

/// A table as the protocol describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Its key's columns.
    pub key: Vec<KeyColumn>,
}

/// A column of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// `integer` or `text`: how it is ordered.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The answer of `changes`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changes {
    /// The feed's id.
    pub feed: Uuid,
    /// Where to go on.
    pub cursor: String,
    /// What a follower has reached with this; none while there is more.
    pub reached: Option<Position>,
    /// Whether there is more at once.
    pub more: bool,
    /// The feed's end.
    pub head: Position,
    /// The holder's row, read in the same state as the rest.
    pub pen: Pen,
    /// What changed.
    pub changes: Vec<Change>,
}

/// A row that changed, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: Key,
    /// What it is now; none if it is gone.
    pub row: Option<Row>,
}

/// The answer of `snapshot`: all rows of a range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The table.
    pub table: String,
    /// Its rows, by key.
    pub rows: Vec<Row>,
    /// The last key that the answer speaks for; none means to the end of the table.
    pub through: Option<Key>,
    /// The feed's id.
    pub feed: Uuid,
    /// The holder's row.
    pub pen: Pen,
}

/// The answer of `verify`: what a range holds, by hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// The table.
    pub table: String,
    /// The key before the range.
    pub after: Option<Key>,
    /// The last key of the range; none means to the end of the table.
    pub through: Option<Key>,
    /// How many rows it holds.
    pub rows: u64,
    /// SHA-256 over their canonical bytes, in hex.
    pub sha256: String,
    /// What this answer covers (the holder), or this side has reached (the follower).
    pub reached: Option<Position>,
    /// The hash of each row, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Vec<RowHash>>,
    /// The rows themselves, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Row>>,
}

/// The hash of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowHash {
    /// Its key.
    pub key: Key,
    /// SHA-256 over its canonical bytes, in hex.
    pub sha256: String,
}

/// How closely `verify` looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// One hash for the range.
    #[default]
    Chunk,
    /// One for each row besides.
    Hashes,
    /// The rows themselves besides.
    Rows,
}

/// The answer to everything that moves the pen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moved {
    /// The row as it is now.
    pub pen: Pen,
}
