//! A real shop's books, read and added up by the tests themselves: no code of the product has a part in it.
//!
//! For the trials of the import and of the hand-over. The file lies beside the project and is no part of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use flate2::read::GzDecoder;

/// Units and pence by some key.
pub type Sums = BTreeMap<String, (i64, i64)>;

/// One line of the books.
#[derive(Clone, Debug)]
pub struct Line {
    /// The invoice's number; a cancellation's begins with `C`.
    pub invoice: String,
    /// The stock code.
    pub code: String,
    /// How many; negative on returns.
    pub units: i64,
    /// The price of one, in pence.
    pub pence: i64,
    /// The customer's number; empty where none is known.
    pub customer: String,
    /// Where the customer is.
    pub country: String,
}

/// Where the books lie.
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/online-retail.csv.gz")
}

/// All lines of a gzipped file.
pub fn lines(path: &Path) -> anyhow::Result<Vec<Line>> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
    let line = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record?;
        let [invoice, code, _, units, _, price, customer, country] = record
            .iter()
            .collect::<Vec<_>>()
            .try_into()
            .ok()
            .context("eight columns")?;
        Ok(Line {
            invoice: invoice.to_owned(),
            code: code.to_owned(),
            units: units.parse()?,
            pence: pence(price)?,
            customer: customer.to_owned(),
            country: country.to_owned(),
        })
    };
    csv::Reader::from_reader(text.as_bytes())
        .records()
        .map(line)
        .collect()
}

/// Adds units and pence to a key's.
pub fn add(sums: &mut Sums, key: &str, units: i64, pence: i64) {
    let sum = sums.entry(key.to_owned()).or_default();
    sum.0 += units;
    sum.1 += pence;
}

/// Refuses sums that are not what is meant, and names the first that differ.
pub fn same(said: &Sums, meant: &Sums) -> anyhow::Result<()> {
    let differ: Vec<String> = meant
        .iter()
        .filter(|(key, sum)| said.get(*key) != Some(sum))
        .map(|(key, sum)| format!("{key}: {:?} instead of {sum:?}", said.get(key)))
        .collect();
    ensure!(
        differ.is_empty() && said.len() == meant.len(),
        "{} groups instead of {}, {} differ: {:?}",
        said.len(),
        meant.len(),
        differ.len(),
        differ.iter().take(5).collect::<Vec<_>>()
    );
    Ok(())
}

/// `2.5` is 250: no float has a part in it either.
fn pence(price: &str) -> anyhow::Result<i64> {
    let (pounds, rest) = price.split_once('.').unwrap_or((price, ""));
    let rest = format!("{rest:0<2}");
    ensure!(
        rest[2..].bytes().all(|digit| digit == b'0'),
        "{price} has a part of a penny"
    );
    Ok(pounds.parse::<i64>()? * 100 + rest[..2].parse::<i64>()?)
}
