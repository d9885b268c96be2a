//! The copy and the feed: rows and changes a second, and what clients notice of it.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use banyan_tests::till::Database;
use chassis::db::{Conn, Db, PoolSettings};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use handover::client::Side;
use handover::wire::{self, Phase};
use hdrhistogram::Histogram;
use uuid::Uuid;

use crate::number;
use crate::world::{Process, World};

/// How many changes are left for a follower that was away.
const CHANGES: usize = 100_000;

/// Rows a second of a first copy, and changes a second of a follower that was away.
pub(crate) fn rate(world: &mut World) -> anyhow::Result<()> {
    let rows = fill(world, number("BANYAN_ROWS", 1_000_000))?;
    let took = copy(world)?;
    let ours = rows as f64 / took.as_secs_f64();
    println!("  copy: {rows} rows in {took:.1?}, {ours:.0} rows/s");
    match &world.database {
        Database::Postgres(_) => {
            let tables = ["categories", "products", "price_history"];
            let theirs = rows as f64 / psql_copy(world, Process::Monolith, &tables)?.as_secs_f64();
            println!(
                "  copy: {:.2} x psql \\copy of the monolith's tables ({theirs:.0} rows/s); bound 0.5",
                ours / theirs
            );
            // What PostgreSQL itself takes for the form that the service keeps the same rows in.
            let tables = ["categories", "products", "price_history", "product_search"];
            let theirs = rows as f64 / psql_copy(world, Process::Catalog, &tables)?.as_secs_f64();
            println!(
                "  copy: {:.2} x psql \\copy of the service's tables ({theirs:.0} rows/s)",
                ours / theirs
            );
        }
        Database::Sqlite => println!("  copy: bound 30,000 rows/s"),
    }
    world.kill(Process::Catalog);
    execute(
        world,
        &format!("UPDATE products SET description = 'changed' WHERE id <= {CHANGES}"),
    )?;
    world.start(Process::Catalog)?;
    let began = Instant::now();
    current(world)?;
    let took = began.elapsed();
    println!(
        "  feed: {CHANGES} changes in {took:.1?}, {:.0} changes/s; bound 5,000",
        CHANGES as f64 / took.as_secs_f64()
    );
    Ok(())
}

/// What a client of the monolith waits while the catalog is copied at 5,000 rows a second, beside what it waits otherwise.
pub(crate) fn foreground(world: &mut World) -> anyhow::Result<()> {
    fill(world, 100_000)?;
    world.copy_rows_per_s = Some(5000);
    world.kill(Process::Catalog);
    world.start(Process::Catalog)?;
    let mut ratios = Vec::new();
    for again in [false, true, true] {
        let calm = p99(world, Duration::from_secs(8))?;
        ask_to_copy(world, again)?;
        let beside = p99(world, Duration::from_secs(8))?;
        ensure!(
            phase(world, &world.side(Process::Catalog)?)? == Some(Phase::Copying),
            "the copy was over too early"
        );
        until_following(world)?;
        println!("  p99 of reads and writes: {calm} µs, during a copy {beside} µs");
        ratios.push(beside as f64 / calm as f64);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "  p99 during a throttled copy: {:.2} x (median of 3); bound 1.2",
        ratios[1]
    );
    Ok(())
}

/// Four clients that read and change prices at the monolith, 200 requests a second together; the 99th percentile in µs.
fn p99(world: &World, time: Duration) -> anyhow::Result<u64> {
    let (url, token, client) = (
        world.till.url(),
        world.till.token.clone(),
        world.till.client.clone(),
    );
    let is_over = AtomicBool::new(false);
    world.till.runtime.block_on(async {
        let one = async |number: usize| -> anyhow::Result<Histogram<u64>> {
            let mut seen = Histogram::new(3)?;
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            let mut round = number;
            while !is_over.load(Ordering::Relaxed) {
                tick.tick().await;
                round += 4;
                let sku = format!("{url}/api/products/SKU-{}", 1 + round * 37 % 40_000);
                let request = if round.is_multiple_of(3) {
                    let price = serde_json::json!({ "price": { "amount": round, "currency": "GBP" } });
                    client.put(format!("{sku}/price")).json(&price)
                } else {
                    client.get(sku)
                };
                let began = Instant::now();
                let answer = request.bearer_auth(&token).send().await?;
                ensure!(answer.status().is_success(), "{}", answer.status());
                answer.bytes().await?;
                seen.record(u64::try_from(began.elapsed().as_micros())?)?;
            }
            Ok(seen)
        };
        let end = async {
            tokio::time::sleep(time).await;
            is_over.store(true, Ordering::Relaxed);
        };
        let (a, b, c, d, ()) = tokio::join!(one(0), one(1), one(2), one(3), end);
        let mut all = a?;
        for seen in [b?, c?, d?] {
            all.add(seen)?;
        }
        Ok(all.value_at_quantile(0.99))
    })
}

