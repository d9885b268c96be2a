//! Orders, their lines, and the rules of their states.

use chrono::NaiveDateTime;

use crate::money::Money;

/// Whether goods leave or come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sale.
    Sale,
    /// A cancellation in imported books: quantities are negative.
    CreditNote,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::CreditNote => "credit_note",
        }
    }
}

/// Where an order stands. `Pending` becomes `Confirmed` or `Cancelled`; `Confirmed` becomes `Shipped` or `Cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Confirmed,
    Cancelled,
    Shipped,
}

impl State {
    pub(super) const ALL: [Self; 4] = [Self::Pending, Self::Confirmed, Self::Cancelled, Self::Shipped];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Shipped => "shipped",
        }
    }

    /// Reads what the database holds; a CHECK constraint keeps it to the four words.
    pub(super) fn stored(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .unwrap_or(Self::Cancelled)
    }
}

/// An order with its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: i64,
    /// What it is called in letters and books.
    pub number: String,
    pub(super) kind: String,
    pub(super) state: State,
    /// `none`, `pending`, `paid`, `failed` or `refunded`.
    pub(super) payment: String,
    /// Who ordered; nobody known in some imported books.
    pub customer_id: Option<i64>,
    /// What it costs altogether.
    pub total: Money,
    pub(super) cancel_reason: Option<String>,
    pub(super) country: Option<String>,
    /// When it was placed.
    pub placed_at: NaiveDateTime,
    pub(super) updated_at: NaiveDateTime,
    pub(super) lines: Vec<OrderLine>,
}

impl Order {
    /// The state in a word, for those outside this module.
    pub fn state(&self) -> &'static str {
        self.state.as_str()
    }
}

/// One line of an order, with the name and price of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OrderLine {
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) quantity: i64,
    pub(super) unit_amount: i64,
}

/// An order about to be placed.
#[derive(Clone, Debug)]
pub(super) struct NewOrder {
    pub(super) customer_id: i64,
    pub(super) total: Money,
    pub(super) lines: Vec<OrderLine>,
    pub(super) awaits_payment: bool,
}

/// What the lines cost together; `None` if that is more than can be counted.
pub(super) fn total(lines: &[OrderLine]) -> Option<i64> {
    lines.iter().try_fold(0_i64, |sum, line| {
        sum.checked_add(line.unit_amount.checked_mul(line.quantity)?)
    })
}

/// An invoice out of imported books.
#[derive(Clone, Debug)]
pub struct ImportedInvoice {
    /// Its number in those books; the same number is never imported twice.
    pub number: String,
    /// Sale or cancellation.
    pub kind: Kind,
    /// The customer, if the books know it.
    pub customer_id: Option<i64>,
    /// Where to, in the books' own words.
    pub country: String,
    /// When, in UTC.
    pub placed_at: NaiveDateTime,
    /// ISO 4217.
    pub currency: String,
    /// In the order of the books.
    pub lines: Vec<ImportedLine>,
}

/// One line of an imported invoice.
#[derive(Clone, Debug)]
pub struct ImportedLine {
    /// The stock code.
    pub sku: String,
    /// What the books call it.
    pub name: String,
    /// Negative when goods come back.
    pub quantity: i64,
    /// Minor units each.
    pub unit_amount: i64,
}

/// What came of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is there now, under this id.
    New(i64),
    /// It was there before; nothing was changed.
    AlreadyThere,
    /// Its number was there before, on an invoice with something else on it; nothing was changed.
    Otherwise,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_cannot_be_counted_is_none() {
        let line = |unit_amount, quantity| OrderLine {
            sku: "a".into(),
            name: "a".into(),
            quantity,
            unit_amount,
        };
        assert_eq!(total(&[line(250, 2), line(100, -1)]), Some(400));
        assert_eq!(total(&[line(i64::MAX, 2)]), None);
        assert_eq!(total(&[line(i64::MAX, 1), line(1, 1)]), None);
    }
}
