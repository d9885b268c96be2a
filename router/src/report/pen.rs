//! A module's pen as this router knows it, for operators.
//!
//! For `/status` and `/modules/{module}/pen` on the operators' port. It is knowledge about what the two sides decide, as old as their last
//! answers; what is true stands in their databases.

use handover::wire::{Pen as Row, State, Status};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Owner;
use crate::pen::Pen;

/// What is known of a module's pen.
#[derive(Debug, Serialize, ToSchema)]
pub struct PenStatus {
    /// The module.
    pub module: String,
    /// `monolith` or `service`, by the highest epoch seen; absent until a side has said. Writes go there, whatever the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<&'static str>,
    /// That epoch.
    pub epoch: u64,
    /// `held`, `fenced` or `granted`, as the sides said last; `unknown` if neither answers.
    pub state: &'static str,
    /// Whether writes wait just now.
    pub held: bool,
    /// How many wait.
    pub waiting: usize,
    /// Whether the side that does not hold the pen follows the other, so that it can answer reads.
    pub follows: bool,
    /// The monolith, as it answered last; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monolith: Option<PenSide>,
    /// The service, as it answered last; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<PenSide>,
}

/// What one side said of itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct PenSide {
    /// Its epoch.
    pub epoch: u64,
    /// `held`, `fenced` or `granted`.
    pub state: &'static str,
    /// `copying`, `catching-up`, `following`, `parked` or `sealed`, if it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'static str>,
    /// The position up to which it has every write, if it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<String>,
    /// Seconds since it last was at the end of the feed, if it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
}

impl PenStatus {
    /// What is known now.
    pub fn of(pen: &Pen) -> Self {
        let [monolith, service] = pen.seen();
        let rows: Vec<&Row> = [&monolith, &service]
            .into_iter()
            .flatten()
            .map(|status| &status.pen)
            .collect();
        let holder = pen.holder();
        Self {
            module: pen.module.clone(),
            holder: holder.map(Owner::word),
            epoch: pen.epoch(),
            state: state(&rows),
            held: pen.is_held(),
            waiting: pen.waiting(),
            follows: match holder {
                Some(Owner::Service) => pen.follows(Owner::Monolith),
                Some(Owner::Monolith) | None => pen.follows(Owner::Service),
            },
            monolith: monolith.as_ref().map(side),
            service: service.as_ref().map(side),
        }
    }

    /// How far the follower is behind, in seconds, as it says itself.
    pub fn lag_seconds(&self) -> Option<f64> {
        let follower = match self.holder {
            Some("service") => &self.monolith,
            _ => &self.service,
        };
        follower.as_ref()?.lag_seconds
    }
}

/// The state of the newest row. While a pass is under way both rows may be of one epoch, and one of them says so.
fn state(rows: &[&Row]) -> &'static str {
    let newest = rows
        .iter()
        .max_by_key(|row| (row.epoch, row.state != State::Held));
    newest.map_or("unknown", |row| row.state.word())
}

fn side(status: &Status) -> PenSide {
    let follow = status.follow.as_ref();
    PenSide {
        epoch: status.pen.epoch,
        state: status.pen.state.word(),
        phase: follow.map(|follow| follow.phase.word()),
        reached: follow.and_then(|follow| Some(follow.reached?.to_string())),
        lag_seconds: follow.and_then(|follow| follow.lag_seconds),
    }
}
