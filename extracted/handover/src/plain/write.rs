//! Writing canonical rows: a page is one JSON text, and one statement.

use chassis::db::{Conn, Error};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::read::{among, list};
use super::{Computed, Plain, form, swap};
use crate::ddl::Backend;
use crate::row::{Key, Row};
use crate::table::Table;

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
    let backend = backend(conn);
    let text = form::write(table, &computed, rows, backend)?;
    let query = insert(table, &computed, backend);
    let write = |conn: &mut Conn| {
        let query = diesel::sql_query(&query).bind::<Text, _>(&text);
        query.execute(conn).map_err(Error::from)
    };
    // PostgreSQL ends the whole transaction with the first error, unless there is a place to go back to.
    conn.batch_execute("SAVEPOINT put")?;
    let done = match write(conn) {
        Err(error) if error.is_unique_violation() => {
            conn.batch_execute("ROLLBACK TO SAVEPOINT put")?;
            let aside = swap::step_aside(conn, table, rows);
            aside.and_then(|aside| if aside { write(conn) } else { Err(error) })
        }
        done => done,
    };
    if done.is_ok() {
        conn.batch_execute("RELEASE SAVEPOINT put")?;
    } else {
        // Nothing is left of it. If this fails too, the connection is gone, and the first error says more.
        let _ = conn.batch_execute("ROLLBACK TO SAVEPOINT put; RELEASE SAVEPOINT put");
    }
    done.map(|_| ())
}

pub(super) fn backend(conn: &Conn) -> Backend {
    match conn {
        Conn::Postgres(_) => Backend::Postgres,
        Conn::Sqlite(_) => Backend::Sqlite,
    }
}

/// The statement that takes what [`form::write`] made.
fn insert(table: &Table, computed: &[&Computed], backend: Backend) -> String {
    let names: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name)
        .chain(computed.iter().map(|computed| computed.column))
        .collect();
    let (columns, name) = (names.join(", "), table.name);
    let from = match backend {
        // Each value is read as the column's own type reads it, all of a row at once.
        Backend::Postgres => format!("{columns} FROM json_populate_recordset(NULL::{name}, $1::json)"),
        Backend::Sqlite => {
            let values: Vec<String> = (0..names.len()).map(|n| format!("value ->> {n}")).collect();
            format!("{} FROM json_each($1)", values.join(", "))
        }
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
        "INSERT INTO {name} ({columns}) SELECT {from} WHERE true ON CONFLICT ({}) DO {action}",
        table.key.join(", ")
    )
}

/// Removes rows, and before them what refers to them, and what refers to that.
pub(super) fn remove(plain: &Plain, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<(), Error> {
    let keys = list(table, keys);
    let mut statements = Vec::new();
    let which = among(conn, table);
    doom(plain, table.name, &which, &mut vec![table.name], &mut statements);
    for statement in statements {
        diesel::sql_query(statement)
            .bind::<Text, _>(&keys)
            .execute(conn)?;
    }
    Ok(())
}

/// Adds the statements that remove the rows of a table for which a condition holds: those on what refers to them come first. `above`
/// are the tables on the way here, for a table may refer to itself, and then its rows go with one statement.
fn doom(plain: &Plain, name: &str, which: &str, above: &mut Vec<&'static str>, statements: &mut Vec<String>) {
    for reference in plain.references.iter().filter(|reference| reference.to == name) {
        let key = plain
            .tables
            .iter()
            .find(|table| table.name == name)
            .and_then(|table| table.key.first());
        let (Some(key), false) = (key, above.contains(&reference.table)) else {
            continue;
        };
        above.push(reference.table);
        let children = format!("{} IN (SELECT {key} FROM {name} WHERE {which})", reference.column);
        doom(plain, reference.table, &children, above, statements);
        above.pop();
    }
    statements.push(format!("DELETE FROM {name} WHERE {which}"));
}

/// Removes everything, children first.
pub(super) fn clear(plain: &Plain, conn: &mut Conn) -> Result<(), Error> {
    if matches!(conn, Conn::Postgres(_)) {
        // Rows are removed one by one, each looking for what refers to it: a large table takes longer than a statement may. TRUNCATE
        // would not, and is refused wherever a table that does not travel refers to one that does.
        conn.batch_execute("SET LOCAL statement_timeout = 0")?;
    }
    for table in plain.tables.iter().rev() {
        diesel::sql_query(format!("DELETE FROM {}", table.name)).execute(conn)?;
    }
    Ok(())
}
