//! Reading canonical rows: each comes from the database as one JSON text.

use chassis::db::{Conn, Error};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::row::{Key, Row};
use crate::store::Range;
use crate::table::{Column, Kind, Table};

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    row: String,
}

/// The rows with these keys.
pub(super) fn find(conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Error> {
    let query = format!(
        "SELECT {} AS row FROM {} WHERE {}",
        json(conn, table),
        table.name,
        among(conn, table, "$1")
    );
    load(diesel::sql_query(query).bind::<Text, _>(list(keys)).load(conn)?)
}

/// Rows of a range, by key.
pub(super) fn page(conn: &mut Conn, table: &Table, range: &Range, limit: usize) -> Result<Vec<Row>, Error> {
    let columns = key_columns(conn, table);
    let (after, through) = (range.after.as_ref(), range.through.as_ref());
    // The limit first, for SQLite numbers the parameters as they come.
    let mut conditions = vec!["$1 = $1".to_owned()];
    if after.is_some() {
        conditions.push(format!("({columns}) > {}", one(conn, table, "$2")));
    }
    if through.is_some() {
        let parameter = if after.is_some() { "$3" } else { "$2" };
        conditions.push(format!("({columns}) <= {}", one(conn, table, parameter)));
    }
    let query = format!(
        "SELECT {} AS row FROM {} WHERE {} ORDER BY {columns} LIMIT $1",
        json(conn, table),
        table.name,
        conditions.join(" AND ")
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = diesel::sql_query(query).into_boxed().bind::<BigInt, _>(limit);
    for key in [after, through].into_iter().flatten() {
        query = query.bind::<Text, _>(key.text());
    }
    load(query.load(conn)?)
}

fn load(stored: Vec<Stored>) -> Result<Vec<Row>, Error> {
    let row = |stored: Stored| {
        serde_json::from_str(&stored.row)
            .map_err(|error| Error::Query(diesel::result::Error::DeserializationError(Box::new(error))))
    };
    stored.into_iter().map(row).collect()
}

/// Keys as one JSON text: an array of arrays.
pub(super) fn list(keys: &[Key]) -> String {
    serde_json::to_string(keys).unwrap_or_default()
}

/// The expression that makes a row into JSON.
fn json(conn: &Conn, table: &Table) -> String {
    let function = match conn {
        Conn::Postgres(_) => "json_build_object",
        Conn::Sqlite(_) => "json_object",
    };
    let pairs: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("'{}', {}", column.name, canonical(conn, column)))
        .collect();
    let text = if matches!(conn, Conn::Postgres(_)) {
        "::text"
    } else {
        ""
    };
    format!("{function}({}){text}", pairs.join(", "))
}

/// A column's value in canonical form.
fn canonical(conn: &Conn, column: &Column) -> String {
    let name = column.name;
    match (conn, column.kind) {
        (_, Kind::Text) => name.to_owned(),
        (_, Kind::Integer) => format!("CAST({name} AS TEXT)"),
        (Conn::Postgres(_), Kind::Boolean) => name.to_owned(),
        (Conn::Sqlite(_), Kind::Boolean) => {
            format!("json(CASE {name} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END)")
        }
        (Conn::Postgres(_), Kind::Time) => format!("to_char({name}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"),
        // Stored as `2026-11-25 06:17:51`, with as many groups of three digits behind a point as are needed.
        (Conn::Sqlite(_), Kind::Time) => format!(
            "substr({name}, 1, 10) || 'T' || substr({name}, 12, 8) || '.' || substr(substr({name}, 21) || '000000', 1, 6) || 'Z'"
        ),
    }
}

/// The key's columns as they are ordered by: text by its bytes.
pub(super) fn key_columns(conn: &Conn, table: &Table) -> String {
    let column = |name: &&str| match (conn, table.kind(name)) {
        (Conn::Postgres(_), Some(Kind::Text)) => format!("{name} COLLATE \"C\""),
        _ => (*name).to_owned(),
    };
    table.key.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// One key, given as a JSON array in a parameter, as a row value.
fn one(conn: &Conn, table: &Table, parameter: &str) -> String {
    let values: Vec<String> = (0..table.key.len())
        .map(|n| element(conn, table, parameter, n))
        .collect();
    format!("({})", values.join(", "))
}

/// The condition that a row's key is among those in a parameter: a JSON array of arrays.
pub(super) fn among(conn: &Conn, table: &Table, parameter: &str) -> String {
    let (each, from) = match conn {
        Conn::Postgres(_) => (
            "k.value",
            format!("jsonb_array_elements({parameter}::jsonb) AS k(value)"),
        ),
        Conn::Sqlite(_) => ("k.value", format!("json_each({parameter}) AS k")),
    };
    let values: Vec<String> = (0..table.key.len())
        .map(|n| element(conn, table, each, n))
        .collect();
    format!(
        "({}) IN (SELECT {} FROM {from})",
        key_names(table),
        values.join(", ")
    )
}

fn key_names(table: &Table) -> String {
    table.key.join(", ")
}

/// One value of a key's JSON array, in the column's type.
fn element(conn: &Conn, table: &Table, array: &str, n: usize) -> String {
    let integer = table.key.get(n).and_then(|name| table.kind(name)) == Some(Kind::Integer);
    match (conn, integer) {
        (Conn::Postgres(_), true) => format!("(({array})::jsonb ->> {n})::bigint"),
        (Conn::Postgres(_), false) => format!("(({array})::jsonb ->> {n})"),
        (Conn::Sqlite(_), true) => format!("CAST({array} ->> {n} AS INTEGER)"),
        (Conn::Sqlite(_), false) => format!("({array} ->> {n})"),
    }
}
