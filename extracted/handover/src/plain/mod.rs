//! A store for tables that have the canonical form already: same names, same columns. All of its SQL is made from the list.
//!
//! For the monolith, whose form is the canonical one. A page goes in and out in one statement: in as one JSON text, which the database takes
//! apart; out as PostgreSQL sends values, and as a JSON text a row on SQLite. Values are given their canonical form, and held to it, in `form`.

mod binary;
mod form;
mod read;
pub mod sequences;
mod swap;
mod time;
mod write;

use std::collections::BTreeMap;

use chassis::db::{Conn, Error};

use crate::row::{Key, Row};
use crate::store::{Range, Store};
use crate::table::Table;

/// A column that does not travel, since it follows from those that do.
#[derive(Clone, Copy, Debug)]
pub struct Computed {
    /// Its table.
    pub table: &'static str,
    /// Its name.
    pub column: &'static str,
    /// Its value, for a row.
    pub value: fn(&Row) -> String,
}

/// A foreign key between two of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// The table that refers.
    pub table: &'static str,
    /// By this column.
    pub column: &'static str,
    /// To this table's key, which is one column.
    pub to: &'static str,
}

/// Tables in canonical form.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// The tables, parents first.
    pub tables: &'static [Table],
    /// The columns that do not travel.
    pub computed: &'static [Computed],
    /// What hangs on what.
    pub references: &'static [Reference],
    /// The columns that the database numbers: table and column.
    pub numbered: &'static [(&'static str, &'static str)],
}

impl Store for Plain {
    fn tables(&self) -> &'static [Table] {
        self.tables
    }

    fn find(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Error> {
        read::find(conn, table, keys)
    }

    fn page(&self, conn: &mut Conn, table: &Table, range: &Range, limit: usize) -> Result<Vec<Row>, Error> {
        read::page(conn, table, range, limit)
    }

    fn put(&self, conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<(), Error> {
        write::put(self, conn, table, rows)
    }

    fn remove(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<(), Error> {
        write::remove(self, conn, table, keys)
    }

    fn clear(&self, conn: &mut Conn) -> Result<(), Error> {
        write::clear(self, conn)
    }

    fn sequences(&self, conn: &mut Conn) -> Result<BTreeMap<String, i64>, Error> {
        sequences::last(self.numbered, conn)
    }

    fn raise_sequences(&self, conn: &mut Conn, past: &BTreeMap<String, i64>) -> Result<(), Error> {
        sequences::raise(self.numbered, conn, past)
    }
}
