//! The copy, the feed, and what stands in their way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chassis::db::Conn;
use diesel::connection::SimpleConnection;
use futures_util::future::try_join_all;
use handover::compare::{self, Report, Unsettled};
use handover::row::Key;
use handover::wire::{Phase, Repair, Retention};

use crate::guards::follower_mark;
use crate::sides::Pair;

/// How long rows may be looked at while writes wait.
const SHORT: Duration = Duration::from_millis(500);

/// A copy beside writers, then every change; awkward values arrive as they are.
pub(crate) fn copies_and_follows(pair: &Pair) -> anyhow::Result<()> {
    // What the follower had before came from elsewhere.
    pair.service
        .rogue("INSERT INTO things (id, sku, note) VALUES (5, 'X-3', 'a stranger')")?;
    add_things(pair, 9000)?;
    pair.monolith
        .rogue("INSERT INTO parts (thing_id, amount) SELECT id, id * 3 FROM things")?;
    pair.link()?;
    pair.copy(false)?;
    for n in 0..100 {
        pair.monolith.write(
            pair,
            &format!("UPDATE things SET note = 'changed {n}' WHERE id = {}", 1 + n * 24),
        )?;
        pair.monolith.write(
            pair,
            &format!("INSERT INTO things (id, sku) VALUES ({}, 'NEW-{n}')", 10_000 + n),
        )?;
        pair.monolith.write(
            pair,
            &format!("INSERT INTO parts (thing_id, amount) VALUES ({}, 1)", 10_000 + n),
        )?;
        pair.monolith.write(
            pair,
            &format!("DELETE FROM parts WHERE thing_id = {}", 2 + n * 24),
        )?;
    }
    pair.until("the service follows", || {
        Ok((pair.phase()? == Some(Phase::Following)).then_some(()))
    })?;
    pair.until_equal()?;
    let awkward = "INSERT INTO things (id, sku, note, made_at, good) VALUES \
        (20001, 'Ümlaut ☕', 'it''s \"quoted\" \\ and / and \t tab', '2026-11-25 06:17:51', TRUE), \
        (20002, '', '', '2026-11-25 06:17:51.120', FALSE), \
        (9223372036854775807, 'max', NULL, '2026-11-25 06:17:51.000120', NULL), \
        (-9223372036854775808, 'min', 'null', '0001-01-01 00:00:00', NULL)";
    let last = pair
        .monolith
        .write(pair, awkward)?
        .position
        .context("a position")?;
    pair.monolith.write(
        pair,
        "INSERT INTO pairs VALUES ('b', 2, 'x'), ('B', 10, NULL), ('ä', -1, 'y')",
    )?;
    pair.until_equal()?;
    let status = pair.ask(pair.service.side.status_at(last, Duration::from_secs(10)))?;
    ensure!(
        status.follow.is_some_and(|follow| follow.reached >= Some(last)),
        "{last} is not said to be reached"
    );
    Ok(())
}

/// Writers hand values on from rows of one chunk to those of the next, so that two chunks may want the same.
pub(crate) fn exchanged_meanwhile(pair: &Pair) -> anyhow::Result<()> {
    add_things(pair, 18_000)?;
    pair.link()?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> anyhow::Result<()> {
            let mut round = 0;
            while !is_over.load(Ordering::Relaxed) {
                let (low, high) = (1 + round % 14_000, 4001 + round % 14_000);
                round += 37;
                pair.monolith.rogue(&format!(
                    "BEGIN; UPDATE things SET sku = 'free-' || id WHERE id IN ({low}, {high}); \
                     UPDATE things SET sku = 'X-{low}-{round}' WHERE id = {high}; \
                     UPDATE things SET sku = 'X-{high}-{round}' WHERE id = {low}; COMMIT"
                ))?;
            }
            Ok(())
        });
        let copied = [false, true, true].into_iter().try_for_each(|again| {
            pair.copy(again)?;
            pair.until("the service follows", || {
                Ok((pair.phase()? == Some(Phase::Following)).then_some(()))
            })
        });
        is_over.store(true, Ordering::Relaxed);
        let written = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        copied.and(written)
    })?;
    pair.until_equal()
}

