//! Sums over what was sold, for reports. One statement for both databases: diesel numbers binds as `$1`, which SQLite
//! takes too, in the order in which they first occur.

use chassis::db::Conn;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

/// What groups are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// The product.
    Sku,
    /// The country of the order; empty where none is known.
    Country,
    /// The day in UTC, `2010-12-01`.
    Day,
}

/// Which sales are meant.
#[derive(Clone, Debug)]
pub struct SalesQuery {
    /// Only orders in this currency (ISO 4217).
    pub currency: String,
    /// Placed at this time or later.
    pub from: NaiveDateTime,
    /// Placed before this time.
    pub to: NaiveDateTime,
}

/// Sums over all sales meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, QueryableByName)]
pub struct Totals {
    /// Orders and imported invoices.
    #[diesel(sql_type = BigInt)]
    pub invoices: i64,
    /// How many of them are credit notes.
    #[diesel(sql_type = BigInt)]
    pub credit_notes: i64,
    /// Lines.
    #[diesel(sql_type = BigInt)]
    pub lines: i64,
    /// Units.
    #[diesel(sql_type = BigInt)]
    pub quantity: i64,
    /// Minor units.
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
}

/// Sums over one group.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Group {
    /// What the group has in common.
    #[diesel(sql_type = Text)]
    pub key: String,
    /// Units.
    #[diesel(sql_type = BigInt)]
    pub quantity: i64,
    /// Minor units.
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
}

/// What counts as sold: what was ordered or imported, unless it was cancelled.
const SOLD: &str = "o.state <> 'cancelled' AND o.currency = $1 AND o.placed_at >= $2 AND o.placed_at < $3";

/// Sums over everything.
pub(in super::super) fn totals(conn: &mut Conn, query: &SalesQuery) -> QueryResult<Totals> {
    let sql = format!(
        "SELECT COUNT(DISTINCT o.id) AS invoices, \
           COUNT(DISTINCT CASE WHEN o.kind = 'credit_note' THEN o.id END) AS credit_notes, \
           COUNT(*) AS lines, \
           CAST(COALESCE(SUM(l.quantity), 0) AS BIGINT) AS quantity, \
           CAST(COALESCE(SUM(l.quantity * l.unit_amount), 0) AS BIGINT) AS amount \
         FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE {SOLD}"
    );
    diesel::sql_query(sql)
        .bind::<Text, _>(&query.currency)
        .bind::<Timestamp, _>(query.from)
        .bind::<Timestamp, _>(query.to)
        .get_result(conn)
}

/// Sums by group, in the order of the keys, after the key `after`.
pub(in super::super) fn groups(
    conn: &mut Conn,
    query: &SalesQuery,
    by: GroupBy,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<Group>> {
    let key = match (by, &*conn) {
        (GroupBy::Sku, _) => "l.sku",
        (GroupBy::Country, _) => "COALESCE(o.country, '')",
        (GroupBy::Day, Conn::Postgres(_)) => "to_char(o.placed_at, 'YYYY-MM-DD') COLLATE \"C\"",
        (GroupBy::Day, Conn::Sqlite(_)) => "substr(o.placed_at, 1, 10)",
    };
    let sql = format!(
        "SELECT {key} AS key, CAST(SUM(l.quantity) AS BIGINT) AS quantity, \
           CAST(SUM(l.quantity * l.unit_amount) AS BIGINT) AS amount \
         FROM orders o JOIN order_lines l ON l.order_id = o.id \
         WHERE {SOLD} AND ($4 IS NULL OR {key} > $4) GROUP BY 1 ORDER BY 1 LIMIT $5"
    );
    diesel::sql_query(sql)
        .bind::<Text, _>(&query.currency)
        .bind::<Timestamp, _>(query.from)
        .bind::<Timestamp, _>(query.to)
        .bind::<Nullable<Text>, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)
}
