//! A single number out of the database.

use chassis::db::{Conn, Error};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// What `query` selects as `n`, in its one row.
pub(crate) fn number(conn: &mut Conn, query: &str) -> Result<i64, Error> {
    let Number { n } = diesel::sql_query(query).get_result(conn)?;
    Ok(n)
}
