//! What a side must be able to do with a module's rows. The monolith's tables are the canonical ones (`Plain` does it all);
//! a service maps its own to them and back.

use std::collections::BTreeMap;

use chassis::db::{Conn, Error};

use crate::row::{Key, Row};
use crate::table::Table;

/// A range of keys: `(after, through]`.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// The key before it; none means from the beginning.
    pub after: Option<Key>,
    /// Its last key; none means to the end.
    pub through: Option<Key>,
}

/// A module's rows in this side's database. Everything runs in the transaction of whoever calls.
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// The canonical tables, parents first.
    fn tables(&self) -> &'static [Table];

    /// The same tables in the order in which rows are taken in here, first copy and feed alike, and in the reverse of which they are
    /// removed. The order of [`Store::tables`] is the one that both sides tell each other; this one is a side's own affair.
    fn intake(&self) -> &'static [Table] {
        self.tables()
    }

    /// The rows with these keys, in any order; keys without a row are left out. At most 1,000 keys.
    fn find(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Error>;

    /// Up to `limit` rows of a range, by key.
    fn page(&self, conn: &mut Conn, table: &Table, range: &Range, limit: usize) -> Result<Vec<Row>, Error>;

    /// Makes these rows what they are here, whether they were there or not. At most 1,000 rows, each key once.
    fn put(&self, conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<(), Error>;

    /// Adds rows whose keys are not there, at most 1,000, as [`Store::put`] does, and may do so in a faster way: it may end with a unique violation where
    /// `put` would find room for them. Then the caller takes it back and puts them.
    fn add(&self, conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<(), Error> {
        self.put(conn, table, rows)
    }

    /// Removes the rows with these keys, and what hangs on them. Keys without a row are passed over.
    fn remove(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<(), Error>;

    /// Removes every row of every table: before a first copy, since rows that came from elsewhere have other ids.
    fn clear(&self, conn: &mut Conn) -> Result<(), Error>;

    /// The last number that each sequence of the module gave out, by `table.column`.
    fn sequences(&self, conn: &mut Conn) -> Result<BTreeMap<String, i64>, Error>;

    /// Moves each sequence past the given number, and past the greatest id that is there.
    fn raise_sequences(&self, conn: &mut Conn, past: &BTreeMap<String, i64>) -> Result<(), Error>;
}
