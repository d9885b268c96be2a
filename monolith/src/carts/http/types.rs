//! Bodies of the carts' routes, as clients see them.

use chassis::time::utc;
use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::carts::model::{self, Priced, State};
use crate::money::Money;

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCart {
    /// Whose cart it is; staff must say, customers need not.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(super) customer_id: Option<i64>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutItem {
    /// Units, in the place of those that the cart held.
    #[garde(range(min = 1, max = 10_000))]
    #[schema(minimum = 1, maximum = 10_000)]
    pub(super) quantity: i64,
}

/// What a customer means to buy, at the prices of this moment.
#[derive(Serialize, ToSchema)]
pub(super) struct Cart {
    id: i64,
    customer_id: i64,
    state: CartState,
    /// In the order in which they were put in.
    items: Vec<CartItem>,
    /// What the available items cost together; null if there are none.
    total: Option<Money>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CartState {
    Open,
    Ordered,
}

#[derive(Serialize, ToSchema)]
struct CartItem {
    sku: String,
    name: String,
    quantity: i64,
    /// Whether the product is still sold. If not, it has no price.
    available: bool,
    unit_price: Option<Money>,
    line_total: Option<Money>,
}

impl Cart {
    /// The cart as it is shown: stored `cart`, its items with their prices.
    pub(super) fn shown(cart: &model::Cart, items: Vec<Priced>) -> Self {
        Self {
            id: cart.id,
            customer_id: cart.customer_id,
            state: cart.state.into(),
            total: model::total(&items),
            items: items.into_iter().map(CartItem::from).collect(),
            created_at: utc(cart.created_at),
            updated_at: utc(cart.updated_at),
        }
    }
}

impl From<Priced> for CartItem {
    fn from(item: Priced) -> Self {
        let (unit_price, line_total) = item.price.unzip();
        Self {
            sku: item.sku,
            name: item.name,
            quantity: item.quantity,
            available: unit_price.is_some(),
            unit_price,
            line_total,
        }
    }
}

impl From<State> for CartState {
    fn from(state: State) -> Self {
        match state {
            State::Open => Self::Open,
            State::Ordered => Self::Ordered,
        }
    }
}
