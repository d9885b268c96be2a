//! What an import tells: the sums, and each line that could not be taken.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::books::{Books, Reject};

/// The account of an import: every line of the file is in `taken` or under one of the reasons.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) lines: u64,
    pub(super) taken: u64,
    /// By reason.
    pub(super) rejected: BTreeMap<&'static str, u64>,
    pub(super) invoices: usize,
    /// The credit notes among the invoices.
    pub(super) cancellations: usize,
    pub(super) customers: usize,
    pub(super) products: usize,
    /// What all lines that were taken come to.
    pub(super) total: String,
    pub(super) currency: String,
    /// What this run added; nothing when the books were imported before.
    pub(super) added: Added,
}

/// What a run wrote.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) invoices: usize,
    pub(super) products: usize,
}

impl Summary {
    pub(super) fn of(books: &Books, added: Added, currency: &str, decimals: u32) -> Self {
        let mut rejected = BTreeMap::new();
        for reject in &books.rejects {
            *rejected.entry(reject.reason.slug()).or_insert(0) += 1;
        }
        let cancellations = books.invoices.iter().filter(|invoice| invoice.is_credit_note());
        Self {
            lines: books.lines,
            taken: books.lines - books.rejects.len() as u64,
            rejected,
            invoices: books.invoices.len(),
            cancellations: cancellations.count(),
            customers: books.customers().len(),
            products: books.products.len(),
            total: in_major_units(books.total(), decimals),
            currency: currency.to_owned(),
            added,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rejected = self.lines - self.taken;
        writeln!(
            f,
            "lines      {:>12}  {} taken, {rejected} rejected",
            self.lines, self.taken
        )?;
        for (reason, lines) in &self.rejected {
            writeln!(f, "  rejected {lines:>12}  {reason}")?;
        }
        let (cancellations, added) = (self.cancellations, self.added);
        writeln!(
            f,
            "invoices   {:>12}  {cancellations} of them cancellations, {} new",
            self.invoices, added.invoices
        )?;
        writeln!(f, "customers  {:>12}", self.customers)?;
        writeln!(f, "products   {:>12}  {} new", self.products, added.products)?;
        write!(f, "total      {:>12}  {}", self.total, self.currency)
    }
}

/// An amount as people write it: 681498.86.
fn in_major_units(amount: i128, decimals: u32) -> String {
    if decimals == 0 {
        return amount.to_string();
    }
    let unit = 10_u128.pow(decimals);
    let (sign, size) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    format!(
        "{sign}{}.{:0width$}",
        size / unit,
        size % unit,
        width = decimals as usize
    )
}

/// Writes the lines that could not be taken to a CSV file: number of the line, reason, the line itself.
pub(super) fn write_rejects(path: &Path, rejects: &[Reject]) -> io::Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["line", "reason", "message", "text"])?;
    for reject in rejects {
        let (line, message) = (reject.line.to_string(), reject.reason.to_string());
        writer.write_record([&line, reject.reason.slug(), &message, &reject.raw])?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_without_a_float() {
        assert_eq!(in_major_units(68_149_886, 2), "681498.86");
        assert_eq!(in_major_units(-5, 2), "-0.05");
        assert_eq!(in_major_units(7, 0), "7");
        assert_eq!(in_major_units(1_001, 3), "1.001");
    }

    #[test]
    fn every_line_is_accounted_for() {
        let file = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
                    1,A,x,2,01/12/2010 08:26,1.5,7,UK\nx\nC2,A,x,-1,01/12/2010 08:26,1.5,7,UK\ny\n1,A,x,1,,1,7,UK\n";
        let books = Books::read(file.as_bytes(), 2).unwrap();
        let summary = Summary::of(&books, Added::default(), "GBP", 2);
        assert_eq!((summary.lines, summary.taken), (5, 2));
        assert_eq!(summary.rejected, BTreeMap::from([("columns", 2), ("date", 1)]));
        assert_eq!(
            (summary.invoices, summary.cancellations, summary.total.as_str()),
            (2, 1, "1.50")
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rejects.csv");
        write_rejects(&path, &books.rejects).unwrap();
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(written.lines().count(), 4);
        assert!(written.contains("3,columns,it has not 8 columns,x"), "{written}");
    }
}
