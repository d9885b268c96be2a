//! What the database lets through, and what it notes.

use anyhow::ensure;
use chassis::db::Conn;
use handover::gate::is_refusal;

use crate::sides::{Error, Pair};

const ROW: &str = "INSERT INTO things (sku, note) VALUES ('A', 'first')";

/// Every statement that could write to the follower's tables is refused, and says so in a way that the gate understands.
pub(crate) fn every_way(pair: &Pair) -> anyhow::Result<()> {
    pair.service.rogue(ROW)?;
    pair.link()?;
    let postgres = matches!(&*pair.service.db.connect()?, Conn::Postgres(_));
    let mut ways = vec![
        "INSERT INTO things (sku) VALUES ('B')".to_owned(),
        "UPDATE things SET note = 'x'".to_owned(),
        "UPDATE things SET note = 'x' WHERE sku = 'A'".to_owned(),
        "DELETE FROM things".to_owned(),
        "INSERT INTO things (sku, note) VALUES ('A', 'x') ON CONFLICT (sku) DO UPDATE SET note = excluded.note".to_owned(),
    ];
    if postgres {
        ways.push("TRUNCATE things CASCADE".to_owned());
        ways.push(
            "MERGE INTO things t USING (SELECT 'A' AS sku) s ON t.sku = s.sku WHEN MATCHED THEN DELETE"
                .to_owned(),
        );
        ways.push("SET session_replication_role = replica; DELETE FROM things".to_owned());
        for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
            ways.push(format!(
                "BEGIN ISOLATION LEVEL {level}; SELECT 1; DELETE FROM things; COMMIT"
            ));
        }
    } else {
        ways.push("REPLACE INTO things (sku, note) VALUES ('A', 'x')".to_owned());
        ways.push("INSERT OR IGNORE INTO things (sku) VALUES ('B')".to_owned());
    }
    let before = pair.service.rows()?;
    for way in ways {
        let refused = pair.service.rogue(&way);
        ensure!(refused.is_err(), "{way} went through");
        let error = chassis::db::Error::from(refused.err().unwrap_or(diesel::result::Error::NotFound));
        ensure!(is_refusal(&error), "{way}: {error:?}");
    }
    ensure!(pair.service.rows()? == before, "something was written");
    match pair.service.write(pair, ROW) {
        Err(Error::NotHere(not_here)) => ensure!(
            not_here.0.holder == "monolith" && not_here.0.epoch == 1,
            "{not_here}"
        ),
        other => anyhow::bail!("{other:?}"),
    }
    // Work that changes nothing is no trigger's affair, and must not be answered from rows that may be old all the same.
    let unchanged = pair
        .service
        .write(pair, "UPDATE things SET note = 'x' WHERE id = 99");
    ensure!(matches!(unchanged, Err(Error::NotHere(_))), "{unchanged:?}");
    let written = pair.monolith.write(pair, ROW)?;
    ensure!(
        written.position.is_some_and(|position| position.epoch == 1),
        "{written:?}"
    );
    Ok(())
}

/// As long as no pen is there, nobody notices anything.
pub(crate) fn no_pen(pair: &Pair) -> anyhow::Result<()> {
    let written = pair.monolith.write(pair, ROW)?;
    ensure!(written.position.is_none(), "{written:?}");
    pair.monolith
        .rogue("UPDATE things SET note = 'y'; DELETE FROM things")?;
    ensure!(
        pair.monolith.outbox()?.is_empty(),
        "{:?}",
        pair.monolith.outbox()?
    );
    Ok(())
}

/// What was inserted, changed and removed, both keys of a change of key, and what SQLite replaces unasked.
pub(crate) fn keys(pair: &Pair) -> anyhow::Result<()> {
    pair.link()?;
    let steps: &[(&str, &[&str])] = &[
        (
            "INSERT INTO things (id, sku) VALUES (1, 'A'), (2, 'B')",
            &["things[\"1\"]", "things[\"2\"]"],
        ),
        ("UPDATE things SET note = 'x' WHERE id = 2", &["things[\"2\"]"]),
        (
            "UPDATE things SET id = 7 WHERE id = 2",
            &["things[\"2\"]", "things[\"7\"]"],
        ),
        ("DELETE FROM things WHERE id = 1", &["things[\"1\"]"]),
        (
            "INSERT INTO pairs VALUES ('it''s \"x\"', 3, NULL)",
            &["pairs[\"it's\\\"x\\\"\",\"3\"]"],
        ),
        ("UPDATE things SET note = 'x' WHERE id = 99", &[]),
    ];
    for (sql, expected) in steps {
        let before = pair.monolith.outbox()?.len();
        pair.monolith.rogue(sql)?;
        let noted = pair.monolith.outbox()?.split_off(before);
        ensure!(noted == *expected, "{sql}: {noted:?}");
    }
    if matches!(&*pair.monolith.db.connect()?, Conn::Sqlite(_)) {
        let before = pair.monolith.outbox()?.len();
        pair.monolith
            .rogue("REPLACE INTO things (id, sku) VALUES (20, 'B')")?;
        let noted = pair.monolith.outbox()?.split_off(before);
        ensure!(noted == ["things[\"7\"]", "things[\"20\"]"], "{noted:?}");
    }
    let before = pair.monolith.outbox()?.len();
    pair.monolith
        .rogue("BEGIN; INSERT INTO things (sku) VALUES ('C'); ROLLBACK")?;
    ensure!(
        pair.monolith.outbox()?.len() == before,
        "a transaction that was taken back is noted"
    );
    Ok(())
}

/// What lets a transaction write as a follower's, and what ends that.
pub(crate) fn follower_mark(pair: &Pair) -> anyhow::Result<(&'static str, &'static str)> {
    Ok(match &*pair.service.db.connect()? {
        Conn::Postgres(_) => ("SET LOCAL banyan.follower = 'things'", "SELECT 1"),
        Conn::Sqlite(_) => (
            "INSERT INTO mark_things (module) VALUES ('things')",
            "DELETE FROM mark_things",
        ),
    })
}

/// A follower's mark lets its own transaction write, and no other, and not the next one.
pub(crate) fn mark_ends(pair: &Pair) -> anyhow::Result<()> {
    pair.link()?;
    let (mark, unmark) = follower_mark(pair)?;
    pair.service
        .rogue(&format!("BEGIN; {mark}; {ROW}; {unmark}; COMMIT"))?;
    ensure!(
        pair.service.rows()?["things"].len() == 1,
        "the follower could not write"
    );
    ensure!(
        pair.service.outbox()?.is_empty(),
        "the follower's write was captured"
    );
    ensure!(
        pair.service.rogue("DELETE FROM things").is_err(),
        "the mark outlived its transaction"
    );
    pair.service.rogue(&format!("BEGIN; {mark}; ROLLBACK"))?;
    ensure!(
        pair.service.rogue("DELETE FROM things").is_err(),
        "the mark outlived a rollback"
    );
    Ok(())
}
