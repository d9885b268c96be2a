//! The one list of a module's tables, from which triggers, SQL and the protocol's description are made.

use crate::row::{Key, Row};
use crate::wire::{KeyColumn, TableInfo};

/// A canonical table: what travels, by name.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name in the protocol.
    pub name: &'static str,
    /// The columns of its key, in order; each stands among `columns`.
    pub key: &'static [&'static str],
    /// All that travels.
    pub columns: &'static [Column],
}

/// A column of a canonical table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in the protocol.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds, and so how it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up to 64 bits: `"-42"`.
    Integer,
    /// Any text without U+0000.
    Text,
    /// UTC, in whole microseconds: `"2026-11-25T06:17:51.000120Z"`.
    Time,
    /// `true`, `false`.
    Boolean,
}

/// A table of the database whose changes are captured. Its name need not be that of a canonical table, but its changes must
/// be changes of one.
#[derive(Clone, Copy, Debug)]
pub struct Captured {
    /// The table in this side's database.
    pub table: &'static str,
    /// The canonical table that a change of it is a change of.
    pub of: &'static str,
    /// The columns of this table that hold the canonical key, in its order.
    pub key: &'static [&'static str],
    /// Each unique key besides the primary one, by its columns (SQLite's `OR REPLACE` deletes what stands in its way, and no
    /// trigger fires for that).
    pub unique: &'static [&'static [&'static str]],
}

impl Table {
    /// The key of a row, if it has all of it.
    pub fn key_of(&self, row: &Row) -> Option<Key> {
        let value = |name: &&str| row.get(name)?.as_str().map(str::to_owned);
        self.key.iter().map(value).collect::<Option<Vec<_>>>().map(Key)
    }

    /// The kind of a column.
    pub fn kind(&self, column: &str) -> Option<Kind> {
        self.columns
            .iter()
            .find(|known| known.name == column)
            .map(|known| known.kind)
    }

    /// How keys of this table are ordered: integers by number, all else by the bytes of UTF-8.
    pub fn compare(&self, left: &Key, right: &Key) -> std::cmp::Ordering {
        let one = |(column, (left, right)): (&&str, (&String, &String))| match self.kind(column) {
            Some(Kind::Integer) => left.parse::<i64>().ok().cmp(&right.parse::<i64>().ok()),
            _ => left.cmp(right),
        };
        let pairs = self.key.iter().zip(left.0.iter().zip(&right.0));
        pairs
            .map(one)
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    }

    /// Whether a key has the form of this table's.
    pub fn is_key(&self, key: &Key) -> bool {
        let fits = |(column, value): (&&str, &String)| match self.kind(column) {
            Some(Kind::Integer) => value
                .parse::<i64>()
                .is_ok_and(|number| number.to_string() == *value),
            _ => !value.contains('\0'),
        };
        key.0.len() == self.key.len() && self.key.iter().zip(&key.0).all(fits)
    }

    /// The table as the protocol describes it.
    pub fn info(&self) -> TableInfo {
        let column = |name: &&str| KeyColumn {
            name: (*name).to_owned(),
            kind: match self.kind(name) {
                Some(Kind::Integer) => "integer".to_owned(),
                _ => "text".to_owned(),
            },
        };
        TableInfo {
            name: self.name.to_owned(),
            key: self.key.iter().map(column).collect(),
        }
    }
}
