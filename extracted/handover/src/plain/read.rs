//! Reading canonical rows.

use chassis::db::{Conn, Error};
use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::BoxedSqlQuery;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Text};

use super::binary::Cells;
use super::form;
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
    let which = format!("WHERE {}", among(conn, table));
    load(conn, table, &which, None, &[list(table, keys)])
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
    let keys: Vec<String> = [after, through].into_iter().flatten().map(Key::text).collect();
    load(conn, table, &which, Some(limit), &keys)
}

/// The rows that a condition leaves; its parameters are the limit, if there is one, and then these texts.
fn load(
    conn: &mut Conn,
    table: &Table,
    which: &str,
    limit: Option<i64>,
    texts: &[String],
) -> Result<Vec<Row>, Error> {
    // A row's columns are kept by name: those that come in that order need no place to be looked for.
    let mut columns: Vec<&Column> = table.columns.iter().collect();
    columns.sort_unstable_by_key(|column| column.name);
    let found: Vec<Stored> = match conn {
        Conn::Postgres(conn) => {
            let query = diesel::sql_query(values(table, &columns, which)).into_boxed();
            let found: Vec<Cells> = bound(query, limit, texts).load(conn)?;
            let rows = found.into_iter().map(|cells| form::row(&columns, cells));
            if let Some(rows) = rows.collect() {
                return Ok(rows);
            }
            // What is unusual takes the longer way, on which it travels or is told of.
            let query = diesel::sql_query(objects_of_postgres(table, &columns, which));
            bound(query.into_boxed(), limit, texts).load(conn)?
        }
        Conn::Sqlite(conn) => {
            let query = diesel::sql_query(objects_of_sqlite(table, &columns, which));
            bound(query.into_boxed(), limit, texts).load(conn)?
        }
    };
    let row = |stored: &Stored| form::read(table, &stored.row);
    found.iter().map(row).collect()
}

fn bound<'q, DB, Q>(
    mut query: BoxedSqlQuery<'q, DB, Q>,
    limit: Option<i64>,
    texts: &'q [String],
) -> BoxedSqlQuery<'q, DB, Q>
where
    DB: Backend + HasSqlType<BigInt> + HasSqlType<Text>,
    i64: ToSql<BigInt, DB>,
    String: ToSql<Text, DB>,
{
    if let Some(limit) = limit {
        query = query.bind::<BigInt, _>(limit);
    }
    for text in texts {
        query = query.bind::<Text, _>(text);
    }
    query
}

/// The query for rows on PostgreSQL, with the values as the server keeps them.
fn values(table: &Table, columns: &[&Column], which: &str) -> String {
    let columns: Vec<&str> = columns.iter().map(|column| column.name).collect();
    format!("SELECT {} FROM {} {which}", columns.join(", "), table.name)
}

/// The same as JSON texts, whatever the types. The inner order stands: nothing is done to the rows outside but that.
fn objects_of_postgres(table: &Table, columns: &[&Column], which: &str) -> String {
    let values = values(table, columns, which);
    format!("SELECT row_to_json(r)::text AS row FROM ({values}) AS r")
}

/// The query for rows on SQLite, as JSON texts with the values as the database writes them.
fn objects_of_sqlite(table: &Table, columns: &[&Column], which: &str) -> String {
    let column = |column: &&Column| format!("'{0}', {0}", column.name);
    let columns: Vec<String> = columns.iter().map(column).collect();
    format!(
        "SELECT json_object({}) AS row FROM {} {which}",
        columns.join(", "),
        table.name
    )
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
