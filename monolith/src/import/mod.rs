//! Takes in the books of another shop: `monolith import online-retail FILE`.
//!
//! The format is that of the *Online Retail* data set of the UCI Machine Learning Repository: CSV, one line for each line
//! of an invoice. `records` cuts the file, `line` reads a line, `books` gathers lines into invoices and products, `writing`
//! hands them to the modules through their ports, `report` tells what came of it.
//!
//! Every line is accounted for: taken, or rejected with its number and a reason. What is taken adds up to the penny, for
//! prices are never floats. A product takes the description that its code has most often, and the latest price above
//! nothing; codes that stand for no goods (postage, discounts, charges) go into the category `services`. Invoices become
//! orders that are done with: `shipped`, with no payment to expect; those whose number begins with `C` become credit notes
//! with negative quantities. They move no stock: what the shop has today was counted today. Running an import again adds
//! nothing: an invoice that is there is left as it is, and so are products that the shop has changed or deleted since. An
//! invoice that is there with something else on it is told of, line by line, and not taken.

mod books;
mod line;
mod records;
mod report;
mod writing;

use std::io;
use std::path::PathBuf;

use chassis::db::{self, Db};

use crate::accounts::{self, Accounts};
use crate::catalog::{self, Catalog};
use crate::orders::{self, Orders};
use books::{Books, Reject};
use report::Summary;

/// The books of a shop.
#[derive(Debug, clap::Subcommand)]
pub enum Source {
    /// The UCI Online Retail format: CSV, plain or gzip, one invoice line per line
    OnlineRetail(OnlineRetail),
}

/// Where the books are, and how to tell of them.
#[derive(Debug, clap::Args)]
pub struct OnlineRetail {
    /// The file; whether it is packed is seen from its content
    #[arg(value_name = "FILE.csv[.gz]")]
    file: PathBuf,
    /// Write the lines that cannot be taken to this file as CSV, instead of printing them
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Why an import did not come to its end. What was written until then stays; run it again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} is not in the Online Retail format: its first line must be {}", line::HEADER.join(","))]
    Header {
        /// Which file.
        path: String,
    },
    /// The file for rejected lines cannot be written.
    #[error("{path} cannot be written")]
    Rejects {
        /// Which file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The settings name a currency that does not exist.
    #[error("the currency `{0}` of the settings is not in ISO 4217")]
    Currency(String),
    /// A product could not be written.
    #[error("products could not be written")]
    Products(#[source] catalog::Error),
    /// A customer could not be written.
    #[error("customers could not be written")]
    Customers(#[source] accounts::Error),
    /// An order could not be written.
    #[error("orders could not be written")]
    Orders(#[source] orders::Error),
    /// The database failed.
    #[error("database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// A failure of the database stays one whichever module met it, so that a transaction that was stopped is run again.
macro_rules! keep_database_failures {
    ($($module:ident => $variant:ident),+) => {
        $(impl From<$module::Error> for Error {
            fn from(error: $module::Error) -> Self {
                match error {
                    $module::Error::Database(error) => Self::Database(error),
                    error => Self::$variant(error),
                }
            }
        })+
    };
}

keep_database_failures!(catalog => Products, accounts => Customers, orders => Orders);

/// What an import works with: the ports of the modules that keep what it brings.
#[derive(Clone, Debug)]
pub struct Importer {
    /// The database, for transactions that span the three ports.
    pub db: Db,
    /// Takes the products.
    pub catalog: Catalog,
    /// Takes the customers.
    pub accounts: Accounts,
    /// Takes the invoices.
    pub orders: Orders,
    /// The currency of the books, which do not say.
    pub currency: String,
}

/// What came of an import, ready to print.
#[derive(Debug)]
pub struct Outcome {
    /// The sums.
    pub summary: String,
    /// The lines that could not be taken, unless they went to a file.
    pub rejects: Vec<String>,
}

impl Importer {
    /// Imports the books. Lines that cannot be taken do not fail it.
    pub fn run(&self, source: &Source) -> Result<Outcome, Error> {
        let Source::OnlineRetail(job) = source;
        let currency = iso_currency::Currency::from_code(&self.currency)
            .ok_or_else(|| Error::Currency(self.currency.clone()))?;
        let decimals = u32::from(currency.exponent().unwrap_or(2));
        let path = || job.file.display().to_string();
        let file = records::read(&job.file).map_err(|source| Error::File { path: path(), source })?;
        let mut books = Books::read(&file, decimals).ok_or_else(|| Error::Header { path: path() })?;
        // Once before writing, so that a path that cannot be written fails while nothing has happened.
        tell_rejects(job, &books.rejects)?;
        let written = writing::write(self, &books)?;
        books.refuse(&written.refused, &file);
        let rejects = tell_rejects(job, &books.rejects)?;
        let summary = Summary::of(&books, written.added, &self.currency, decimals);
        Ok(Outcome {
            summary: match job.json {
                true => serde_json::to_string_pretty(&summary).unwrap_or_default(),
                false => summary.to_string(),
            },
            rejects,
        })
    }
}

/// Writes the rejected lines to their file, or makes them ready to print.
fn tell_rejects(job: &OnlineRetail, rejects: &[Reject]) -> Result<Vec<String>, Error> {
    let Some(path) = &job.rejects else {
        let told = |reject: &Reject| format!("line {}: {}", reject.line, reject.reason);
        return Ok(rejects.iter().map(told).collect());
    };
    report::write_rejects(path, rejects).map_err(|source| Error::Rejects {
        path: path.display().to_string(),
        source,
    })?;
    Ok(Vec::new())
}
