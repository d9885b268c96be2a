//! Bodies and parameters of the inventory's routes, as clients see them.

use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::inventory::model::{self, Kind, Level, Line, State};
use crate::sku::valid_sku;

/// Units that one movement may bring or take.
const MAX_MOVED: i64 = 1_000_000_000;

/// How much of one product there is.
#[derive(Serialize, ToSchema)]
pub(super) struct Stock {
    sku: String,
    /// Units in the house.
    on_hand: i64,
    /// Units of these that somebody holds.
    reserved: i64,
    /// Units that can still be promised: on hand less reserved.
    available: i64,
    updated_at: DateTime<Utc>,
}

/// Why stock changed.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum MovementKind {
    Receipt,
    Sale,
    Return,
    Adjustment,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMovement {
    #[garde(skip)]
    pub(super) kind: MovementKind,
    /// Units, more than none; an adjustment that takes units away is negative.
    #[garde(custom(movable(self.kind)))]
    #[schema(minimum = -1_000_000_000, maximum = 1_000_000_000)]
    pub(super) quantity: i64,
    /// What it belongs to: the number of a delivery note, say.
    #[garde(length(chars, max = 100))]
    #[serde(default)]
    pub(super) reference: String,
}

/// A change of stock that happened.
#[derive(Serialize, ToSchema)]
pub(super) struct Movement {
    id: i64,
    sku: String,
    kind: MovementKind,
    /// By how much the stock changed: negative if units left.
    quantity: i64,
    reference: String,
    /// The stock after it.
    stock: Stock,
    created_at: DateTime<Utc>,
}

/// So many units of a product, set aside.
#[derive(Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReservationLine {
    #[garde(custom(valid_sku))]
    sku: String,
    #[garde(range(min = 1, max = 10_000))]
    #[schema(minimum = 1, maximum = 10_000)]
    quantity: i64,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewReservation {
    /// 1 to 100 lines; no SKU twice.
    #[garde(length(min = 1, max = 100), dive, custom(no_sku_twice))]
    #[schema(min_items = 1, max_items = 100)]
    lines: Vec<ReservationLine>,
    /// How long the units are held; 15 minutes if absent.
    #[garde(range(min = 1, max = 86_400))]
    #[serde(default = "quarter_of_an_hour")]
    #[schema(minimum = 1, maximum = 86_400, default = 900)]
    pub(super) ttl_seconds: i64,
    /// What it is for: the number of an order, say.
    #[garde(length(chars, max = 100))]
    #[serde(default)]
    pub(super) reference: String,
}

/// Units set aside, and what became of them.
#[derive(Serialize, ToSchema)]
pub(super) struct Reservation {
    id: i64,
    state: ReservationState,
    lines: Vec<ReservationLine>,
    reference: String,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

/// Where a reservation stands. It leaves `held` once, and for good.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ReservationState {
    Held,
    Confirmed,
    Released,
    Expired,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListStock {
    /// Only these SKUs: up to 100, separated by commas.
    sku: Option<String>,
}

impl ListStock {
    /// The SKUs asked for, if any are.
    pub(super) fn skus(&self) -> Result<Option<Vec<String>>, Problem> {
        let skus = self
            .sku
            .as_deref()
            .map(|list| list.split(',').map(str::to_owned).collect());
        if skus.as_ref().is_some_and(|skus: &Vec<String>| skus.len() > 100) {
            let problem = Problem::bad_request("A query parameter is too long.");
            return Err(problem.field("sku", "must be at most 100 SKUs"));
        }
        Ok(skus)
    }
}

impl NewReservation {
    /// The lines, as the model has them.
    pub(super) fn lines(&self) -> Vec<Line> {
        let line = |line: &ReservationLine| Line {
            sku: line.sku.clone(),
            quantity: line.quantity,
        };
        self.lines.iter().map(line).collect()
    }
}

fn quarter_of_an_hour() -> i64 {
    900
}

/// Garde rule for the quantity of a movement of this kind.
fn movable(kind: MovementKind) -> impl Fn(&i64, &()) -> garde::Result {
    move |quantity, _| {
        let adjusts = matches!(kind, MovementKind::Adjustment);
        let fits = quantity.unsigned_abs() <= MAX_MOVED.unsigned_abs();
        if fits && (*quantity > 0 || (adjusts && *quantity < 0)) {
            return Ok(());
        }
        Err(garde::Error::new(if adjusts {
            format!("must be -{MAX_MOVED} to {MAX_MOVED}, but not 0")
        } else {
            format!("must be 1 to {MAX_MOVED}")
        }))
    }
}

/// Garde rule: two lines for one product would be one line.
fn no_sku_twice(lines: &[ReservationLine], _: &()) -> garde::Result {
    let mut seen = std::collections::HashSet::new();
    match lines.iter().find(|line| !seen.insert(&line.sku)) {
        Some(line) => Err(garde::Error::new(format!(
            "must name each SKU once; `{}` comes twice",
            line.sku
        ))),
        None => Ok(()),
    }
}

impl From<Level> for Stock {
    fn from(level: Level) -> Self {
        Self {
            available: level.available(),
            sku: level.sku,
            on_hand: level.on_hand,
            reserved: level.reserved,
            updated_at: utc(level.updated_at),
        }
    }
}

impl From<model::Movement> for Movement {
    fn from(movement: model::Movement) -> Self {
        Self {
            id: movement.id,
            sku: movement.level.sku.clone(),
            kind: movement.kind.into(),
            quantity: movement.quantity,
            reference: movement.reference,
            stock: movement.level.into(),
            created_at: utc(movement.created_at),
        }
    }
}

impl From<model::Reservation> for Reservation {
    fn from(reservation: model::Reservation) -> Self {
        let line = |Line { sku, quantity }| ReservationLine { sku, quantity };
        Self {
            id: reservation.id,
            state: reservation.state.into(),
            lines: reservation.lines.into_iter().map(line).collect(),
            reference: reservation.reference,
            expires_at: utc(reservation.expires_at),
            created_at: utc(reservation.created_at),
        }
    }
}

impl From<MovementKind> for Kind {
    fn from(kind: MovementKind) -> Self {
        match kind {
            MovementKind::Receipt => Self::Receipt,
            MovementKind::Sale => Self::Sale,
            MovementKind::Return => Self::Return,
            MovementKind::Adjustment => Self::Adjustment,
        }
    }
}

impl From<Kind> for MovementKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Receipt => Self::Receipt,
            Kind::Sale => Self::Sale,
            Kind::Return => Self::Return,
            Kind::Adjustment => Self::Adjustment,
        }
    }
}

impl From<State> for ReservationState {
    fn from(state: State) -> Self {
        match state {
            State::Held => Self::Held,
            State::Confirmed => Self::Confirmed,
            State::Released => Self::Released,
            State::Expired => Self::Expired,
        }
    }
}
