//! What the books say, added up.

use std::collections::BTreeSet;
use std::path::Path;

use banyan_tests::books::{Sums, add, lines};

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
        let mut ledger = Self::default();
        for line in lines(path)? {
            let pence = line.units * line.pence;
            ledger.lines += 1;
            ledger.pence += pence;
            add(&mut ledger.by_code, &line.code, line.units, pence);
            add(&mut ledger.by_country, &line.country, line.units, pence);
            ledger.invoices.insert(line.invoice);
            if !line.customer.is_empty() {
                ledger.customers.insert(line.customer);
            }
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
