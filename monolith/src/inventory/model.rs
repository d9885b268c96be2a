//! The rules of the inventory, without HTTP and without SQL.

use chrono::NaiveDateTime;

/// How much of one product there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Which product.
    pub sku: String,
    /// Units in the house.
    pub on_hand: i64,
    /// Units of these that somebody holds.
    pub reserved: i64,
    /// When either last changed.
    pub updated_at: NaiveDateTime,
}

impl Level {
    /// Units that can still be promised.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// So many units of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which product.
    pub sku: String,
    /// How many; more than none.
    pub quantity: i64,
}

/// Why stock changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Receipt,
    Sale,
    Return,
    Adjustment,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Sale => "sale",
            Self::Return => "return",
            Self::Adjustment => "adjustment",
        }
    }

    /// The change of stock that a movement of so many units means: sales take away, adjustments say it themselves.
    pub(crate) fn signed(self, quantity: i64) -> i64 {
        match self {
            Self::Sale => -quantity,
            Self::Receipt | Self::Return | Self::Adjustment => quantity,
        }
    }
}

/// A change of stock that happened.
#[derive(Clone, Debug)]
pub(crate) struct Movement {
    pub(crate) id: i64,
    pub(crate) kind: Kind,
    pub(crate) quantity: i64,
    pub(crate) reference: String,
    pub(crate) created_at: NaiveDateTime,
    /// The level after it.
    pub(crate) level: Level,
}

/// Units set aside for somebody, for a while.
#[derive(Clone, Debug)]
pub(crate) struct Reservation {
    pub(crate) id: i64,
    pub(crate) state: State,
    pub(crate) lines: Vec<Line>,
    pub(crate) reference: String,
    pub(crate) expires_at: NaiveDateTime,
    pub(crate) created_at: NaiveDateTime,
}

/// Where a reservation stands. It leaves `Held` once, and for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The units are set aside.
    Held,
    /// They were sold.
    Confirmed,
    /// They were given back.
    Released,
    /// They were given back because nobody decided in time.
    Expired,
}

impl State {
    /// The word for it, as stored and as told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// Reads what the database holds; a CHECK constraint keeps it to the four words.
    pub(crate) fn stored(word: &str) -> Self {
        match word {
            "held" => Self::Held,
            "confirmed" => Self::Confirmed,
            "released" => Self::Released,
            _ => Self::Expired,
        }
    }
}

/// The lines with their places in the request, in the order of their SKUs. All work takes its row locks in this order,
/// so that no two pieces of work each wait for the other.
pub(crate) fn in_lock_order(lines: &[Line]) -> Vec<(usize, &Line)> {
    let mut ordered: Vec<_> = lines.iter().enumerate().collect();
    ordered.sort_by(|(_, a), (_, b)| a.sku.cmp(&b.sku));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_locked_by_sku_and_remember_their_places() {
        let line = |sku: &str| Line {
            sku: sku.to_owned(),
            quantity: 1,
        };
        let lines = [line("b"), line("a"), line("B")];
        let order: Vec<_> = in_lock_order(&lines)
            .iter()
            .map(|(i, line)| (*i, line.sku.as_str()))
            .collect();
        assert_eq!(order, [(2, "B"), (1, "a"), (0, "b")]);
    }

    #[test]
    fn a_sale_takes_away_and_an_adjustment_goes_either_way() {
        assert_eq!(Kind::Sale.signed(3), -3);
        assert_eq!(Kind::Return.signed(3), 3);
        assert_eq!(Kind::Adjustment.signed(-3), -3);
    }
}
