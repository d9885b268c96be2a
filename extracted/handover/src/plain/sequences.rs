//! The numbers that a database gives out: a client may have seen the last one although its row is gone again, so the other side goes on
//! behind it.
//!
//! For stores of both kinds: a service's numbered columns are numbered in the same way.

use std::collections::BTreeMap;

use chassis::db::{Conn, Error};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

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
                // One that was never used says the number that comes next, which is one too many and does no harm.
                format!("SELECT last_value AS n FROM {name}")
            }
            Conn::Sqlite(_) => {
                format!("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0) AS n")
            }
        };
        let Number { n } = diesel::sql_query(query).get_result(conn)?;
        numbers.insert(format!("{table}.{column}"), n);
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
                format!(
                    "SELECT setval('{name}', greatest($1, (SELECT coalesce(max({column}), 0) FROM {table}), \
                     (SELECT last_value FROM {name}), 1)) AS n"
                )
            }
            Conn::Sqlite(_) => {
                let floor = format!(
                    "INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', 0 \
                     WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{table}')"
                );
                diesel::sql_query(floor).execute(conn)?;
                format!(
                    "UPDATE sqlite_sequence SET seq = max($1, seq, (SELECT coalesce(max({column}), 0) FROM {table})) \
                     WHERE name = '{table}' RETURNING seq AS n"
                )
            }
        };
        let _: Number = diesel::sql_query(query)
            .bind::<BigInt, _>(given)
            .get_result(conn)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

fn sequence(conn: &mut Conn, table: &str, column: &str) -> Result<String, Error> {
    let query = format!("SELECT pg_get_serial_sequence('{table}', '{column}') AS name");
    let Name { name } = diesel::sql_query(query).get_result(conn)?;
    Ok(name)
}
