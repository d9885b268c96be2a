//! Charges, what may be done with them, and what can be wrong with a request.

use actix_web::http::StatusCode;
use chassis::db;
use chassis::problem::Problem;
use garde::Validate;
use serde::{Deserialize, Serialize};

/// A charge, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) reference: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    /// `pending`, `authorized`, `captured`, `declined`, `voided`, `partially_refunded` or `refunded`.
    pub(super) state: String,
    pub(super) refunded: i64,
    /// Milliseconds since 1970.
    pub(super) created: i64,
}

/// What a shop asks for.
#[derive(Clone, Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCharge {
    #[garde(range(min = 1))]
    pub(super) amount: i64,
    #[garde(length(equal = 3))]
    pub(super) currency: String,
    #[garde(length(min = 1))]
    pub(super) payment_method: String,
    #[garde(length(max = 200))]
    #[serde(default)]
    pub(super) reference: String,
    #[garde(skip)]
    #[serde(default = "yes")]
    pub(super) capture: bool,
}

fn yes() -> bool {
    true
}

/// What came of a request to charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A new charge.
    Made(Charge),
    /// The key has one already.
    Known(Charge),
    /// Nothing was done, and nothing will be said: the first try of `tok_timeout_before`.
    Silence,
}

/// Why the provider refuses.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("there is no such charge")]
    NotFound,
    #[error("this key was voided: nothing will ever be charged under it")]
    KeyVoid,
    #[error("this key was used for another charge")]
    KeyReused,
    #[error("no such payment method: `{0}`")]
    PaymentMethod(String),
    #[error("a charge that is {0} does not allow this")]
    State(String),
    #[error("only {0} can still be refunded")]
    TooMuch(i64),
    #[error("ledger")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let said = error.to_string();
        match error {
            Error::NotFound => Self::not_found(said),
            Error::KeyVoid => Self::conflict("key-void", said),
            Error::KeyReused => Self::conflict("key-reused", said),
            Error::State(_) => Self::conflict("state", said),
            Error::TooMuch(_) => Self::conflict("too-much", said),
            Error::PaymentMethod(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "payment-method",
                "Unknown payment method",
            )
            .detail(said),
            Error::Database(error) => error.into(),
        }
    }
}
