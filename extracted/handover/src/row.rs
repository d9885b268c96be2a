//! Rows and keys in the form on which both sides agree, and their hashes.
//!
//! A canonical row is a flat JSON object without numbers: an integer of 64 bits does not survive a reader that takes numbers
//! for doubles (RFC 8259, section 6). Its canonical bytes are those of RFC 8785 (JCS), which for such rows is what `serde_json`
//! writes of a sorted map.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A row: every column by its name, each a string, a boolean or null.
pub type Row = Map<String, Value>;

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
