//! What is sent to move the pen, and to begin or end following.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Pen, Position};
use crate::row::Key;

/// Asks the holder to let nobody write any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    /// The pass.
    pub pass: Uuid,
    /// The epoch that the coordinator saw.
    pub epoch: u64,
    /// Who is going to have the pen.
    pub to: String,
    /// After how many milliseconds the fence ends by itself: 1000 to 60000.
    pub expires_ms: u64,
    /// How many milliseconds to wait for open transactions: 10 to 10000.
    pub wait_ms: u64,
}

/// Asks the holder to give the pen away. The point of no return of a pass.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The pass.
    pub pass: Uuid,
    /// The epoch of the fence.
    pub epoch: u64,
    /// That the other side has everything.
    pub proof: Proof,
}

/// What a follower's status says of how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The follower.
    pub side: String,
    /// The feed that it follows.
    pub feed: Uuid,
    /// What it has reached.
    pub reached: Option<Position>,
}

/// Asks the holder to end a fence and go on writing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// The pass.
    pub pass: Uuid,
    /// The epoch of the fence.
    pub epoch: u64,
}

/// Asks the follower to become the holder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// The pen that the grant answered.
    pub receipt: Pen,
}

/// Asks the old holder to follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// The pen that the acceptance answered.
    pub receipt: Pen,
}

/// Asks a side to copy the other's rows and follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// The pass, or any name of this attempt.
    pub pass: Uuid,
    /// Whether to begin anew if it follows already.
    #[serde(default)]
    pub again: bool,
}

/// Asks a follower to replace a range by the holder's rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// The table.
    pub table: String,
    /// The key before the range; none means from the beginning.
    #[serde(default)]
    pub after: Option<Key>,
    /// The last key of the range; none means to the end.
    #[serde(default)]
    pub through: Option<Key>,
}

/// Changes what a feed keeps, and for whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// A follower that will not come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget: Option<String>,
    /// Whether to begin a new feed, after a database was moved or put back.
    #[serde(default)]
    pub new_feed: bool,
}

/// Ends the link between the two sides for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The epoch that the coordinator saw.
    pub epoch: u64,
}
