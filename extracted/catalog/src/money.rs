//! Money: whole minor units and a currency, never a float.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The largest price of one product, in minor units.
const MAX_PRICE: i64 = 10_000_000_000;

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

impl garde::Validate for Money {
    type Context = ();

    /// A price: not negative, not beyond [`MAX_PRICE`], in a currency that exists.
    fn validate_into(&self, _: &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        if !(0..=MAX_PRICE).contains(&self.amount) {
            let message = format!("must be 0 to {MAX_PRICE} minor units");
            report.append(parent().join("amount"), garde::Error::new(message));
        }
        if iso_currency::Currency::from_code(&self.currency).is_none() {
            let message = "must be an ISO 4217 currency code, such as GBP";
            report.append(parent().join("currency"), garde::Error::new(message));
        }
    }
}
