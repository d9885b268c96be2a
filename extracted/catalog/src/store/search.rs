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
        Conn::Postgres(conn) => write_arrays(conn, entries),
    }
}

/// Adds products of which the index has nothing; on PostgreSQL it ends with a unique violation if it has.
pub(crate) fn add(conn: &mut Conn, entries: &[(i64, String)]) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(conn) => write_json(conn, entries),
        Conn::Postgres(conn) => {
            let rows: Vec<vectors::Added<'_>> = entries.iter().map(vectors::added).collect();
            diesel::copy_from(vectors::product_search::table)
                .from_insertable(&rows)
                .execute(conn)
                .map(drop)
        }
    }
}

/// The index as PostgreSQL has it, for `COPY`, which takes no expressions.
mod vectors {
    use std::io::Write;

    use diesel::pg::Pg;
    use diesel::prelude::*;
    use diesel::serialize::{self, IsNull, Output, ToSql};

    /// The type `tsvector`, by its number in `pg_type.dat`.
    #[derive(diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
    #[diesel(postgres_type(oid = 3614, array_oid = 3643))]
    pub struct TsVector;

    diesel::table! {
        use diesel::sql_types::*;
        use super::TsVector;

        product_search (product_id) {
            product_id -> BigInt,
            words -> TsVector,
        }
    }

    #[derive(Insertable)]
    #[diesel(table_name = product_search, treat_none_as_default_value = false)]
    pub struct Added<'e> {
        product_id: i64,
        words: Terms<'e>,
    }

    /// Terms with a space after each but the last.
    #[derive(Debug, diesel::expression::AsExpression)]
    #[diesel(sql_type = TsVector)]
    pub struct Terms<'e>(&'e str);

    pub(super) fn added((product_id, words): &(i64, String)) -> Added<'_> {
        Added {
            product_id: *product_id,
            words: Terms(words),
        }
    }

    /// As `tsvectorrecv` takes it: the number of terms, then each with the byte 0 behind it and the number of its positions. The server
    /// puts them into its own order.
    impl ToSql<TsVector, Pg> for Terms<'_> {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
            let terms = || self.0.split(' ').filter(|term| !term.is_empty());
            out.write_all(&i32::try_from(terms().count())?.to_be_bytes())?;
            for term in terms() {
                out.write_all(term.as_bytes())?;
                out.write_all(&[0, 0, 0])?;
            }
            Ok(IsNull::No)
        }
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

fn write_arrays(conn: &mut PgConnection, entries: &[(i64, String)]) -> QueryResult<()> {
    let (ids, words): (Vec<i64>, Vec<&str>) = entries.iter().map(|(id, words)| (*id, words.as_str())).unzip();
    diesel::sql_query(
        "INSERT INTO product_search (product_id, words) SELECT id, array_to_tsvector(string_to_array(words, ' ')) \
         FROM unnest($1, $2) AS entry (id, words) ON CONFLICT (product_id) DO UPDATE SET words = excluded.words",
    )
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
