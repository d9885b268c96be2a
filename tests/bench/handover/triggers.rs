//! What the triggers cost a writer: the shop's own change of a price, with them and without them, by turns.

use std::time::{Duration, Instant};

use anyhow::Context;
use chassis::db::{Conn, Db, PoolSettings};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::copy::{execute, fill};
use crate::world::{Process, World};

/// One turn of writers.
const TURN: Duration = Duration::from_secs(2);
/// Turns with and turns without: what a disk takes for a commit wavers by a third from one to the next.
const TURNS: usize = 15;

#[derive(QueryableByName)]
struct Sql {
    #[diesel(sql_type = Text)]
    sql: String,
}

/// Writes a second by 1 and by 8 writers; SQLite has room for one.
pub(crate) fn cost(world: &mut World) -> anyhow::Result<()> {
    fill(world, 40_000)?;
    // Nobody but the writers.
    world.kill(Process::Router);
    world.kill(Process::Catalog);
    world.kill(Process::Monolith);
    let url = world.database_of(Process::Monolith).to_owned();
    let settings = PoolSettings {
        size: 8,
        ..PoolSettings::default()
    };
    let db = Db::open(&url, &settings)?;
    let postgres = matches!(&*db.connect()?, Conn::Postgres(_));
    let (on, off) = switches(&db, postgres)?;
    let durability = if postgres { &["on", "off"][..] } else { &["-"][..] };
    for commit in durability {
        for writers in if postgres { &[1, 8][..] } else { &[1][..] } {
            let mut ratios = Vec::new();
            for _ in 0..TURNS {
                execute(world, &off)?;
                let without = turn(&db, *writers, commit)?;
                execute(world, &on)?;
                ratios.push(turn(&db, *writers, commit)? / without);
            }
            ratios.sort_by(f64::total_cmp);
            println!(
                "  synchronous_commit {commit}, {writers} writers: {:.2} x the writes without triggers (median of {:.2?}); bound 0.85 with `on`",
                ratios[TURNS / 2],
                ratios
            );
        }
    }
    Ok(())
}

/// SQL that puts the module's triggers there, and that takes them away.
fn switches(db: &Db, postgres: bool) -> anyhow::Result<(String, String)> {
    if postgres {
        let all = |what: &str| {
            format!("ALTER TABLE products {what} TRIGGER USER; ALTER TABLE price_history {what} TRIGGER USER")
        };
        return Ok((all("ENABLE"), all("DISABLE")));
    }
    let query = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%outbox_catalog%' OR type = 'trigger' AND sql LIKE '%pen_catalog%'";
    let made: Vec<Sql> = diesel::sql_query(query).load(&mut *db.connect()?)?;
    let name = |sql: &str| sql.split_whitespace().nth(2).map(str::to_owned);
    let dropped: Option<Vec<String>> = made
        .iter()
        .map(|made| name(&made.sql).map(|name| format!("DROP TRIGGER {name}")))
        .collect();
    let on: Vec<String> = made.into_iter().map(|made| made.sql).collect();
    Ok((
        on.join(";\n"),
        dropped.context("a trigger without a name")?.join("; "),
    ))
}

/// Writes a second.
fn turn(db: &Db, writers: u64, commit: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    let counts = std::thread::scope(|scope| {
        let started: Vec<_> = (0..writers)
            .map(|writer| scope.spawn(move || write(db, writer, commit, began)))
            .collect();
        started
            .into_iter()
            .map(|writer| writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?)
            .sum::<anyhow::Result<u64>>()
    })?;
    Ok(counts as f64 / began.elapsed().as_secs_f64())
}

fn write(db: &Db, writer: u64, commit: &str, began: Instant) -> anyhow::Result<u64> {
    let mut conn = db.connect()?;
    let begin = match &*conn {
        Conn::Postgres(_) => {
            conn.batch_execute(&format!("SET synchronous_commit = {commit}"))?;
            "BEGIN"
        }
        Conn::Sqlite(_) => "BEGIN IMMEDIATE",
    };
    let mut n = 0;
    while began.elapsed() < TURN {
        n += 1;
        let id = 1 + writer * 2000 + n * 37 % 2000;
        conn.batch_execute(&format!(
            "{begin}; UPDATE products SET price_amount = price_amount + 1, version = version + 1 WHERE id = {id}; \
             INSERT INTO price_history (product_id, amount, currency, effective_from) VALUES ({id}, 1, 'GBP', CURRENT_TIMESTAMP); COMMIT"
        ))?;
    }
    Ok(n)
}
