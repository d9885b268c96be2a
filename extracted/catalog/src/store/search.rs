//! The full-text index: FTS5 on SQLite, a tsvector under GIN on PostgreSQL. It holds the products that are not deleted.

use chassis::db::Conn;
use diesel::expression::SqlLiteral;
use diesel::expression::UncheckedBind;
use diesel::prelude::*;
use diesel::result::{Error as Diesel, QueryResult};
use diesel::sql_types::{Array, BigInt, Bool, Text};

use crate::schema::product_search;
use crate::words::Search;

/// A condition on `products` with the question bound into it.
type Condition = SqlLiteral<Bool, UncheckedBind<SqlLiteral<Bool>, diesel::dsl::AsExprOf<String, Text>>>;

/// The condition that a product is found by this search.
pub(super) fn condition(conn: &Conn, search: &Search) -> Condition {
    let (ask, question, end) = match conn {
        Conn::Sqlite(_) => (
            "products.id IN (SELECT rowid FROM product_search WHERE product_search MATCH ",
            search.fts5(),
            ")",
        ),
        Conn::Postgres(_) => (
            "products.id IN (SELECT product_id FROM product_search WHERE words @@ CAST(",
            search.tsquery(),
            " AS tsquery))",
        ),
    };
    diesel::dsl::sql::<Bool>(ask).bind::<Text, _>(question).sql(end)
}

/// Puts products into the index, in place of what it had of them.
pub(crate) fn put(conn: &mut Conn, entries: &[(i64, String)]) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(conn) => write_json(conn, entries),
        Conn::Postgres(conn) => write_arrays(
            conn,
            entries,
            " ON CONFLICT (product_id) DO UPDATE SET words = excluded.words",
        ),
    }
}

/// Adds products of which the index has nothing; on PostgreSQL it ends with a unique violation if it has.
pub(crate) fn add(conn: &mut Conn, entries: &[(i64, String)]) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(conn) => write_json(conn, entries),
        Conn::Postgres(conn) => write_arrays(conn, entries, ""),
    }
}

fn write_json(conn: &mut SqliteConnection, entries: &[(i64, String)]) -> QueryResult<()> {
    let entries =
        serde_json::to_string(entries).map_err(|error| Diesel::SerializationError(Box::new(error)))?;
    diesel::sql_query(
        "REPLACE INTO product_search (rowid, words) SELECT value ->> 0, value ->> 1 FROM json_each($1)",
    )
    .bind::<Text, _>(entries)
    .execute(conn)
    .map(drop)
}

fn write_arrays(conn: &mut PgConnection, entries: &[(i64, String)], if_there: &str) -> QueryResult<()> {
    let (ids, words): (Vec<i64>, Vec<&str>) = entries.iter().map(|(id, words)| (*id, words.as_str())).unzip();
    diesel::sql_query(format!(
        "INSERT INTO product_search (product_id, words) SELECT id, array_to_tsvector(string_to_array(words, ' ')) \
         FROM unnest($1, $2) AS entry (id, words){if_there}"
    ))
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Text>, _>(words)
    .execute(conn)
    .map(drop)
}

/// Takes products out of the index.
pub(crate) fn remove(conn: &mut Conn, ids: &[i64]) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(conn) => ids.iter().try_for_each(|id| {
            diesel::delete(product_search::table.find(id))
                .execute(conn)
                .map(drop)
        }),
        Conn::Postgres(conn) => diesel::sql_query("DELETE FROM product_search WHERE product_id = ANY($1)")
            .bind::<Array<BigInt>, _>(ids)
            .execute(conn)
            .map(drop),
    }
}
