//! A connection to either database, as one type.
#![allow(missing_docs, reason = "the derive makes public items without docs")]

/// A connection to either database. `match` on it for SQL that only one of them has, or that the derive leaves out:
/// ON CONFLICT, batch insert, LOCK TABLE.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    /// The real one.
    Postgres(diesel::PgConnection),
    /// The embedded default.
    Sqlite(diesel::SqliteConnection),
}