/// So many rows at the monolith, numbered from 1.
pub(crate) fn add_things(pair: &Pair, many: usize) -> anyhow::Result<()> {
    let row = |n| format!("({n}, 'X-{n}', 'note {n}')");
    let rows: Vec<String> = (1..=many).map(row).collect();
    let insert = format!("INSERT INTO things (id, sku, note) VALUES {}", rows.join(", "));
    Ok(pair.monolith.rogue(&insert)?)
}

/// Whoever asks what there is now is answered at once, also while others ask: nobody waits until a question for news is over, which it is
/// after 2 s in a shop where nobody writes.
pub(crate) fn up_to_date_at_once(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    let ask = |after: u64| async move {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let asked = Instant::now();
        let status = pair.service.side.status_now(Duration::from_secs(10)).await?;
        ensure!(
            status.follow.is_some_and(|follow| follow.current == Some(true)),
            "it is not up to date"
        );
        Ok(asked.elapsed())
    };
    let longest = pair.runtime.block_on(try_join_all((0..12).map(|n| ask(n * 2))))?;
    let longest = longest.into_iter().max();
    ensure!(longest < Some(Duration::from_secs(1)), "{longest:?}");
    Ok(())
}

/// While writes wait nobody looks at rows for long, and a row that could not be judged in that time is not called equal.
pub(crate) fn settled_in_time(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (id, sku) VALUES (1, 'A')")?;
    pair.follow()?;
    // From here on the service applies nothing.
    let mut open = pair.service.db.connect()?;
    let begin = if matches!(&*open, Conn::Postgres(_)) {
        "BEGIN"
    } else {
        "BEGIN IMMEDIATE"
    };
    open.batch_execute(&format!("{begin}; UPDATE follow_things SET cursor = cursor"))?;
    pair.monolith
        .write(pair, "UPDATE things SET note = 'late' WHERE id = 1")?;
    let unsettled = Unsettled {
        table: "things".to_owned(),
        key: Key(vec!["1".to_owned()]),
        after: None,
    };
    let mut report = Report {
        unsettled: vec![unsettled],
        ..Report::default()
    };
    let (holder, follower) = (&pair.monolith.side, &pair.service.side);
    let began = Instant::now();
    pair.ask(compare::settle(holder, follower, &mut report, SHORT))?;
    let took = began.elapsed();
    ensure!(took < 4 * SHORT, "{took:?}");
    ensure!(report.unsettled.len() == 1 && report.total == 0, "{report:?}");
    open.batch_execute("ROLLBACK")?;
    drop(open);
    pair.until_equal()?;
    pair.ask(compare::settle(holder, follower, &mut report, SHORT))?;
    ensure!(report.is_equal(), "{report:?}");
    Ok(())
}

/// A repair of a whole table comes to its end beside writers that never rest: the feed does not take the cursor away from it.
pub(crate) fn repaired_beside_writers(pair: &Pair) -> anyhow::Result<()> {
    add_things(pair, 5000)?;
    pair.follow()?;
    let (mark, unmark) = follower_mark(pair)?;
    pair.service.rogue(&format!(
        "BEGIN; {mark}; UPDATE things SET note = 'damaged' WHERE id % 7 = 0; {unmark}; COMMIT"
    ))?;
    let whole = Repair {
        table: "things".to_owned(),
        after: None,
        through: None,
    };
    let is_over = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=2)
            .map(|id| {
                let is_over = &is_over;
                scope.spawn(move || -> anyhow::Result<()> {
                    for n in 0.. {
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                        let write = format!("UPDATE things SET note = 'now {n}' WHERE id = {id}");
                        pair.monolith.write(pair, &write)?;
                    }
                    Ok(())
                })
            })
            .collect();
        let began = Instant::now();
        let repaired = pair.ask(pair.service.side.repair(&whole));
        is_over.store(true, Ordering::Relaxed);
        for writer in writers {
            writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        repaired.map(|_| began.elapsed())
    })?;
    ensure!(took < Duration::from_secs(10), "it took {took:?}");
    pair.until_equal()
}

