//! The books, added up by the test itself: no code of the product has a part in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use flate2::read::GzDecoder;

/// Units and pence by some key.
pub(super) type Sums = BTreeMap<String, (i64, i64)>;

/// What the books say.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) lines: usize,
    pub(super) invoices: BTreeSet<String>,
    pub(super) customers: BTreeSet<String>,
    pub(super) pence: i64,
    pub(super) by_code: Sums,
    pub(super) by_country: Sums,
}

impl Ledger {
    /// Adds up a gzipped file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
        let mut ledger = Self::default();
        for record in csv::Reader::from_reader(text.as_bytes()).records() {
            let record = record?;
            let [invoice, code, _, quantity, _, price, customer, country] = record
                .iter()
                .collect::<Vec<_>>()
                .try_into()
                .ok()
                .context("eight columns")?;
            let quantity: i64 = quantity.parse()?;
            let pence = quantity * pence(price)?;
            ledger.lines += 1;
            ledger.invoices.insert(invoice.to_owned());
            if !customer.is_empty() {
                ledger.customers.insert(customer.to_owned());
            }
            ledger.pence += pence;
            add(&mut ledger.by_code, code, quantity, pence);
            add(&mut ledger.by_country, country, quantity, pence);
        }
        Ok(ledger)
    }

    /// How many invoices are cancellations.
    pub(super) fn cancellations(&self) -> usize {
        self.invoices
            .iter()
            .filter(|number| number.starts_with('C'))
            .count()
    }
}

fn add(sums: &mut Sums, key: &str, quantity: i64, pence: i64) {
    let sum = sums.entry(key.to_owned()).or_default();
    sum.0 += quantity;
    sum.1 += pence;
}

/// `2.5` is 250: no float has a part in it either.
fn pence(price: &str) -> anyhow::Result<i64> {
    let (pounds, rest) = price.split_once('.').unwrap_or((price, ""));
    let rest = format!("{rest:0<2}");
    anyhow::ensure!(
        rest[2..].bytes().all(|digit| digit == b'0'),
        "{price} has a part of a penny"
    );
    Ok(pounds.parse::<i64>()? * 100 + rest[..2].parse::<i64>()?)
}
