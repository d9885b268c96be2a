//! One line of the books: what it says, or why it cannot be taken.

use chrono::NaiveDateTime;

use super::records::{COLUMNS, Record};
use crate::money::MAX_PRICE;
use crate::sku::valid_sku;

/// The columns, in their order; also the first line of a file.
pub(super) const HEADER: [&str; COLUMNS] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];
/// Day first, as in Britain. The books do not say which clock; it is taken for UTC.
const DATE: &str = "%d/%m/%Y %H:%M";
/// The largest quantity either way.
const MAX_QUANTITY: i64 = 1_000_000_000;
/// Characters of an invoice number, a customer's reference or a country at the most.
const MAX_TEXT: usize = 64;
/// Characters of a product's name at the most; longer descriptions are cut, for the line's money counts all the same.
const MAX_NAME: usize = 200;

/// A line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) invoice: String,
    pub(super) sku: String,
    /// Trimmed; empty in the books of many a stock correction.
    pub(super) description: String,
    pub(super) quantity: i64,
    pub(super) at: NaiveDateTime,
    /// In minor units.
    pub(super) unit_price: i64,
    pub(super) customer: Option<String>,
    pub(super) country: Option<String>,
}

/// Why a line cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum Reason {
    #[error("it is not UTF-8, or holds control characters")]
    Text,
    #[error("it has not 8 columns")]
    Columns,
    #[error("InvoiceNo is empty, or not letters and digits")]
    Invoice,
    #[error("StockCode is no SKU: 1 to 64 letters, digits, spaces, `.`, `_` or `-`")]
    StockCode,
    #[error("Quantity is not a whole number other than 0")]
    Quantity,
    #[error("InvoiceDate is not a date and time as in 01/12/2010 08:26")]
    Date,
    #[error("UnitPrice is not a number from 0 up")]
    Price,
    #[error("UnitPrice has more decimals than the currency")]
    Decimals,
    #[error("Quantity times UnitPrice is more than can be counted")]
    TooLarge,
    #[error("CustomerID is too long, or not letters, digits, `.`, `_` or `-`")]
    Customer,
    #[error("Country is too long")]
    Country,
    #[error("CustomerID is not the one of the invoice's first line")]
    OtherCustomer,
    #[error("Country is not the one of the invoice's first line")]
    OtherCountry,
    #[error("the shop has an invoice of this number already, with something else on it")]
    OtherInvoice,
}

impl Reason {
    /// The reason in one word, for machines.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Columns => "columns",
            Self::Invoice => "invoice",
            Self::StockCode => "stock-code",
            Self::Quantity => "quantity",
            Self::Date => "date",
            Self::Price => "price",
            Self::Decimals => "price-decimals",
            Self::TooLarge => "too-large",
            Self::Customer => "customer",
            Self::Country => "country",
            Self::OtherCustomer => "other-customer",
            Self::OtherCountry => "other-country",
            Self::OtherInvoice => "other-invoice",
        }
    }
}

/// Reads a record; `decimals` is how many the currency has.
pub(super) fn parse(record: &Record<'_>, decimals: u32) -> Result<Line, Reason> {
    let fields = record.fields.as_ref().ok_or(Reason::Text)?;
    if fields
        .iter()
        .any(|field| field.chars().any(|c| c.is_control() && c != '\n' && c != '\r'))
    {
        return Err(Reason::Text);
    }
    let fields: Vec<&str> = fields.iter().map(|field| field.trim()).collect();
    let [invoice, sku, description, quantity, at, price, customer, country] =
        <[&str; COLUMNS]>::try_from(fields).map_err(|_| Reason::Columns)?;
    let line = Line {
        invoice: reference(invoice).ok_or(Reason::Invoice)?,
        sku: valid_sku(sku, &())
            .map(|()| sku.to_owned())
            .map_err(|_| Reason::StockCode)?,
        description: description.chars().take(MAX_NAME).collect(),
        quantity: parse_quantity(quantity).ok_or(Reason::Quantity)?,
        at: NaiveDateTime::parse_from_str(at, DATE).map_err(|_| Reason::Date)?,
        unit_price: parse_price(price, decimals)?,
        customer: optional(customer, reference).map_err(|()| Reason::Customer)?,
        country: optional(country, short).map_err(|()| Reason::Country)?,
    };
    match line.unit_price.checked_mul(line.quantity) {
        Some(_) => Ok(line),
        None => Err(Reason::TooLarge),
    }
}

