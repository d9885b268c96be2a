//! The form of values: what a database says of a row, made canonical; and a canonical row, made what the database keeps.
//!
//! In Rust and not in SQL, because it is faster there, and because a value that has no canonical form must be told of: SQL makes
//! something else of it without a word (`infinity` becomes null, `12abc` becomes 12).

use chassis::db::Error;
use diesel::result::Error as Diesel;
use serde_json::Value;

use super::binary::{Cell, Cells};
use super::time;
use crate::ddl::Backend;
use crate::row::Row;
use crate::table::{Column, Kind, Table};

/// A row that the database has and that cannot travel.
#[derive(Debug, thiserror::Error)]
#[error(
    "{table} {key}: the column `{column}` holds {found}, which has no canonical form; correct the row, or leave the column out of the module"
)]
struct Unreadable {
    table: &'static str,
    key: String,
    column: &'static str,
    found: String,
}

/// A row that came from the other side and is none of this table.
#[derive(Debug, thiserror::Error)]
#[error(
    "{table} {key}: the column `{column}` {wrong}; the two sides do not mean the same table: compare their lists of columns"
)]
struct NoRow {
    table: &'static str,
    key: String,
    column: &'static str,
    wrong: String,
}

/// The JSON of one row, as the database writes it, in canonical form.
pub(super) fn read(table: &Table, text: &str) -> Result<Row, Error> {
    let mut row: Row = serde_json::from_str(text).map_err(|error| unreadable(Box::new(error)))?;
    for column in table.columns {
        let Some(value) = row.get_mut(column.name) else {
            continue;
        };
        if !make_canonical(column.kind, value) {
            let found = value.to_string();
            return Err(unreadable(Box::new(Unreadable {
                table: table.name,
                key: key_text(table, &row),
                column: column.name,
                found,
            })));
        }
    }
    Ok(row)
}

/// One row, as PostgreSQL sends it, in canonical form; its values are those of these columns. `None` if one has a type or a value that only
/// its JSON tells more of.
pub(super) fn row(columns: &[&Column], cells: Cells) -> Option<Row> {
    let named = |(column, cell): (&&Column, Cell)| Some((column.name, value(column.kind, cell)?));
    columns.iter().zip(cells.0).map(named).collect()
}

fn value(kind: Kind, cell: Cell) -> Option<Value> {
    match (kind, cell) {
        (_, Cell::Null) => Some(Value::Null),
        (Kind::Text, Cell::Text(text)) => Some(Value::String(text)),
        (Kind::Integer, Cell::Integer(number)) => Some(Value::String(number.to_string())),
        (Kind::Boolean, Cell::Boolean(is)) => Some(Value::Bool(is)),
        (Kind::Time, Cell::Time(micros)) => time::from_micros(micros).map(Value::String),
        _ => None,
    }
}

fn unreadable(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Query(Diesel::DeserializationError(error))
}

/// Changes a value in place; says whether it could.
fn make_canonical(kind: Kind, value: &mut Value) -> bool {
    match (kind, &mut *value) {
        (_, Value::Null) | (Kind::Text, Value::String(_)) | (Kind::Boolean, Value::Bool(_)) => true,
        (Kind::Integer, Value::Number(number)) => number.as_i64().is_some_and(|number| {
            *value = Value::String(number.to_string());
            true
        }),
        // SQLite has no booleans: it keeps 0 and 1.
        (Kind::Boolean, Value::Number(number)) => {
            number
                .as_u64()
                .filter(|number| *number <= 1)
                .is_some_and(|number| {
                    *value = Value::Bool(number == 1);
                    true
                })
        }
        (Kind::Time, Value::String(text)) => time::canonical(text).is_some_and(|canonical| {
            *text = canonical;
            true
        }),
        _ => false,
    }
}