/// A transaction that took its number early and commits late. SQLite has one writer, so there it is only a long one.
pub(crate) fn late_commit(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (id, sku, note) VALUES (1, 'A', 'a'), (2, 'B', 'b')")?;
    pair.follow()?;
    let mut late = pair.monolith.db.connect()?;
    let postgres = matches!(&*late, Conn::Postgres(_));
    late.batch_execute(if postgres { "BEGIN" } else { "BEGIN IMMEDIATE" })?;
    late.batch_execute("UPDATE things SET note = 'late' WHERE id = 1")?;
    if postgres {
        for n in 0..20 {
            pair.monolith.write(
                pair,
                &format!("UPDATE things SET note = 'early {n}' WHERE id = 2"),
            )?;
        }
        pair.until("the early changes have arrived", || {
            Ok((pair.service.rows()?["things"][1]["note"] == "early 19").then_some(()))
        })?;
    }
    late.batch_execute("COMMIT")?;
    drop(late);
    pair.until_equal()?;
    ensure!(
        pair.service.rows()?["things"][0]["note"] == "late",
        "{:?}",
        pair.service.rows()?
    );
    Ok(())
}

/// Two rows exchange a unique value by way of a third one: however the pages are cut, both arrive.
pub(crate) fn swap(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (id, sku) VALUES (1, 'A'), (2, 'B')")?;
    pair.follow()?;
    let swap = "UPDATE things SET sku = 'free' WHERE id = 1; UPDATE things SET sku = 'A' WHERE id = 2; \
        DELETE FROM things WHERE id = 1; INSERT INTO things (id, sku) VALUES (3, 'B')";
    pair.monolith.rogue(&format!("BEGIN; {swap}; COMMIT"))?;
    pair.until_equal()
}

/// A row that this side's schema does not allow stops the link, is named, and is skipped by nobody; mended, a copy goes through.
pub(crate) fn poison(pair: &Pair) -> anyhow::Result<()> {
    let refuse = if matches!(&*pair.service.db.connect()?, Conn::Postgres(_)) {
        "ALTER TABLE things ADD CONSTRAINT no_poison CHECK (note <> 'poison')"
    } else {
        "CREATE TRIGGER no_poison BEFORE INSERT ON things WHEN NEW.note = 'poison' BEGIN SELECT RAISE(ABORT, 'no_poison'); END"
    };
    pair.monolith
        .rogue("INSERT INTO things (id, sku) VALUES (1, 'A'), (2, 'B')")?;
    pair.follow()?;
    pair.service.rogue(refuse)?;
    pair.monolith.rogue("BEGIN; UPDATE things SET note = 'fine' WHERE id = 1; UPDATE things SET note = 'poison' WHERE id = 2; COMMIT")?;
    let parked = pair.until("the change is parked", || {
        Ok(pair.status()?.follow.and_then(|follow| follow.parked))
    })?;
    ensure!(parked.table.as_deref() == Some("things"), "{parked:?}");
    ensure!(
        parked.key.as_ref().is_some_and(|key| key.0 == ["2"]),
        "{parked:?}"
    );
    ensure!(parked.error.contains("no_poison"), "{parked:?}");
    ensure!(
        pair.service.rows()?["things"][0]["note"].is_null(),
        "half of a transaction was applied"
    );
    pair.monolith
        .rogue("UPDATE things SET note = 'mended' WHERE id = 2")?;
    pair.copy(true)?;
    pair.until("the service follows", || {
        Ok((pair.phase()? == Some(Phase::Following)).then_some(()))
    })?;
    pair.until_equal()
}

/// A follower that was forgotten learns it, and copies anew when it is told to.
pub(crate) fn floor(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (id, sku) VALUES (1, 'A')")?;
    pair.follow()?;
    pair.ask(pair.monolith.side.retention(&Retention {
        forget: Some("things".to_owned()),
        new_feed: false,
    }))?;
    pair.monolith
        .write(pair, "INSERT INTO things (id, sku) VALUES (2, 'B')")?;
    let parked = pair.until("the follower says so", || {
        Ok(pair.status()?.follow.and_then(|follow| follow.parked))
    })?;
    ensure!(
        parked.error.contains("forgotten") && parked.error.contains("again"),
        "{parked:?}"
    );
    pair.copy(true)?;
    pair.until("the service follows", || {
        Ok((pair.phase()? == Some(Phase::Following)).then_some(()))
    })?;
    pair.until_equal()
}