/// A text that something is found by again: an invoice number, a customer's reference.
fn reference(text: &str) -> Option<String> {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    short(text).filter(|text| !text.is_empty() && text.chars().all(letters))
}

fn short(text: &str) -> Option<String> {
    (text.chars().count() <= MAX_TEXT).then(|| text.to_owned())
}

/// Nothing for an empty field; for another what `read` makes of it, or an error.
fn optional(text: &str, read: impl Fn(&str) -> Option<String>) -> Result<Option<String>, ()> {
    match text {
        "" => Ok(None),
        text => read(text).map(Some).ok_or(()),
    }
}

fn parse_quantity(text: &str) -> Option<i64> {
    let quantity: i64 = text.parse().ok()?;
    (quantity != 0 && quantity.abs() <= MAX_QUANTITY).then_some(quantity)
}

/// A price in minor units, without ever being a float.
fn parse_price(text: &str, decimals: u32) -> Result<i64, Reason> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || text.ends_with('.') {
        return Err(Reason::Price);
    }
    let missing = decimals
        .checked_sub(u32::try_from(part.len()).unwrap_or(u32::MAX))
        .ok_or(Reason::Decimals)?;
    let number: i64 = format!("{whole}{part}").parse().map_err(|_| Reason::Price)?;
    number
        .checked_mul(10_i64.pow(missing))
        .filter(|price| *price <= MAX_PRICE)
        .ok_or(Reason::Price)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::records::Records;

    fn read(line: &str) -> Result<Line, Reason> {
        parse(&Records::of(line.as_bytes()).next().unwrap(), 2)
    }

    #[test]
    fn a_good_line_is_taken_as_it_stands() {
        let line = read("C536379,D, Discount ,-1,01/12/2010 09:41,27.5,,United Kingdom").unwrap();
        assert_eq!((line.unit_price, line.quantity, line.customer), (2750, -1, None));
        assert_eq!(
            (line.description.as_str(), line.at.to_string().as_str()),
            ("Discount", "2010-12-01 09:41:00")
        );
    }

    #[test]
    fn each_way_to_be_wrong_has_its_reason() {
        let cases = [
            ("1,A,x,1,01/12/2010 08:26,1,1", Reason::Columns),
            ("1,A,x,1,01/12/2010 08:26,1,1,UK,more", Reason::Columns),
            ("1,A,a\0b,1,01/12/2010 08:26,1,1,UK", Reason::Text),
            (",A,x,1,01/12/2010 08:26,1,1,UK", Reason::Invoice),
            ("1,A/B,x,1,01/12/2010 08:26,1,1,UK", Reason::StockCode),
            ("1,,x,1,01/12/2010 08:26,1,1,UK", Reason::StockCode),
            ("1,A,x,1.5,01/12/2010 08:26,1,1,UK", Reason::Quantity),
            ("1,A,x,0,01/12/2010 08:26,1,1,UK", Reason::Quantity),
            ("1,A,x,1,13/13/2010 08:26,1,1,UK", Reason::Date),
            ("1,A,x,1,2010-12-01 08:26,1,1,UK", Reason::Date),
            ("1,A,x,1,01/12/2010 08:26,-1,1,UK", Reason::Price),
            ("1,A,x,1,01/12/2010 08:26,1e2,1,UK", Reason::Price),
            ("1,A,x,1,01/12/2010 08:26,,1,UK", Reason::Price),
            ("1,A,x,1,01/12/2010 08:26,.5,1,UK", Reason::Price),
            ("1,A,x,1,01/12/2010 08:26,0.001,1,UK", Reason::Decimals),
            (
                "1,A,x,1000000000,01/12/2010 08:26,100000000,1,UK",
                Reason::TooLarge,
            ),
            ("1,A,x,1,01/12/2010 08:26,1,a b,UK", Reason::Customer),
        ];
        for (line, reason) in cases {
            assert_eq!(read(line), Err(reason), "{line}");
        }
        let broken = Records::of(b"1,A,\xff,1,01/12/2010 08:26,1,1,UK").next().unwrap();
        assert_eq!(parse(&broken, 2), Err(Reason::Text));
    }

    #[test]
    fn a_price_is_exact_in_every_currency() {
        assert_eq!(parse_price("2.55", 2), Ok(255));
        assert_eq!(parse_price("13541.3", 2), Ok(1_354_130));
        assert_eq!(parse_price("7", 0), Ok(7));
        assert_eq!(parse_price("7.0", 0), Err(Reason::Decimals));
        assert_eq!(parse_price("0.001", 3), Ok(1));
    }
}
