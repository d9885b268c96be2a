//! The books as a whole: lines gathered into invoices, stock codes into products, and what could not be taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDateTime;

use super::line::{self, HEADER, Line, Reason};
use super::records::{Record, Records};

/// Stock codes under which the books keep what is no goods: postage, discounts, charges, corrections.
const SERVICES: [&str; 20] = [
    "ADJUST",
    "ADJUST2",
    "AMAZONFEE",
    "B",
    "BANK CHARGES",
    "C2",
    "C3",
    "CRUK",
    "D",
    "DOT",
    "GIFT",
    "M",
    "PADS",
    "POST",
    "S",
    "SP1002",
    "TEST001",
    "TEST002",
    "m",
    "z",
];

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// In the order in which they begin in the file.
    pub(super) invoices: Vec<Invoice>,
    /// In the order of their SKUs.
    pub(super) products: Vec<Product>,
    /// In the order of the file.
    pub(super) rejects: Vec<Reject>,
    /// Lines with something on them, the header left out.
    pub(super) lines: u64,
}

/// An invoice, or a credit note if its number begins with `C`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invoice {
    pub(super) number: String,
    pub(super) customer: Option<String>,
    pub(super) country: Option<String>,
    /// The time of its first line.
    pub(super) at: NaiveDateTime,
    pub(super) lines: Vec<Item>,
    /// What the lines come to, in minor units.
    pub(super) total: i64,
}

/// A line of an invoice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Where it stands in the file.
    pub(super) line: u64,
    pub(super) sku: String,
    /// What the line says; empty if it says nothing.
    pub(super) description: String,
    pub(super) quantity: i64,
    pub(super) unit_price: i64,
}

/// What the books tell of a stock code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) sku: String,
    /// The description that it has most often; the code itself if it has none.
    pub(super) name: String,
    /// Slug of the category.
    pub(super) category: &'static str,
    /// The latest unit price above 0, in minor units; 0 if there is none.
    pub(super) price: i64,
}

/// A line that could not be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reject {
    pub(super) line: u64,
    pub(super) reason: Reason,
    pub(super) raw: String,
}

impl Invoice {
    /// Whether it takes goods back.
    pub(super) fn is_credit_note(&self) -> bool {
        self.number.starts_with('C')
    }
}

impl Books {
    /// Reads the lines of a file; `None` if its first line is not the header.
    pub(super) fn read(file: &[u8], decimals: u32) -> Option<Self> {
        let mut records = Records::of(file);
        let header = records.next()?.fields?;
        if !header.iter().map(|field| field.trim()).eq(HEADER) {
            return None;
        }
        let mut gathering = Gathering::default();
        for record in records {
            gathering.books.lines += 1;
            let taken = line::parse(&record, decimals).and_then(|line| gathering.take(record.line, line));
            if let Err(reason) = taken {
                gathering.books.rejects.push(Reject::of(&record, reason));
            }
        }
        Some(gathering.finish())
    }

    /// Moves the lines of these invoices to the rejects: the shop has other invoices under their numbers.
    pub(super) fn refuse(&mut self, numbers: &BTreeSet<String>, file: &[u8]) {
        if numbers.is_empty() {
            return;
        }
        let refused = |invoice: &mut Invoice| numbers.contains(&invoice.number);
        let lines: BTreeSet<u64> = self
            .invoices
            .extract_if(.., refused)
            .flat_map(|invoice| invoice.lines)
            .map(|item| item.line)
            .collect();
        // The text of lines that were taken was not kept; it is still in the file.
        let rejects = Records::of(file)
            .filter(|record| lines.contains(&record.line))
            .map(|record| Reject::of(&record, Reason::OtherInvoice));
        self.rejects.extend(rejects);
        self.rejects.sort_by_key(|reject| reject.line);
    }

    /// The customers that the invoices name.
    pub(super) fn customers(&self) -> BTreeSet<&str> {
        self.invoices
            .iter()
            .filter_map(|invoice| invoice.customer.as_deref())
            .collect()
    }

    /// What all invoices come to, in minor units.
    pub(super) fn total(&self) -> i128 {
        self.invoices
            .iter()
            .map(|invoice| i128::from(invoice.total))
            .sum()
    }
}

impl Reject {
    fn of(record: &Record<'_>, reason: Reason) -> Self {
        Self {
            line: record.line,
            reason,
            raw: String::from_utf8_lossy(record.raw).into_owned(),
        }
    }
}

/// Books in the making.
#[derive(Default)]
struct Gathering {
    books: Books,
    /// Where each invoice stands; its lines need not stand together.
    places: HashMap<String, usize>,
    codes: BTreeMap<String, Code>,
}

/// What was seen of a stock code so far.
#[derive(Default)]
struct Code {
    /// How often each description came, and as which it came first.
    descriptions: HashMap<String, (u64, usize)>,
    latest: Option<(NaiveDateTime, i64)>,
}

