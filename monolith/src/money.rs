//! Money: whole minor units and a currency, never a float. Shared by all modules, as are [`crate::sku`] and nothing else.

use std::fmt;

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

/// `12.50 GBP`, `-3 JPY`: as many decimals as the currency has; two for one that nobody knows.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = iso_currency::Currency::from_code(&self.currency);
        let decimals = usize::from(
            known
                .map_or(Some(2), iso_currency::Currency::exponent)
                .unwrap_or(0),
        );
        let sign = if self.amount < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.amount.unsigned_abs(), width = decimals + 1);
        let (whole, part) = digits.split_at(digits.len() - decimals);
        let point = if decimals == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{part} {}", self.currency)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_with_the_decimals_of_its_currency() {
        let cases = [
            (1250, "GBP", "12.50 GBP"),
            (-5, "GBP", "-0.05 GBP"),
            (0, "EUR", "0.00 EUR"),
            (-300, "JPY", "-300 JPY"),
            (1234, "KWD", "1.234 KWD"),
        ];
        for (amount, currency, text) in cases {
            assert_eq!(Money::new(amount, currency).to_string(), text);
        }
    }
}
