//! What keeps a feed short and a copy slow.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chassis::db::Conn;
use diesel::connection::SimpleConnection;
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

/// A page of the feed costs what is in it and not what waits behind it: a follower that was away a long time comes back page by page.
pub(crate) fn long_backlog(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    // The follower cannot move its cursor, so nothing is pruned.
    let mut held = pair.service.db.connect()?;
    let hold = match &*held {
        Conn::Postgres(_) => "BEGIN; SELECT cursor FROM follow_things FOR UPDATE",
        Conn::Sqlite(_) => "BEGIN IMMEDIATE",
    };
    held.batch_execute(hold)?;
    let side = &pair.monolith.side;
    let cursor = pair.ask(side.changes(None, 1, Duration::ZERO))?.cursor;
    let mut pages = Vec::new();
    for (scope, rows) in [("few", 100), ("many", 200_000)] {
        pair.monolith.rogue(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
             INSERT INTO pairs (scope, n) SELECT '{scope}', i FROM n",
        ))?;
        let mut times = Vec::new();
        for _ in 0..15 {
            let began = Instant::now();
            let page = pair.ask(side.peek(&cursor, 1))?;
            times.push(began.elapsed());
            ensure!(page.more && page.changes.len() == 1, "{page:?}");
        }
        // Of the fastest, since both sides and their follower share the machine.
        pages.push(times.into_iter().min().unwrap_or_default());
    }
    held.batch_execute("ROLLBACK")?;
    ensure!(
        pages[1] < pages[0] * 3 + Duration::from_millis(5),
        "a page before 100 entries takes {:?}, before 200,100 {:?}",
        pages[0],
        pages[1]
    );
    Ok(())
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