impl Gathering {
    fn take(&mut self, number: u64, line: Line) -> Result<(), Reason> {
        let place = match self.places.get(&line.invoice) {
            Some(place) => *place,
            None => {
                self.places
                    .insert(line.invoice.clone(), self.books.invoices.len());
                self.books.invoices.push(Invoice {
                    number: line.invoice,
                    customer: line.customer.clone(),
                    country: line.country.clone(),
                    at: line.at,
                    lines: Vec::new(),
                    total: 0,
                });
                self.books.invoices.len() - 1
            }
        };
        let invoice = &mut self.books.invoices[place];
        if invoice.customer != line.customer {
            return Err(Reason::OtherCustomer);
        }
        if invoice.country != line.country {
            return Err(Reason::OtherCountry);
        }
        let amount = line.unit_price.checked_mul(line.quantity);
        invoice.total = amount
            .and_then(|amount| invoice.total.checked_add(amount))
            .ok_or(Reason::TooLarge)?;
        self.codes
            .entry(line.sku.clone())
            .or_default()
            .see(&line.description, line.at, line.unit_price);
        invoice.lines.push(Item {
            line: number,
            sku: line.sku,
            description: line.description,
            quantity: line.quantity,
            unit_price: line.unit_price,
        });
        Ok(())
    }

    fn finish(mut self) -> Books {
        self.books.products = self
            .codes
            .into_iter()
            .map(|(sku, code)| code.product(sku))
            .collect();
        self.books
    }
}

impl Code {
    fn see(&mut self, description: &str, at: NaiveDateTime, unit_price: i64) {
        if !description.is_empty() {
            let rank = self.descriptions.len();
            match self.descriptions.get_mut(description) {
                Some((times, _)) => *times += 1,
                None => {
                    self.descriptions.insert(description.to_owned(), (1, rank));
                }
            }
        }
        if unit_price > 0 && self.latest.is_none_or(|(before, _)| before <= at) {
            self.latest = Some((at, unit_price));
        }
    }

    fn product(self, sku: String) -> Product {
        let often = self
            .descriptions
            .into_iter()
            .max_by_key(|(_, (times, rank))| (*times, std::cmp::Reverse(*rank)));
        Product {
            name: often.map_or_else(|| sku.clone(), |(description, _)| description),
            category: if SERVICES.contains(&sku.as_str()) {
                "services"
            } else {
                "online-retail"
            },
            price: self.latest.map_or(0, |(_, price)| price),
            sku,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn books(lines: &str) -> Books {
        Books::read(format!("{FIRST}{lines}").as_bytes(), 2).unwrap()
    }

    #[test]
    fn lines_become_invoices_in_the_order_of_the_file() {
        let books = books(
            "1,A,Mug,2,01/12/2010 08:26,1.50,7,UK\nC2,A,Mug,-1,01/12/2010 08:27,1.50,7,UK\n1,B,,1,01/12/2010 08:28,0,7,UK\n",
        );
        let numbers: Vec<&str> = books
            .invoices
            .iter()
            .map(|invoice| invoice.number.as_str())
            .collect();
        assert_eq!(numbers, ["1", "C2"]);
        assert_eq!((books.invoices[0].lines.len(), books.invoices[0].total), (2, 300));
        assert!(books.invoices[1].is_credit_note() && books.total() == 150);
        assert_eq!(books.customers().len(), 1);
    }

    #[test]
    fn an_invoice_has_one_customer_and_one_country() {
        let books = books(
            "1,A,x,1,01/12/2010 08:26,1,7,UK\n1,A,x,1,01/12/2010 08:26,1,8,UK\n1,A,x,1,01/12/2010 08:26,1,7,EIRE\n",
        );
        let rejects: Vec<(u64, Reason)> = books
            .rejects
            .iter()
            .map(|reject| (reject.line, reject.reason))
            .collect();
        assert_eq!(rejects, [(3, Reason::OtherCustomer), (4, Reason::OtherCountry)]);
        assert_eq!((books.lines, books.invoices[0].lines.len()), (3, 1));
    }

    #[test]
    fn a_product_has_its_usual_name_and_its_latest_price() {
        let books = books(
            "1,A,mug?,1,03/12/2010 08:26,0,,UK\n2,A, Red mug,1,02/12/2010 08:26,2,,UK\n3,A,Red mug,1,01/12/2010 08:26,9,,UK\n\
             4,POST,,1,01/12/2010 08:26,0,,UK\n",
        );
        let product = |sku: &str, name: &str, category, price| Product {
            sku: sku.to_owned(),
            name: name.to_owned(),
            category,
            price,
        };
        let expected = [
            product("A", "Red mug", "online-retail", 200),
            product("POST", "POST", "services", 0),
        ];
        assert_eq!(books.products, expected);
    }

    #[test]
    fn a_refused_invoice_leaves_with_all_its_lines() {
        let lines = "1,A,x,1,01/12/2010 08:26,1,7,UK\n2,A,x,1,01/12/2010 08:26,1,7,UK\nx\n1,B,x,1,01/12/2010 08:26,1,7,UK\n";
        let mut books = books(lines);
        books.refuse(
            &BTreeSet::from(["1".to_owned()]),
            format!("{FIRST}{lines}").as_bytes(),
        );
        let rejects: Vec<(u64, Reason)> = books
            .rejects
            .iter()
            .map(|reject| (reject.line, reject.reason))
            .collect();
        let expected = [
            (2, Reason::OtherInvoice),
            (4, Reason::Columns),
            (5, Reason::OtherInvoice),
        ];
        assert_eq!(
            (rejects.as_slice(), books.invoices.len()),
            (expected.as_slice(), 1)
        );
        assert!(books.rejects[2].raw.starts_with("1,B"));
    }

    #[test]
    fn a_file_without_the_header_is_no_book() {
        assert!(Books::read(b"", 2).is_none());
        assert!(Books::read(b"a,b,c\n1,2,3\n", 2).is_none());
    }
}
