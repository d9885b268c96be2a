//! Payments and refunds, and the rules of their states.

use chrono::{Duration, NaiveDateTime};

use crate::money::Money;

/// How long a payment or refund belongs to the process that works on it.
pub(super) fn claim() -> Duration {
    Duration::seconds(15)
}

/// The pause before the next attempt: 0.5 s, 1 s, 2 s, … up to 30 s.
pub(super) fn pause(attempts: i64) -> Duration {
    Duration::milliseconds(500_i64 << attempts.clamp(0, 6)).min(Duration::seconds(30))
}

/// A payment as its customer's history tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// Which.
    pub id: i64,
    /// When it was begun.
    pub at: NaiveDateTime,
    /// What it is for.
    pub order_id: i64,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub state: State,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The provider was asked, or will be.
    Pending,
    /// The provider did not answer in time: its key is being voided.
    Voiding,
    /// The provider holds the money ready.
    Authorized,
    /// The money is there.
    Captured,
    /// The money will not come.
    Failed,
    /// An authorization was let go.
    Voided,
    /// Some of the money went back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Pending,
        Self::Voiding,
        Self::Authorized,
        Self::Captured,
        Self::Failed,
        Self::Voided,
        Self::PartiallyRefunded,
        Self::Refunded,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Voiding => "voiding",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Failed => "failed",
            Self::Voided => "voided",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }

    /// Reads what the database holds; a CHECK constraint keeps it to these words.
    pub(super) fn stored(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .unwrap_or(Self::Failed)
    }

    /// Whether the provider's word is still awaited.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Voiding)
    }
}

/// A payment.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) id: i64,
    pub(super) order_id: i64,
    pub(super) customer_id: Option<i64>,
    pub(super) psp_key: String,
    pub(super) psp_reference: Option<String>,
    pub(super) payment_method: String,
    pub(super) capture: bool,
    pub(super) amount: Money,
    pub(super) state: State,
    /// Refunds asked for and not refused, in minor units.
    pub(super) refunded: i64,
    pub(super) failure: Option<String>,
    pub(super) attempts: i64,
    pub(super) give_up_at: NaiveDateTime,
    pub(super) created_at: NaiveDateTime,
    pub(super) updated_at: NaiveDateTime,
}

/// A payment about to be made.
#[derive(Clone, Debug)]
pub(super) struct NewPayment<'a> {
    pub(super) order: i64,
    pub(super) customer: Option<i64>,
    pub(super) amount: &'a Money,
    pub(super) payment_method: &'a str,
    pub(super) capture: bool,
    /// How long the provider gets to say what became of it.
    pub(super) patience: Duration,
}

/// A refund.
#[derive(Clone, Debug, diesel::Queryable)]
pub(super) struct Refund {
    pub(super) id: i64,
    pub(super) payment_id: i64,
    pub(super) psp_key: String,
    pub(super) amount: i64,
    pub(super) state: String,
    pub(super) attempts: i64,
    pub(super) created_at: NaiveDateTime,
}

/// What the provider says of a charge.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) state: String,
}

/// What is known of a charge after the provider was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is a charge.
    Charge(Charge),
    /// There is none and will be none, for this reason.
    Refused(String),
    /// There is none yet.
    Nothing,
    /// Nobody knows.
    Unknown,
}
