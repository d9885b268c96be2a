//! Both sides' rows held against each other, chunk by chunk, while traffic runs: for whoever asks whether a hand-over may go on.
//!
//! What a row is called different for: its hash differed, the follower had reached everything that the holder's answer covered,
//! and asked again neither hash had moved. A row that the holder did not change between two looks, with everything applied in
//! between, has no business being different. What does not come to rest in twenty looks is *unsettled*, which is not equal; it can be
//! looked at once more when writes wait ([`settle`]).

mod suspects;

use std::time::Duration;

use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::Value;

use self::suspects::{Found, Looked};
use crate::client::{Error, Side};
use crate::row::Key;
use crate::wire::{Detail, TableInfo};

/// Rows in a chunk.
const CHUNK: usize = 1000;
/// Differences that are told one by one; more are counted.
const TOLD: usize = 1000;

/// What a verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Rows of the holder, by table.
    pub tables: Vec<Compared>,
    /// The differences, at most 1,000.
    pub differences: Vec<Difference>,
    /// How many rows differ.
    pub total: u64,
    /// The rows that were never at rest long enough to be judged.
    pub unsettled: Vec<Unsettled>,
}

/// A row that was never at rest.
#[derive(Clone, Debug, Serialize)]
pub struct Unsettled {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: Key,
    /// The key before it on the holder's side, with which it can be asked for alone.
    pub after: Option<Key>,
}

impl Report {
    fn take(&mut self, found: Found) {
        self.total += found.differences.len() as u64;
        self.unsettled.extend(found.unsettled);
        let room = TOLD.saturating_sub(self.differences.len());
        self.differences.extend(found.differences.into_iter().take(room));
    }

    /// Whether both sides have the same rows, as far as can be said.
    pub fn is_equal(&self) -> bool {
        self.total == 0 && self.unsettled.is_empty()
    }
}

/// What was compared of one table.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// The holder's rows.
    pub rows: u64,
}

/// A row that differs.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Its table.
    pub table: String,
    /// Its key.
    pub key: Key,
    /// The key before it on the holder's side, with which it can be asked for alone.
    pub after: Option<Key>,
    /// Which side lacks it, if one does.
    pub missing_at: Option<String>,
    /// The columns that differ, if both have it.
    pub columns: Vec<Column>,
}

/// A column that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What the holder has.
    pub holder: Option<Value>,
    /// What the follower has.
    pub follower: Option<Value>,
}

/// How far a verification is.
#[derive(Clone, Debug)]
pub struct Progress<'t> {
    /// The table.
    pub table: &'t str,
    /// Rows of it so far.
    pub rows: u64,
    /// Differences so far, of all tables.
    pub differences: u64,
}

/// Compares all tables. `progress` is told after each chunk.
pub async fn compare(
    holder: &Side,
    follower: &Side,
    tables: &[TableInfo],
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Report, Error> {
    let mut report = Report::default();
    for table in tables {
        let rows = one_table(holder, follower, table, &mut report, progress).await?;
        report.tables.push(Compared {
            name: table.name.clone(),
            rows,
        });
    }
    Ok(report)
}

/// Looks once more at the rows that did not come to rest, all at a time, and moves them to where they belong. For when writes wait, so that
/// they do come to rest. What cannot be judged within the time given, as where the follower is stuck, stays unsettled.
pub async fn settle(
    holder: &Side,
    follower: &Side,
    report: &mut Report,
    within: Duration,
) -> Result<(), Error> {
    let looks = report.unsettled.iter().map(|row| {
        let table = &row.table;
        let looked = Looked {
            holder,
            follower,
            table,
        };
        suspects::judge(looked, row.after.as_ref(), Some(&row.key))
    });
    if let Ok(found) = tokio::time::timeout(within, try_join_all(looks)).await {
        let found = found?;
        report.unsettled.clear();
        for found in found {
            report.take(found);
        }
    }
    Ok(())
}

async fn one_table(
    holder: &Side,
    follower: &Side,
    table: &TableInfo,
    report: &mut Report,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<u64, Error> {
    let looked = Looked {
        holder,
        follower,
        table: &table.name,
    };
    let (mut after, mut rows): (Option<Key>, u64) = (None, 0);
    loop {
        let theirs = holder
            .verify(&table.name, after.as_ref(), None, Some(CHUNK), Detail::Chunk)
            .await?;
        let ours = follower
            .verify(
                &table.name,
                after.as_ref(),
                theirs.through.as_ref(),
                None,
                Detail::Chunk,
            )
            .await?;
        rows += theirs.rows;
        if ours.sha256 != theirs.sha256 {
            let found = suspects::judge(looked, after.as_ref(), theirs.through.as_ref()).await?;
            report.take(found);
        }
        progress(Progress {
            table: &table.name,
            rows,
            differences: report.total,
        });
        match theirs.through {
            None => return Ok(rows),
            through => after = through,
        }
    }
}
