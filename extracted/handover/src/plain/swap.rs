//! Rows of one page that exchange unique values: each stands in the other's way, whichever is written first.
//!
//! Found out when it happens, since it is rare, and by asking the database for its unique indexes, so that nobody has to list them.

use std::collections::BTreeSet;

use chassis::db::{Conn, Error};
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::read::{among, list};
use crate::row::{Key, Row};
use crate::table::{Kind, Table};

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Gives the rows with these keys values of no meaning in the text columns that are unique: they are about to be written over. Says
/// whether there is any such column. A value that a row elsewhere has stays there, and is in the way as before.
pub(super) fn step_aside(conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<bool, Error> {
    let keys: Vec<Key> = rows.iter().filter_map(|row| table.key_of(row)).collect();
    // No text of a shop begins with a control character, and the key makes it unlike all others.
    let key: Vec<String> = table
        .key
        .iter()
        .map(|name| format!("CAST({name} AS TEXT)"))
        .collect();
    let mark = match conn {
        Conn::Postgres(_) => "chr(1)",
        Conn::Sqlite(_) => "char(1)",
    };
    let aside = format!("{mark} || {}", key.join(&format!(" || {mark} || ")));
    let set: Vec<String> = unique_columns(conn, table)?
        .into_iter()
        .filter(|name| table.kind(name) == Some(Kind::Text) && !table.key.contains(&name.as_str()))
        .map(|name| format!("{name} = {aside}"))
        .collect();
    if set.is_empty() {
        return Ok(false);
    }
    let query = format!(
        "UPDATE {} SET {} WHERE {}",
        table.name,
        set.join(", "),
        among(conn, table)
    );
    diesel::sql_query(query)
        .bind::<Text, _>(list(table, &keys))
        .execute(conn)?;
    Ok(true)
}

/// The columns of unique indexes. Those on expressions have none.
fn unique_columns(conn: &mut Conn, table: &Table) -> Result<BTreeSet<String>, Error> {
    let query = match conn {
        Conn::Postgres(_) => {
            "SELECT a.attname::text AS name FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) \
             WHERE i.indrelid = $1::text::regclass AND i.indisunique"
        }
        Conn::Sqlite(_) => {
            "SELECT c.name AS name FROM pragma_index_list($1) AS i JOIN pragma_index_info(i.name) AS c \
             WHERE i.\"unique\" AND c.name IS NOT NULL"
        }
    };
    let found: Vec<Named> = diesel::sql_query(query).bind::<Text, _>(table.name).load(conn)?;
    Ok(found.into_iter().map(|found| found.name).collect())
}
