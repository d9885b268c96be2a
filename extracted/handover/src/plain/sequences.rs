//! The numbers that a database gives out: a client may have seen the last one although its row is gone again, so the other side goes on
//! behind it.
//!
//! For stores of both kinds: a service's numbered columns are numbered in the same way.

use std::collections::BTreeMap;

use chassis::db::{Conn, Error};
use diesel::prelude::*;
use diesel::result::Error as Diesel;
use diesel::sql_types::{Nullable, Text};

use crate::sql;

/// The last number of each column, by `table.column`.
pub fn last(
    numbered: &[(&'static str, &'static str)],
    conn: &mut Conn,
) -> Result<BTreeMap<String, i64>, Error> {
    let mut numbers = BTreeMap::new();
    for (table, column) in numbered {
        let query = match conn {
            Conn::Postgres(_) => {
                let name = sequence(conn, table, column)?;
                // One that was never used says the number that comes next.
                format!("SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END AS n FROM {name}")
            }
            Conn::Sqlite(_) => {
                format!("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0) AS n")
            }
        };
        numbers.insert(format!("{table}.{column}"), sql::number(conn, &query)?);
    }
    Ok(numbers)
}

/// Moves each sequence past the number given, and past the greatest that is there. Never back.
pub fn raise(
    numbered: &[(&'static str, &'static str)],
    conn: &mut Conn,
    past: &BTreeMap<String, i64>,
) -> Result<(), Error> {
    for (table, column) in numbered {
        let given = past.get(&format!("{table}.{column}")).copied().unwrap_or(0);
        let query = match conn {
            Conn::Postgres(_) => {
                let name = sequence(conn, table, column)?;
                // It is moved only if it must be, for a move is not taken back with the transaction.
                format!(
                    "SELECT CASE WHEN past > last THEN setval('{name}', past) ELSE last END AS n FROM \
                     (SELECT greatest({given}, (SELECT max({column}) FROM {table})) AS past, \
                      last_value - CASE WHEN is_called THEN 0 ELSE 1 END AS last FROM {name}) AS s"
                )
            }
            Conn::Sqlite(_) => {
                let floor = format!(
                    "INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', 0 \
                     WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{table}')"
                );
                diesel::sql_query(floor).execute(conn)?;
                format!(
                    "UPDATE sqlite_sequence SET seq = max({given}, seq, (SELECT coalesce(max({column}), 0) FROM {table})) \
                     WHERE name = '{table}' RETURNING seq AS n"
                )
            }
        };
        sql::number(conn, &query)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
}

/// A column that is listed as numbered, and is not.
#[derive(Debug, thiserror::Error)]
#[error(
    "{table}.{column} has no sequence; take it out of the list of numbered columns, or make it an identity column"
)]
struct NotNumbered {
    table: String,
    column: String,
}

fn sequence(conn: &mut Conn, table: &str, column: &str) -> Result<String, Error> {
    let query = format!("SELECT pg_get_serial_sequence('{table}', '{column}') AS name");
    let Name { name } = diesel::sql_query(query).get_result(conn)?;
    name.ok_or_else(|| {
        let (table, column) = (table.to_owned(), column.to_owned());
        Error::Query(Diesel::DeserializationError(Box::new(NotNumbered {
            table,
            column,
        })))
    })
}
