//! Parameters and answers of the reports, as clients see them.

use chassis::page::Page;
use chassis::problem::Problem;
use chassis::time::utc;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::money::{Money, known_currency};
use crate::orders::{Group, GroupBy, SalesQuery, Totals};
use crate::reports::history::{Event, EventKind, Place};
use crate::reports::low_stock::Scarce;

/// So many units or fewer are few, if the client does not say.
const THRESHOLD: i64 = 10;
/// The largest threshold that can be asked for.
const MAX_THRESHOLD: i64 = 1_000_000_000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LowStockQuery {
    /// List products of which at most so many units are available; 10 if absent.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    threshold: Option<i64>,
}

/// A product that runs out.
#[derive(Serialize, ToSchema)]
pub(super) struct LowStock {
    sku: String,
    /// Null if the catalog does not have the product any more.
    name: Option<String>,
    /// Units that can still be promised.
    available: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SalesParameters {
    /// Only orders placed then or later: RFC 3339, or a date, which means its first moment in UTC.
    #[param(example = "2010-12-01")]
    from: Option<String>,
    /// Only orders placed before then: RFC 3339, or a date, which means its first moment in UTC.
    #[param(example = "2011-01-01")]
    to: Option<String>,
    /// What to make groups by; none if absent.
    group_by: Option<SalesGrouping>,
    /// Only orders in this currency (ISO 4217); the shop's own if absent.
    currency: Option<String>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SalesGrouping {
    None,
    Sku,
    Country,
    Day,
}

/// What was ordered and not cancelled. What came back counts against it.
#[derive(Serialize, ToSchema)]
pub(super) struct Sales {
    currency: String,
    total: Money,
    /// Orders and imported invoices, credit notes included.
    invoices: i64,
    /// How many of them are credit notes.
    credit_notes: i64,
    lines: i64,
    /// Units.
    quantity: i64,
    /// Sums by group, in the order of the keys; empty if no groups were asked for.
    groups: Page<SalesGroup>,
}

#[derive(Serialize, ToSchema)]
struct SalesGroup {
    /// The SKU, the day or the country; empty where no country is known.
    key: String,
    /// Units.
    quantity: i64,
    total: Money,
}

/// Something that happened between a customer and the shop.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryEvent {
    at: DateTime<Utc>,
    kind: EventKind,
    /// The id of the order, payment or notification.
    id: i64,
    /// What happened, in a line.
    summary: String,
}

impl LowStockQuery {
    /// The threshold asked for.
    pub(super) fn threshold(&self) -> Result<i64, Problem> {
        match self.threshold.unwrap_or(THRESHOLD) {
            threshold @ 0..=MAX_THRESHOLD => Ok(threshold),
            _ => Err(Problem::bad_request("A query parameter is out of range.")
                .field("threshold", format!("must be 0 to {MAX_THRESHOLD}"))),
        }
    }
}

impl SalesParameters {
    /// The sales that are meant.
    pub(super) fn query(&self, currency: &str) -> Result<SalesQuery, Problem> {
        let currency = self.currency.as_deref().unwrap_or(currency);
        if let Err(error) = known_currency(currency, &()) {
            return Err(Problem::bad_request("A query parameter could not be read.")
                .field("currency", error.to_string()));
        }
        let from = time("from", self.from.as_deref())?.unwrap_or_else(|| midnight(first_day()));
        let to = time("to", self.to.as_deref())?.unwrap_or_else(|| midnight(last_day()));
        if to < from {
            return Err(Problem::bad_request("A query parameter is out of range.")
                .field("to", "must not be before `from`"));
        }
        let currency = currency.to_owned();
        Ok(SalesQuery { currency, from, to })
    }

    /// What groups are asked for, if any are.
    pub(super) fn grouping(&self) -> Option<GroupBy> {
        match self.group_by? {
            SalesGrouping::None => None,
            SalesGrouping::Sku => Some(GroupBy::Sku),
            SalesGrouping::Country => Some(GroupBy::Country),
            SalesGrouping::Day => Some(GroupBy::Day),
        }
    }
}

impl Sales {
    /// The report as it is shown.
    pub(super) fn shown(currency: String, totals: Totals, groups: Page<Group>) -> Self {
        let group = |group: Group| SalesGroup {
            key: group.key,
            quantity: group.quantity,
            total: Money::new(group.amount, currency.clone()),
        };
        Self {
            groups: groups.map(group),
            total: Money::new(totals.amount, currency.clone()),
            currency,
            invoices: totals.invoices,
            credit_notes: totals.credit_notes,
            lines: totals.lines,
            quantity: totals.quantity,
        }
    }
}

impl From<Scarce> for LowStock {
    fn from(scarce: Scarce) -> Self {
        Self {
            sku: scarce.sku,
            name: scarce.name,
            available: scarce.available,
        }
    }
}

impl From<Event> for HistoryEvent {
    fn from(event: Event) -> Self {
        Self {
            at: utc(event.at),
            kind: event.kind,
            id: event.id,
            summary: event.summary,
        }
    }
}

/// The place in a customer's history after which to go on. One that no database can keep was made up.
pub(super) fn place(given: Option<Place>) -> Result<Option<Place>, Problem> {
    match given {
        Some((at, _, _)) if !keepable(at) => {
            Err(Problem::bad_request("A query parameter could not be read.")
                .field("cursor", "must be the `next` of an earlier page of this list"))
        }
        given => Ok(given),
    }
}

/// Reads a time: RFC 3339, or a date.
fn time(field: &str, given: Option<&str>) -> Result<Option<NaiveDateTime>, Problem> {
    let Some(text) = given else {
        return Ok(None);
    };
    let time = match text.parse::<NaiveDate>() {
        Ok(day) => Some(midnight(day)),
        Err(_) => DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| time.naive_utc()),
    };
    time.filter(|time| keepable(*time)).map(Some).ok_or_else(|| {
        Problem::bad_request("A query parameter could not be read.").field(
            field,
            "must be a date, `2011-12-09`, or a time, `2011-12-09T12:50:00Z`",
        )
    })
}

/// Both databases keep and order the times of these years alike.
fn keepable(time: NaiveDateTime) -> bool {
    (1..=9999).contains(&time.year())
}

fn midnight(day: NaiveDate) -> NaiveDateTime {
    day.and_time(NaiveTime::MIN)
}

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default()
}

fn last_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let time = time("from", Some(text)).ok()?;
        time.map(|time| time.to_string())
    }

    #[test]
    fn times_are_read_in_utc_and_dates_from_their_first_moment() {
        assert_eq!(read("2010-12-01").as_deref(), Some("2010-12-01 00:00:00"));
        assert_eq!(
            read("2010-12-01T08:26:00+01:00").as_deref(),
            Some("2010-12-01 07:26:00")
        );
        assert_eq!(
            read("2010-12-01T08:26:00.5Z").as_deref(),
            Some("2010-12-01 08:26:00.500")
        );
        for bad in [
            "",
            "yesterday",
            "2010-13-01",
            "2010-12-01T08:26:00",
            "0000-01-01",
            "9999-12-31T23:59:59-10:00",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
