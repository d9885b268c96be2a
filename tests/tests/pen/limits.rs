//! What keeps a feed short and a copy slow.

use std::time::{Duration, Instant};

use anyhow::ensure;
use handover::wire::Phase;

use crate::sides::Pair;

/// A feed that nobody needs goes as quickly as one transaction after the other removes it.
pub(crate) fn pruned(pair: &Pair) -> anyhow::Result<()> {
    pair.link()?;
    pair.monolith.rogue(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) \
         INSERT INTO pairs (scope, n) SELECT 'many', i FROM n",
    )?;
    ensure!(pair.monolith.outbox()?.len() == 30_000, "they are not captured");
    // Every 10 s it is looked whether there is something to remove.
    pair.until("all entries are gone", || {
        Ok(pair.monolith.outbox()?.is_empty().then_some(()))
    })
}

/// Each copy keeps to the rate, not only the first one of a process.
pub(crate) fn throttled(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith.rogue(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) \
         INSERT INTO pairs (scope, n) SELECT 'many', i FROM n",
    )?;
    pair.link()?;
    for again in [false, true] {
        let began = Instant::now();
        pair.copy(again)?;
        pair.until("the service follows", || {
            Ok((pair.phase()? == Some(Phase::Following)).then_some(()))
        })?;
        // 4,000 rows; the first chunk is free, which has 1,000 at the most.
        let least = Duration::from_millis(1000) * 3000 / RATE;
        ensure!(
            began.elapsed() >= least,
            "again {again}: {:?} instead of {least:?} at the least",
            began.elapsed()
        );
        ensure!(pair.service.rows()?["pairs"].len() == 4000, "rows are missing");
    }
    Ok(())
}

/// Rows a second.
pub(crate) const RATE: u32 = 2000;
