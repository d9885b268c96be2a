//! Money: whole minor units and a currency, never a float. Shared by all modules, as are [`crate::sku`] and nothing else.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The largest price of one product, in minor units.
pub const MAX_PRICE: i64 = 10_000_000_000;

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units of the currency: pence, cents.
    #[schema(example = 255)]
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(example = "GBP")]
    pub currency: String,
}

impl Money {
    /// An amount in a currency.
    pub fn new(amount: i64, currency: impl Into<String>) -> Self {
        Self {
            amount,
            currency: currency.into(),
        }
    }

    /// This much, so many times; `None` if that is more than can be counted.
    pub fn times(&self, quantity: i64) -> Option<Self> {
        Some(Self::new(
            self.amount.checked_mul(quantity)?,
            self.currency.clone(),
        ))
    }
}

/// Garde rule: the currency exists (ISO 4217).
pub fn known_currency(code: &str, _: &()) -> garde::Result {
    match iso_currency::Currency::from_code(code) {
        Some(_) => Ok(()),
        None => Err(garde::Error::new(
            "must be an ISO 4217 currency code, such as GBP",
        )),
    }
}

impl garde::Validate for Money {
    type Context = ();

    /// A price: not negative, not beyond [`MAX_PRICE`], in a currency that exists.
    fn validate_into(
        &self,
        context: &(),
        parent: &mut dyn FnMut() -> garde::Path,
        report: &mut garde::Report,
    ) {
        if !(0..=MAX_PRICE).contains(&self.amount) {
            let message = format!("must be 0 to {MAX_PRICE} minor units");
            report.append(parent().join("amount"), garde::Error::new(message));
        }
        if let Err(error) = known_currency(&self.currency, context) {
            report.append(parent().join("currency"), error);
        }
    }
}
