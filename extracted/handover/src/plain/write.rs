//! Writing canonical rows: a page is one JSON text, and one statement.

use chassis::db::{Conn, Error};
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::Value;

use super::read::{among, list};
use super::{Computed, Plain};
use crate::row::{Key, Row};
use crate::table::{Column, Kind, Table};

/// Makes rows what they are at the source.
pub(super) fn put(plain: &Plain, conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let computed: Vec<&Computed> = plain
        .computed
        .iter()
        .filter(|computed| computed.table == table.name)
        .collect();
    let mut columns: Vec<Column> = table.columns.to_vec();
    columns.extend(computed.iter().map(|computed| Column {
        name: computed.column,
        kind: Kind::Text,
    }));
    let with_computed = |row: &Row| {
        let mut row = row.clone();
        for computed in &computed {
            row.insert(computed.column.to_owned(), Value::String((computed.value)(&row)));
        }
        row
    };
    let rows: Vec<Row> = rows.iter().map(with_computed).collect();
    let text = serde_json::to_string(&rows).unwrap_or_default();
    diesel::sql_query(insert(conn, table, &columns))
        .bind::<Text, _>(text)
        .execute(conn)?;
    Ok(())
}

fn insert(conn: &Conn, table: &Table, columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let values: Vec<String> = columns.iter().map(|column| native(conn, column)).collect();
    let from = match conn {
        Conn::Postgres(_) => "jsonb_array_elements($1::jsonb) AS r(value)",
        Conn::Sqlite(_) => "json_each($1) AS r",
    };
    let set: Vec<String> = names
        .iter()
        .filter(|name| !table.key.contains(name))
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let action = if set.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", set.join(", "))
    };
    // `WHERE true`, or SQLite takes ON for the condition of a join.
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM {from} WHERE true ON CONFLICT ({}) DO {action}",
        table.name,
        names.join(", "),
        values.join(", "),
        table.key.join(", ")
    )
}

/// A canonical value in the form in which the database keeps it.
fn native(conn: &Conn, column: &Column) -> String {
    let name = column.name;
    match (conn, column.kind) {
        (Conn::Postgres(_), Kind::Text) => format!("r.value ->> '{name}'"),
        (Conn::Postgres(_), Kind::Integer) => format!("(r.value ->> '{name}')::bigint"),
        (Conn::Postgres(_), Kind::Boolean) => format!("(r.value ->> '{name}')::boolean"),
        // The zone is always UTC, and the column has none.
        (Conn::Postgres(_), Kind::Time) => format!("rtrim(r.value ->> '{name}', 'Z')::timestamp"),
        (Conn::Sqlite(_), Kind::Text | Kind::Boolean) => format!("r.value ->> '{name}'"),
        (Conn::Sqlite(_), Kind::Integer) => format!("CAST(r.value ->> '{name}' AS INTEGER)"),
        (Conn::Sqlite(_), Kind::Time) => sqlite_time(&format!("(r.value ->> '{name}')")),
    }
}

/// As diesel writes a time: groups of three digits behind the point, and no more than are needed.
fn sqlite_time(value: &str) -> String {
    format!(
        "substr({value}, 1, 10) || ' ' || substr({value}, 12, 8) || CASE WHEN substr({value}, 21, 6) = '000000' THEN '' \
         WHEN substr({value}, 24, 3) = '000' THEN substr({value}, 20, 4) ELSE substr({value}, 20, 7) END"
    )
}

/// Removes rows, and before them what refers to them.
pub(super) fn remove(plain: &Plain, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<(), Error> {
    for reference in plain
        .references
        .iter()
        .filter(|reference| reference.to == table.name)
    {
        let value = match conn {
            Conn::Postgres(_) => "(k.value ->> 0)::bigint FROM jsonb_array_elements($1::jsonb) AS k(value)",
            Conn::Sqlite(_) => "CAST(k.value ->> 0 AS INTEGER) FROM json_each($1) AS k",
        };
        let query = format!(
            "DELETE FROM {} WHERE {} IN (SELECT {value})",
            reference.table, reference.column
        );
        diesel::sql_query(query)
            .bind::<Text, _>(list(keys))
            .execute(conn)?;
    }
    let query = format!("DELETE FROM {} WHERE {}", table.name, among(conn, table, "$1"));
    diesel::sql_query(query)
        .bind::<Text, _>(list(keys))
        .execute(conn)?;
    Ok(())
}

/// Removes everything, children first.
pub(super) fn clear(plain: &Plain, conn: &mut Conn) -> Result<(), Error> {
    for table in plain.tables.iter().rev() {
        diesel::sql_query(format!("DELETE FROM {}", table.name)).execute(conn)?;
    }
    Ok(())
}
