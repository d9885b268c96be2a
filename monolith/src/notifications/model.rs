//! What is told, to whom, and how often it is tried.

use chrono::{Duration, NaiveDateTime};

/// How often a message is tried before it is given up.
pub(super) const MOST_ATTEMPTS: i64 = 10;

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An account was opened.
    CustomerWelcome,
    /// An order is paid and will be sent.
    OrderConfirmed,
    /// An order will not be carried out.
    OrderCancelled,
    /// An order is on its way.
    OrderShipped,
    /// Money went back.
    PaymentRefunded,
}

impl Kind {
    /// The word for it in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomerWelcome => "customer_welcome",
            Self::OrderConfirmed => "order_confirmed",
            Self::OrderCancelled => "order_cancelled",
            Self::OrderShipped => "order_shipped",
            Self::PaymentRefunded => "payment_refunded",
        }
    }

    /// Whether a customer may switch it off. Nobody is left without word about an account or money.
    pub(super) fn is_optional(self) -> bool {
        matches!(
            self,
            Self::OrderConfirmed | Self::OrderCancelled | Self::OrderShipped
        )
    }
}

/// Something to tell a customer.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Whom.
    pub customer_id: i64,
    /// Where to; given by the caller, since this module asks no other.
    pub email: String,
    /// What about.
    pub kind: Kind,
    /// The subject line.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// A notification as other modules see it.
#[derive(Clone, Debug, PartialEq, Eq, diesel::Queryable)]
pub struct Told {
    /// Which.
    pub id: i64,
    /// When it was queued.
    pub at: NaiveDateTime,
    /// Its subject line.
    pub subject: String,
    /// Whether it was sent, waits or was given up: `sent`, `queued`, `failed`.
    pub state: String,
}

/// A notification as it is stored.
#[derive(Clone, Debug, diesel::Queryable)]
pub(super) struct Notification {
    pub(super) id: i64,
    pub(super) customer_id: i64,
    pub(super) kind: String,
    pub(super) email: String,
    pub(super) subject: String,
    pub(super) body: String,
    pub(super) state: String,
    pub(super) attempts: i64,
    pub(super) resend_of: Option<i64>,
    pub(super) created_at: NaiveDateTime,
    pub(super) sent_at: Option<NaiveDateTime>,
    /// Until when it is the business of the process that took it; of interest to that one alone.
    pub(super) claimed_until: NaiveDateTime,
}

impl Notification {
    /// The same at every attempt, so that a receiver can tell a repetition (RFC 5322, section 3.6.4).
    pub(super) fn message_id(&self) -> String {
        format!("<notification-{}@banyan>", self.id)
    }
}

/// What a customer wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preferences {
    pub(super) order_updates: bool,
    pub(super) marketing: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            order_updates: true,
            marketing: false,
        }
    }
}

/// The pause after so many failed attempts: 2 s, 4 s, 8 s, … up to 5 minutes; some 17 minutes for all of them.
pub(super) fn pause(attempts: i64) -> Duration {
    Duration::seconds(1_i64 << attempts.clamp(0, 9)).min(Duration::minutes(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let pauses: Vec<i64> = [1, 2, 3, 8, 9, 60]
            .map(pause)
            .iter()
            .map(Duration::num_seconds)
            .collect();
        assert_eq!(pauses, [2, 4, 8, 256, 300, 300]);
    }

    #[test]
    fn nobody_can_switch_off_word_about_an_account_or_money() {
        let kinds = [
            Kind::CustomerWelcome,
            Kind::OrderConfirmed,
            Kind::OrderCancelled,
            Kind::OrderShipped,
            Kind::PaymentRefunded,
        ];
        let optional = kinds.into_iter().filter(|kind| kind.is_optional());
        assert!(optional.map(Kind::as_str).all(|kind| kind.starts_with("order_")));
    }
}
