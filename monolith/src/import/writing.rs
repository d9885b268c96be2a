//! Hands the books to the modules: products, then invoices with their customers, in transactions of bounded size, so that a
//! shop that is open meanwhile is never held up for long.

use std::collections::{BTreeSet, HashMap};

use chassis::db::{self, Conn};
use indicatif::{ProgressBar, ProgressStyle};

use super::books::{Books, Invoice, Product};
use super::report::Added;
use super::{Error, Importer};
use crate::catalog::Imported;
use crate::money::Money;
use crate::orders::{self, ImportedInvoice, ImportedLine, Kind};

/// Products in one transaction.
const PRODUCTS: usize = 1000;
/// Invoices in one transaction; twenty lines each is usual.
const INVOICES: usize = 100;

/// What came of writing.
pub(super) struct Written {
    pub(super) added: Added,
    /// Numbers under which the shop has other invoices.
    pub(super) refused: BTreeSet<String>,
}

/// Writes what is not there yet.
pub(super) fn write(importer: &Importer, books: &Books) -> Result<Written, Error> {
    let mut conn = importer.db.connect()?;
    let products = write_products(importer, &mut conn, &books.products)?;
    let names: HashMap<&str, &str> = books
        .products
        .iter()
        .map(|product| (product.sku.as_str(), product.name.as_str()))
        .collect();
    let (invoices, refused) = write_invoices(importer, &mut conn, books, &names)?;
    Ok(Written {
        added: Added { invoices, products },
        refused,
    })
}

fn write_products(importer: &Importer, conn: &mut Conn, products: &[Product]) -> Result<usize, Error> {
    let imported = |product: &Product| Imported {
        sku: product.sku.clone(),
        name: product.name.clone(),
        description: String::new(),
        category: product.category.to_owned(),
        price: Money::new(product.price, &importer.currency),
        on_sale: true,
    };
    let mut new = 0;
    for some in products.chunks(PRODUCTS) {
        let some: Vec<Imported> = some.iter().map(imported).collect();
        new += db::transact(conn, |conn| Ok::<_, Error>(importer.catalog.import(conn, &some)?))?;
    }
    Ok(new)
}

/// Tells how many were new, and which the shop has otherwise.
fn write_invoices(
    importer: &Importer,
    conn: &mut Conn,
    books: &Books,
    names: &HashMap<&str, &str>,
) -> Result<(usize, BTreeSet<String>), Error> {
    let bar = progress(books.invoices.len());
    let (mut new, mut refused) = (0, BTreeSet::new());
    for some in books.invoices.chunks(INVOICES) {
        let outcomes = db::transact(conn, |conn| write_some(importer, conn, some, names))?;
        for (invoice, outcome) in some.iter().zip(outcomes) {
            match outcome {
                orders::Imported::New(_) => new += 1,
                orders::Imported::AlreadyThere => {}
                orders::Imported::Otherwise => {
                    refused.insert(invoice.number.clone());
                }
            }
        }
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    Ok((new, refused))
}

/// Writes some invoices, with the customers of those that are new: one who has left the shop since an earlier import must
/// not come back for invoices that are there.
fn write_some(
    importer: &Importer,
    conn: &mut Conn,
    some: &[Invoice],
    names: &HashMap<&str, &str>,
) -> Result<Vec<orders::Imported>, Error> {
    let numbers: Vec<&str> = some.iter().map(|invoice| invoice.number.as_str()).collect();
    let known = importer.orders.known_numbers(conn, &numbers)?;
    let mut outcomes = Vec::new();
    for invoice in some {
        let reference = invoice.customer.as_deref();
        let customer = match reference.filter(|_| !known.contains(&invoice.number)) {
            Some(reference) => Some(importer.accounts.import(conn, reference)?),
            None => None,
        };
        let ready = prepare(invoice, customer, &importer.currency, names);
        outcomes.push(importer.orders.import_invoice(conn, &ready)?);
    }
    Ok(outcomes)
}

/// An invoice as orders take it.
fn prepare(
    invoice: &Invoice,
    customer_id: Option<i64>,
    currency: &str,
    names: &HashMap<&str, &str>,
) -> ImportedInvoice {
    let line = |item: &super::books::Item| ImportedLine {
        name: match item.description.as_str() {
            "" => names
                .get(item.sku.as_str())
                .copied()
                .unwrap_or(&item.sku)
                .to_owned(),
            said => said.to_owned(),
        },
        sku: item.sku.clone(),
        quantity: item.quantity,
        unit_amount: item.unit_price,
    };
    ImportedInvoice {
        number: invoice.number.clone(),
        kind: match invoice.is_credit_note() {
            true => Kind::CreditNote,
            false => Kind::Sale,
        },
        customer_id,
        country: invoice.country.clone().unwrap_or_default(),
        currency: currency.to_owned(),
        placed_at: invoice.at,
        lines: invoice.lines.iter().map(line).collect(),
    }
}

/// A bar on a terminal; nothing elsewhere.
fn progress(invoices: usize) -> ProgressBar {
    let bar = ProgressBar::new(invoices as u64);
    let template = "{bar:40} {human_pos} of {human_len} invoices, {eta} to go";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
