//! Reading canonical rows: each comes from the database as one JSON text.

use chassis::db::{Conn, Error};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::form;
use crate::row::{Key, Row};
use crate::store::Range;
use crate::table::{Kind, Table};

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    row: String,
}

/// The rows with these keys.
pub(super) fn find(conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Error> {
    let keys = list(table, keys);
    let query = rows(conn, table, &format!("WHERE {}", among(conn, table)));
    load(
        table,
        &diesel::sql_query(query)
            .bind::<Text, _>(keys)
            .load::<Stored>(conn)?,
    )
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
    let which = format!("WHERE {} ORDER BY {columns} LIMIT $1", conditions.join(" AND "));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = diesel::sql_query(rows(conn, table, &which))
        .into_boxed()
        .bind::<BigInt, _>(limit);
    for key in [after, through].into_iter().flatten() {
        query = query.bind::<Text, _>(key.text());
    }
    load(table, &query.load::<Stored>(conn)?)
}

fn load(table: &Table, stored: &[Stored]) -> Result<Vec<Row>, Error> {
    stored
        .iter()
        .map(|stored| form::read(table, &stored.row))
        .collect()
}

/// The query for rows as JSON, with the values as the database writes them: `form` makes them canonical.
fn rows(conn: &Conn, table: &Table, which: &str) -> String {
    let columns = || table.columns.iter().map(|column| column.name);
    match conn {
        // Twice as fast as json_build_object, which looks up the type of each value for each row. The inner order stands:
        // nothing is done to the rows outside but that.
        Conn::Postgres(_) => format!(
            "SELECT row_to_json(r)::text AS row FROM (SELECT {} FROM {} {which}) AS r",
            columns().collect::<Vec<_>>().join(", "),
            table.name,
        ),
        Conn::Sqlite(_) => format!(
            "SELECT json_object({}) AS row FROM {} {which}",
            columns()
                .map(|name| format!("'{name}', {name}"))
                .collect::<Vec<_>>()
                .join(", "),
            table.name,
        ),
    }
}

/// Keys as one JSON text, an array of arrays. What has not the form of a key is no row's key: as a number, SQL would take `x` for 0.
pub(super) fn list(table: &Table, keys: &[Key]) -> String {
    let keys: Vec<&Key> = keys.iter().filter(|key| table.is_key(key)).collect();
    serde_json::to_string(&keys).unwrap_or_default()
}

/// The key's columns as they are ordered by: text by its bytes.
fn key_columns(conn: &Conn, table: &Table) -> String {
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

/// The condition that a row's key is among those in the first parameter: a [`list`].
pub(super) fn among(conn: &Conn, table: &Table) -> String {
    let from = match conn {
        Conn::Postgres(_) => "json_array_elements($1::json) AS k(value)",
        Conn::Sqlite(_) => "json_each($1) AS k",
    };
    let values: Vec<String> = (0..table.key.len())
        .map(|n| element(conn, table, "k.value", n))
        .collect();
    format!(
        "({}) IN (SELECT {} FROM {from})",
        table.key.join(", "),
        values.join(", ")
    )
}

/// One value of a key's JSON array, in the column's type.
fn element(conn: &Conn, table: &Table, array: &str, n: usize) -> String {
    let integer = table.key.get(n).and_then(|name| table.kind(name)) == Some(Kind::Integer);
    match (conn, integer) {
        (Conn::Postgres(_), true) => format!("(({array})::json ->> {n})::bigint"),
        (Conn::Postgres(_), false) => format!("(({array})::json ->> {n})"),
        (Conn::Sqlite(_), true) => format!("CAST({array} ->> {n} AS INTEGER)"),
        (Conn::Sqlite(_), false) => format!("({array} ->> {n})"),
    }
}
