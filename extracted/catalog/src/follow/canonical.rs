//! Reading and writing the values of a canonical row.

use std::sync::LazyLock;

use chassis::db::Error;
use chrono::NaiveDateTime;
use chrono::format::{Item, Parsed, StrftimeItems};
use diesel::result::Error as Diesel;
use handover::row::Row;
use serde_json::Value;

/// How a time is written: UTC, six digits of a second. Taken apart once, for a copy reads very many.
static TIME: LazyLock<Vec<Item<'static>>> =
    LazyLock::new(|| StrftimeItems::new("%Y-%m-%dT%H:%M:%S%.6fZ").collect());

/// What a row from the other side lacks, or has in another form.
#[derive(Debug, thiserror::Error)]
#[error("a row of `{table}` has no {kind} `{column}`: {row}")]
struct NotCanonical {
    table: &'static str,
    column: &'static str,
    kind: &'static str,
    row: String,
}

/// A row of one table, being read.
#[derive(Clone, Copy)]
pub(super) struct Read<'r> {
    pub(super) table: &'static str,
    pub(super) row: &'r Row,
}

impl<'r> Read<'r> {
    pub(super) fn text(&self, column: &'static str) -> Result<&'r str, Error> {
        self.row
            .get(column)
            .and_then(Value::as_str)
            .ok_or_else(|| self.without(column, "text"))
    }

    pub(super) fn integer(&self, column: &'static str) -> Result<i64, Error> {
        let number = self
            .row
            .get(column)
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.without(column, "integer"))
    }

    pub(super) fn time(&self, column: &'static str) -> Result<NaiveDateTime, Error> {
        self.maybe_time(column)?
            .ok_or_else(|| self.without(column, "time"))
    }

    pub(super) fn maybe_time(&self, column: &'static str) -> Result<Option<NaiveDateTime>, Error> {
        match self.row.get(column) {
            Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                let mut parsed = Parsed::new();
                let time = chrono::format::parse(&mut parsed, text, TIME.iter())
                    .and_then(|()| parsed.to_naive_datetime_with_offset(0));
                time.map(Some).map_err(|_| self.without(column, "time"))
            }
            _ => Err(self.without(column, "time")),
        }
    }

    fn without(&self, column: &'static str, kind: &'static str) -> Error {
        let row = serde_json::to_string(self.row).unwrap_or_default();
        let told = NotCanonical {
            table: self.table,
            column,
            kind,
            row,
        };
        Error::Query(Diesel::DeserializationError(Box::new(told)))
    }
}

/// A time in canonical form.
pub(super) fn time(time: NaiveDateTime) -> Value {
    Value::String(time.format_with_items(TIME.iter()).to_string())
}

/// An integer in canonical form.
pub(super) fn integer(number: i64) -> Value {
    Value::String(number.to_string())
}