/// So many rows of products and prices, half each, past the shop. Gives the number, once what the triggers made of them is pruned:
/// a shop that has had its rows for long has no such work to do beside what is measured.
pub(crate) fn fill(world: &World, rows: usize) -> anyhow::Result<usize> {
    let each = rows / 2;
    let sequence = match &world.database {
        Database::Postgres(_) => format!("SELECT i FROM generate_series(1, {each}) AS s(i)"),
        Database::Sqlite => {
            format!(
                "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {each}) SELECT i FROM s"
            )
        }
    };
    execute(
        world,
        &format!(
            "INSERT INTO categories (id, slug, name) VALUES (1000000, 'many', 'Many'); \
             INSERT INTO products (id, sku, name, description, category_id, price_amount, price_currency, status, search_words, version, \
             created_at, updated_at) SELECT i, 'SKU-' || i, 'Thing number ' || i, 'One of very many things that are all alike', 1000000, 100, \
             'GBP', 'active', ' thing number ' || i || ' ', 1, '2026-11-01 00:00:00', '2026-11-01 00:00:00' FROM ({sequence}) AS n; \
             INSERT INTO price_history (id, product_id, amount, currency, effective_from) \
             SELECT i, i, 100, 'GBP', '2026-11-01 00:00:00' FROM ({sequence}) AS n;"
        ),
    )?;
    if let Database::Postgres(_) = &world.database {
        execute(
            world,
            &format!(
                "ALTER TABLE products ALTER id RESTART WITH {0}; ALTER TABLE price_history ALTER id RESTART WITH {0}; \
                 ANALYZE products; ANALYZE price_history; ANALYZE outbox_catalog;",
                each + 1
            ),
        )?;
    }
    let db = Db::open(world.database_of(Process::Monolith), &PoolSettings::default())?;
    world.until("the outbox is pruned", Duration::from_secs(600), || {
        std::thread::sleep(Duration::from_millis(200));
        let count = diesel::dsl::sql::<BigInt>("SELECT count(*) FROM outbox_catalog");
        let left: i64 = count.get_result(&mut *db.connect()?)?;
        Ok((left < 1000).then_some(()))
    })?;
    Ok(each * 2 + 1)
}

/// Copies and waits for the end.
pub(crate) fn copy(world: &World) -> anyhow::Result<Duration> {
    let began = Instant::now();
    ask_to_copy(world, false)?;
    until_following(world)?;
    Ok(began.elapsed())
}

fn ask_to_copy(world: &World, again: bool) -> anyhow::Result<()> {
    let command = wire::Copy {
        pass: Uuid::new_v4(),
        again,
    };
    let service = world.side(Process::Catalog)?;
    world.till.runtime.block_on(service.copy(&command))?;
    Ok(())
}

fn phase(world: &World, service: &Side) -> anyhow::Result<Option<Phase>> {
    let status = world.till.runtime.block_on(service.status())?;
    Ok(status.follow.map(|follow| follow.phase))
}

fn until_following(world: &World) -> anyhow::Result<()> {
    // Made once, for a client reads all the certificates of the machine, and each look takes some of it too.
    let service = world.side(Process::Catalog)?;
    world.until("the service follows", Duration::from_secs(600), || {
        std::thread::sleep(Duration::from_millis(200));
        let phase = phase(world, &service)?;
        ensure!(phase != Some(Phase::Parked), "it is parked");
        Ok((phase == Some(Phase::Following)).then_some(()))
    })
}

/// Waits until the service has everything.
fn current(world: &World) -> anyhow::Result<()> {
    let service = world.side(Process::Catalog)?;
    world.until("the service is current", Duration::from_secs(600), || {
        let status = world
            .till
            .runtime
            .block_on(service.status_now(Duration::from_secs(5)))?;
        let follow = status.follow.context("it does not follow")?;
        Ok((follow.current == Some(true)).then_some(()))
    })
}

/// A side's rows, from its database into tables of the same form in another one, as `psql` copies them.
fn psql_copy(world: &World, side: Process, tables: &[&str]) -> anyhow::Result<Duration> {
    let scratch = world.database.create(world.till.folder(), "scratch.db")?;
    let from = world.database_of(side);
    let named: String = tables.iter().map(|table| format!(" -t {table}")).collect();
    let schema = Command::new("sh")
        .args([
            "-c",
            &format!("pg_dump -s{named} \"$0\" | psql -q \"$1\" >/dev/null 2>&1"),
        ])
        .args([from, scratch.url()])
        .status()?;
    ensure!(schema.success(), "the schema cannot be copied");
    let quiet: String = tables
        .iter()
        .map(|table| format!("ALTER TABLE {table} DISABLE TRIGGER USER;"))
        .collect();
    Db::open(scratch.url(), &PoolSettings::default())?
        .connect()?
        .batch_execute(&quiet)?;
    // In one transaction, for a product and its first price refer to each other.
    let mut copy = Command::new("psql");
    copy.args(["-q", "--single-transaction", "-v", "ON_ERROR_STOP=1"]);
    for table in tables {
        let out = format!("psql -q -c \"\\copy {table} to stdout\" {from}");
        copy.args(["-c", &format!("\\copy {table} from program '{out}'")]);
    }
    let began = Instant::now();
    let done = copy.arg(scratch.url()).stdout(Stdio::null()).status()?;
    ensure!(done.success(), "{tables:?} cannot be copied");
    Ok(began.elapsed())
}

/// Runs SQL on the monolith's database, however long it takes.
pub(crate) fn execute(world: &World, sql: &str) -> anyhow::Result<()> {
    execute_at(world, Process::Monolith, sql)
}

pub(crate) fn execute_at(world: &World, side: Process, sql: &str) -> anyhow::Result<()> {
    let settings = PoolSettings {
        statement_timeout_ms: 600_000,
        ..PoolSettings::default()
    };
    let db = Db::open(world.database_of(side), &settings)?;
    let mut conn = db.connect()?;
    match &*conn {
        Conn::Postgres(_) => conn.batch_execute(&format!("BEGIN; {sql}; COMMIT"))?,
        Conn::Sqlite(_) => conn.batch_execute(&format!("BEGIN IMMEDIATE; {sql}; COMMIT"))?,
    }
    Ok(())
}
