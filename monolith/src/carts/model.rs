//! The rules of a cart, without HTTP and without SQL.

use std::collections::HashMap;

use chrono::NaiveDateTime;

use crate::catalog::Product;
use crate::money::Money;

/// Different products in one cart at the most: what the catalog tells of in one answer.
pub(crate) const MAX_ITEMS: usize = 100;

/// Where a cart stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be changed and ordered.
    Open,
    /// It was ordered, and stays as it is.
    Ordered,
}

impl State {
    /// The word for it, as stored and as told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ordered => "ordered",
        }
    }

    /// Reads what the database holds; a CHECK constraint keeps it to the two words.
    pub(crate) fn stored(word: &str) -> Self {
        if word == "open" { Self::Open } else { Self::Ordered }
    }
}

/// A cart as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Cart {
    pub(crate) id: i64,
    pub(crate) customer_id: i64,
    pub(crate) state: State,
    /// In the order in which they were put in.
    pub(crate) items: Vec<Item>,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
}

/// So many units of a product in a cart.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) sku: String,
    /// What the product was called when it was put in.
    pub(crate) name: String,
    pub(crate) quantity: i64,
}

/// An item with what the catalog says of its product now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Priced {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) quantity: i64,
    /// Price of one unit and of all; none if the product cannot be bought any more.
    pub(crate) price: Option<(Money, Money)>,
}

/// Puts live names and prices to the items.
pub(crate) fn price(items: Vec<Item>, products: &HashMap<String, Product>) -> Vec<Priced> {
    let price = |item: Item| {
        let product = products.get(&item.sku);
        let on_sale = product.filter(|product| product.on_sale);
        Priced {
            price: on_sale.and_then(|product| {
                let total = product.price.times(item.quantity)?;
                Some((product.price.clone(), total))
            }),
            name: product.map_or(item.name, |product| product.name.clone()),
            sku: item.sku,
            quantity: item.quantity,
        }
    };
    items.into_iter().map(price).collect()
}

/// What the items that can be bought cost together. None if there are none, or if prices have moved to different
/// currencies since they were put in.
pub(crate) fn total(items: &[Priced]) -> Option<Money> {
    let mut lines = items
        .iter()
        .filter_map(|item| item.price.as_ref().map(|(_, line)| line));
    let first = lines.next()?.clone();
    lines.try_fold(first, |sum, line| {
        let amount = sum.amount.checked_add(line.amount)?;
        (sum.currency == line.currency).then(|| Money::new(amount, sum.currency))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sku: &str, quantity: i64) -> Item {
        Item {
            sku: sku.to_owned(),
            name: "As it was".to_owned(),
            quantity,
        }
    }

    fn products(list: &[(&str, i64, &str, bool)]) -> HashMap<String, Product> {
        let product = |(sku, amount, currency, on_sale): &(&str, i64, &str, bool)| Product {
            sku: (*sku).to_owned(),
            name: "As it is".to_owned(),
            price: Money::new(*amount, *currency),
            on_sale: *on_sale,
        };
        list.iter().map(|row| (row.0.to_owned(), product(row))).collect()
    }

    #[test]
    fn what_cannot_be_bought_has_no_price_and_counts_for_nothing() {
        let products = products(&[("a", 250, "GBP", true), ("old", 900, "GBP", false)]);
        let priced = price(vec![item("a", 3), item("old", 1), item("gone", 1)], &products);
        let prices: Vec<_> = priced.iter().map(|item| item.price.clone()).collect();
        let gbp = |amount| Money::new(amount, "GBP");
        assert_eq!(prices, [Some((gbp(250), gbp(750))), None, None]);
        assert_eq!(
            (priced[1].name.as_str(), priced[2].name.as_str()),
            ("As it is", "As it was")
        );
        assert_eq!(total(&priced), Some(gbp(750)));
    }

    #[test]
    fn there_is_no_total_of_nothing_nor_of_two_currencies() {
        assert_eq!(total(&[]), None);
        let products = products(&[("a", 250, "GBP", true), ("b", 250, "EUR", true)]);
        assert_eq!(total(&price(vec![item("a", 1), item("b", 1)], &products)), None);
    }
}
