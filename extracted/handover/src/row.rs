//! Rows and keys in the form on which both sides agree, and their hashes.
//!
//! A canonical row is a flat JSON object without numbers: an integer of 64 bits does not survive a reader that takes numbers
//! for doubles (RFC 8259, section 6). Its canonical bytes are those of RFC 8785 (JCS), which for such rows is what `serde_json`
//! writes of a sorted map.

use std::fmt;
use std::ops::Index;

use compact_str::CompactString;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A row: every column by its name, each a string, a boolean or null. Equal if the columns and their values are.
///
/// One piece of memory for all columns, and names that need none of their own: a copy makes, hands on and drops millions of rows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Row(
    /// By name, each once.
    Vec<(CompactString, Value)>,
);

/// Room for the columns of most tables.
const COLUMNS: usize = 12;

impl Row {
    /// A row without columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a column, if the row has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.find(name).ok()?;
        Some(&self.0[at].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let at = self.find(name).ok()?;
        Some(&mut self.0[at].1)
    }

    /// Gives a column a value, and its old one back.
    pub fn insert(&mut self, name: impl Into<CompactString>, value: Value) -> Option<Value> {
        let name = name.into();
        // They mostly come in their order.
        if self.0.last().is_none_or(|(last, _)| *last < name) {
            self.0.push((name, value));
            return None;
        }
        match self.find(&name) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Takes a column out, and gives its value.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.find(name).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}

/// As in JSON, a column that is not there is null.
impl Index<&str> for Row {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&Value::Null)
    }
}

impl<N: Into<CompactString>> FromIterator<(N, Value)> for Row {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(columns: I) -> Self {
        let mut row = Self(Vec::with_capacity(COLUMNS));
        for (name, value) in columns {
            row.insert(name, value);
        }
        row
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Columns)
    }
}

/// Reads an object as a row.
struct Columns;

impl<'de> Visitor<'de> for Columns {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut columns: A) -> Result<Row, A::Error> {
        let mut row = Row(Vec::with_capacity(COLUMNS));
        while let Some((name, value)) = columns.next_entry::<CompactString, Value>()? {
            row.insert(name, value);
        }
        Ok(row)
    }
}

/// The values of the key's columns, in the order of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Vec<String>);

impl Key {
    /// The key as JSON text, as it stands in the outbox and in queries.
    pub fn text(&self) -> String {
        // Strings alone, so there is nothing that could fail.
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// The bytes that a row is hashed by.
pub fn canonical(row: &Row) -> Vec<u8> {
    serde_json::to_vec(row).unwrap_or_default()
}

/// SHA-256 of one row, in hex.
pub fn row_hash(row: &Row) -> String {
    hex::encode(Sha256::digest(canonical(row)))
}

/// SHA-256 of rows in the order of their keys, in hex.
pub fn chunk_hash<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    let mut hash = Sha256::new();
    for row in rows {
        hash.update(canonical(row));
        hash.update(b"\n");
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn columns_are_kept_by_name_each_once() {
        let mut row = row(r#"{"b": "2", "c": null, "a": "0", "b": "3", "a": "1"}"#);
        assert_eq!(
            row,
            [("c", Value::Null), ("a", "1".into()), ("b", "3".into())]
                .into_iter()
                .collect()
        );
        assert_eq!(canonical(&row), br#"{"a":"1","b":"3","c":null}"#);
        assert_eq!(
            (row.insert("aa", true.into()), row.insert("a", "4".into())),
            (None, Some("1".into()))
        );
        assert_eq!(row.remove("b"), Some("3".into()));
        assert_eq!(
            (row.remove("b"), row.get("b"), &row["b"]),
            (None, None, &Value::Null)
        );
        if let Some(value) = row.get_mut("aa") {
            *value = false.into();
        }
        assert_eq!(
            format!("{row:?}"),
            r#"{"a": String("4"), "aa": Bool(false), "c": Null}"#
        );
        for no_row in ["[]", "3", "null"] {
            assert!(
                serde_json::from_str::<Row>(no_row).is_err_and(|error| error.to_string().contains("a row")),
                "{no_row}"
            );
        }
    }

    /// The rows and hashes that the protocol's page gives to whoever implements it.
    #[test]
    fn rows_hash_to_what_the_protocol_says() {
        let first = row(
            r#"{"id":"17","sku":"MUG-RED","name":"Mug, \"red\" \u2013 0.3 l\t\u2615","price_amount":"1250",
            "active":true,"deleted_at":null,"created_at":"2026-11-25T06:17:51.000120Z"}"#,
        );
        let second = row(
            r#"{"id":"18","sku":"TEA","name":"\ud834\udd1e\u007f\u0001\u2028/","price_amount":"-1",
            "active":false,"deleted_at":"2026-11-25T06:17:51.000000Z","created_at":"2026-11-25T06:17:51.000120Z"}"#,
        );
        assert_eq!(
            row_hash(&first),
            "6af3d3a14f7a2507ac6e4c8211415bf8dc4a6041f29542c3f2bcb61c67300c5e"
        );
        assert_eq!(
            row_hash(&second),
            "78a741b6d406168895715367ab20e2e8ebe9b8c9bfd619eb0f868275af5358c3"
        );
        assert_eq!(
            chunk_hash([&first, &second]),
            "519929a0262490515daa899b5364707875db1e81b7957eff2a3be5a628d090a4"
        );
        assert_eq!(
            chunk_hash([]),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
