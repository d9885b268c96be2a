//! The hash chain of the audit log: what makes a change to it visible.
//!
//! For [`super::ledger`], and for auditors who want to check it with tools of their own. The hash of a row is the SHA-256
//! over its fields: `previous` (the hash of the row before, 64 zeros for the first), `id`, `at`, `kind`, `about`, `place`,
//! `actor`, `action`, `reason`, `forced`, `certificate`, `hash_before`, `hash_after`, `outcome`, `detail`, `moves`, and
//! then `route`, `module`, `before` and `after` of each of its routes. Each is written as its length in bytes in decimal,
//! a colon and its text (times as microseconds since 1970 in UTC, `forced` as 0 or 1), an absent one as `-`. So no row can
//! be changed, removed, put in or moved without each later hash being wrong.
//!
//! What it cannot show: that somebody with every right on the database has written the whole chain anew from a row on,
//! or cut off its end. Against that, each entry's hash is in the program's log as well, and `banyan audit` shows the last
//! one: whoever notes it elsewhere can tell.

use sha2::{Digest, Sha256};

use super::Move;
use super::store::Row;

/// What the first row has in the place of a hash before it.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The hash that a row must have.
pub(super) fn hash(row: &Row, moves: &[Move]) -> String {
    let mut digest = Sha256::new();
    let mut field = |text: Option<&str>| match text {
        Some(text) => digest.update(format!("{}:{text}", text.len())),
        None => digest.update("-"),
    };
    field(Some(&row.previous));
    field(Some(&row.id.to_string()));
    field(Some(&row.at.and_utc().timestamp_micros().to_string()));
    field(Some(&row.kind));
    field(row.about.map(|about| about.to_string()).as_deref());
    field(Some(&row.place));
    field(Some(&row.actor));
    field(Some(&row.action));
    field(Some(&row.reason));
    field(Some(if row.forced { "1" } else { "0" }));
    field(row.certificate.as_deref());
    field(Some(&row.hash_before));
    field(Some(&row.hash_after));
    field(row.outcome.as_deref());
    field(Some(&row.detail));
    field(Some(&row.moves.to_string()));
    for each in moves {
        for text in [&each.route, &each.module, &each.before, &each.after] {
            field(Some(text));
        }
    }
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// How many rows it has, outcomes included.
    pub rows: i64,
    /// The hash of the last one.
    pub head: String,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the audit log was tampered with: row {id} {why}; compare it with a backup, or with the program's own log"
)]
pub struct Broken {
    /// The row that was looked for.
    pub id: i64,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Verified {
    /// A chain of no rows.
    pub(super) fn start() -> Self {
        Self {
            rows: 0,
            head: GENESIS.to_owned(),
        }
    }

    /// The chain with one more row, if the row continues it.
    pub(super) fn and(self, row: &Row, moves: &[Move]) -> Result<Self, Broken> {
        let id = self.rows + 1;
        let broken = |why| Err(Broken { id, why });
        if row.id != id {
            return broken("is missing");
        }
        if row.previous != self.head {
            return broken("does not continue the row before it");
        }
        if usize::try_from(row.moves) != Ok(moves.len()) {
            return broken("has lost or gained routes");
        }
        if row.hash != hash(row, moves) {
            return broken("has other contents than it was written with");
        }
        Ok(Self {
            rows: id,
            head: row.hash.clone(),
        })
    }
}