/// Canonical rows as one JSON text for the database: an array of arrays for SQLite, of objects for PostgreSQL. Each row has the
/// table's columns, then `more`, which are computed.
pub(super) fn write(
    table: &Table,
    more: &[&super::Computed],
    rows: &[Row],
    backend: Backend,
) -> Result<String, Error> {
    let mut text = String::with_capacity(rows.len() * 32 * table.columns.len());
    let (open, close) = match backend {
        Backend::Sqlite => ('[', ']'),
        Backend::Postgres => ('{', '}'),
    };
    let name = |text: &mut String, name: &str| {
        if !text.ends_with(open) {
            text.push(',');
        }
        if backend == Backend::Postgres {
            text.push_str(&format!("\"{name}\":"));
        }
    };
    text.push('[');
    for row in rows {
        if text.len() > 1 {
            text.push(',');
        }
        text.push(open);
        for column in table.columns {
            name(&mut text, column.name);
            push(&mut text, column, row.get(column.name), backend)
                .map_err(|wrong| no_row(table, row, column.name, wrong))?;
        }
        for computed in more {
            name(&mut text, computed.column);
            push_text(&mut text, &(computed.value)(row))
                .map_err(|wrong| no_row(table, row, computed.column, wrong))?;
        }
        text.push(close);
    }
    text.push(']');
    Ok(text)
}

fn no_row(table: &Table, row: &Row, column: &'static str, wrong: String) -> Error {
    Error::Query(Diesel::SerializationError(Box::new(NoRow {
        table: table.name,
        key: key_text(table, row),
        column,
        wrong,
    })))
}

/// Adds a canonical value, in the form in which the database takes it; or says what is wrong with it.
fn push(text: &mut String, column: &Column, value: Option<&Value>, backend: Backend) -> Result<(), String> {
    match (column.kind, value) {
        (_, None) => return Err("is missing".to_owned()),
        (_, Some(Value::Null)) => text.push_str("null"),
        (Kind::Integer, Some(Value::String(digits))) if is_integer(digits) => text.push_str(digits),
        (Kind::Boolean, Some(Value::Bool(is))) => text.push_str(if *is { "true" } else { "false" }),
        (Kind::Text, Some(Value::String(value))) => push_text(text, value)?,
        (Kind::Time, Some(Value::String(value))) if time::is_canonical(value) => {
            let stored = match backend {
                Backend::Sqlite => time::as_diesel_writes(value),
                // A column without a zone passes over the `Z`.
                Backend::Postgres => value.clone(),
            };
            push_text(text, &stored)?;
        }
        (kind, Some(other)) => return Err(format!("holds {other} and not {}", expected(kind))),
    }
    Ok(())
}

fn push_text(text: &mut String, value: &str) -> Result<(), String> {
    if value.contains('\0') {
        return Err("holds U+0000, which PostgreSQL cannot keep".to_owned());
    }
    text.push_str(&serde_json::to_string(value).map_err(|error| error.to_string())?);
    Ok(())
}

/// Whether these digits are the one way of writing a number of 64 bits.
fn is_integer(digits: &str) -> bool {
    let (sign, rest) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    let is_plain = rest
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_digit() && (first != b'0' || rest.len() == 1 && !sign));
    is_plain && digits.parse::<i64>().is_ok()
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "the digits of a number of 64 bits",
        Kind::Text => "a text",
        Kind::Time => "a time like \"2026-11-25T06:17:51.000120Z\"",
        Kind::Boolean => "true or false",
    }
}

/// The key of a row for a message, as far as the row has one.
fn key_text(table: &Table, row: &Row) -> String {
    let value = |name: &&str| row.get(name).cloned().unwrap_or_default();
    Value::Array(table.key.iter().map(value).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_way_of_being_written() {
        for good in ["0", "7", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert!(is_integer(good), "{good}");
        }
        for bad in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "9223372036854775808",
            "x",
            "٣",
        ] {
            assert!(!is_integer(bad), "{bad}");
        }
    }
}
