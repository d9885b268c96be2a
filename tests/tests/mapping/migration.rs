//! The service's price history before it had ids: its entries are kept, and numbered in their order.

use std::path::Path;

use anyhow::{Context, ensure};
use banyan_tests::till::Database;
use chassis::db::{Conn, Db, PoolSettings};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

const BEFORE: &str = "
INSERT INTO categories (id, slug, name) VALUES (1, 'mugs', 'Mugs');
INSERT INTO products (id, sku, name, description, category_id, status, price_seq, version, created_at, updated_at) VALUES
  (1, 'A', 'A', '', 1, 'active', 3, 3, '2026-01-01 00:00:00', '2026-01-01 00:00:00'),
  (2, 'B', 'B', '', 1, 'active', 1, 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO price_history (product_id, seq, amount, currency, effective_from) VALUES
  (1, 2, 20, 'GBP', '2026-01-02 00:00:00'), (1, 1, 10, 'GBP', '2026-01-03 00:00:00'), (2, 1, 5, 'GBP', '2026-01-01 00:00:00'),
  (1, 3, 30, 'GBP', '2026-01-04 00:00:00');
";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

pub(crate) fn numbers(database: &Database) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = database.create(folder.path(), "old.db")?;
    let db = Db::open(data.url(), &PoolSettings::default())?;
    {
        let mut conn = db.connect()?;
        let dialect = match &*conn {
            Conn::Sqlite(_) => "sqlite",
            Conn::Postgres(_) => "postgres",
        };
        let first = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
            "../migrations/catalog/{dialect}/2026-11-01-000100_catalog/up.sql"
        ));
        conn.batch_execute(&std::fs::read_to_string(first)?)?;
        // As diesel leaves it when only the first migration has run.
        conn.batch_execute(
            "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
             INSERT INTO __diesel_schema_migrations (version) VALUES ('20261101000100')",
        )?;
        conn.batch_execute(&format!("BEGIN; {BEFORE} COMMIT"))?;
    }
    let ran = db.migrate(&catalog::MIGRATIONS)?;
    ensure!(
        ran.len() >= 3 && db.migrate(&catalog::MIGRATIONS)?.is_empty(),
        "{ran:?}"
    );
    let kept = lines(
        &db,
        "SELECT product_id || ' ' || seq || ' ' || amount AS line FROM price_history ORDER BY product_id, id",
    )?;
    ensure!(kept == ["1 1 10", "1 2 20", "1 3 30", "2 1 5"], "{kept:?}");
    let products = lines(
        &db,
        "SELECT sku || ' ' || price_seq AS line FROM products ORDER BY id",
    )?;
    ensure!(products == ["A 3", "B 1"], "{products:?}");
    // New entries take the next number, and none may be changed, as before.
    let mut conn = db.connect()?;
    conn.batch_execute(
        "INSERT INTO price_history (product_id, seq, amount, currency, effective_from) VALUES (2, 2, 6, 'GBP', '2026-02-01 00:00:00')",
    )?;
    drop(conn);
    let last = lines(
        &db,
        "SELECT id || ' ' || amount AS line FROM price_history ORDER BY id",
    )?;
    ensure!(last.last().context("entries")? == "5 6", "{last:?}");
    let mut conn = db.connect()?;
    let forged = conn.batch_execute("UPDATE price_history SET amount = 1");
    ensure!(
        forged.is_err_and(|error| error.to_string().contains("append-only")),
        "an entry was changed"
    );
    let orphaned = conn.batch_execute("DELETE FROM price_history WHERE product_id = 1");
    ensure!(orphaned.is_err(), "a product was left without a price");
    Ok(())
}

/// A product has a price and an entry has a product, and both go together, though no foreign key says so everywhere; and the triggers of the
/// pen are those that were generated, though a table was made anew since.
pub(crate) fn rules(database: &Database) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = database.create(folder.path(), "rules.db")?;
    let db = Db::open(data.url(), &PoolSettings::default())?;
    db.migrate(&catalog::MIGRATIONS)?;
    let mut conn = db.connect()?;
    let product = |price_seq| {
        format!(
            "INSERT INTO products (id, sku, name, description, category_id, status, price_seq, version, created_at, updated_at) \
             VALUES (1, 'A', 'A', '', 1, 'active', {price_seq}, 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
        )
    };
    let entry = |seq| {
        format!(
            "INSERT INTO price_history (product_id, seq, amount, currency, effective_from) \
             VALUES (1, {seq}, 10, 'GBP', '2026-01-01 00:00:00')"
        )
    };
    conn.batch_execute("INSERT INTO categories (id, slug, name) VALUES (1, 'mugs', 'Mugs')")?;
    let mut run = |statements: &[&str]| -> Result<(), diesel::result::Error> {
        let done = conn.batch_execute(&format!("BEGIN; {}; COMMIT", statements.join("; ")));
        if done.is_err() {
            // What fails at its end is over on PostgreSQL, and on SQLite still open.
            let _ = conn.batch_execute("ROLLBACK");
        }
        done
    };
    ensure!(run(&[&entry(1)]).is_err(), "an entry without a product");
    ensure!(run(&[&product(1)]).is_err(), "a product without a price");
    ensure!(
        run(&[&product(2), &entry(1)]).is_err(),
        "the price in force is not there"
    );
    run(&[&product(1), &entry(1), &entry(2)])?;
    ensure!(
        run(&["UPDATE products SET price_seq = 3"]).is_err(),
        "it points at nothing"
    );
    run(&["UPDATE products SET price_seq = 2"])?;
    ensure!(
        run(&["DELETE FROM price_history WHERE seq = 2"]).is_err(),
        "the price in force went"
    );
    run(&["DELETE FROM price_history WHERE seq = 1"])?;
    ensure!(
        run(&["UPDATE products SET category_id = 2"]).is_err(),
        "a product without a category"
    );
    ensure!(
        run(&["DELETE FROM categories"]).is_err(),
        "the category of a product went"
    );
    run(&["DELETE FROM products"])?;
    drop(conn);
    let left = lines(&db, "SELECT CAST(count(*) AS TEXT) AS line FROM price_history")?;
    ensure!(left == ["0"], "the history of a product stayed: {left:?}");
    triggers_are_those_generated(&db)
}

/// The migration that changes the order in which tables are taken in, down and up again while a copy is half way: a table that comes earlier
/// now would be left out. The history is empty, and its ids go on where they were.
pub(crate) fn under_way(database: &Database) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = database.create(folder.path(), "under-way.db")?;
    let db = Db::open(data.url(), &PoolSettings::default())?;
    db.migrate(&catalog::MIGRATIONS)?;
    let mut conn = db.connect()?;
    let (dialect, raise) = match &*conn {
        Conn::Sqlite(_) => (
            "sqlite",
            "DELETE FROM sqlite_sequence WHERE name = 'price_history'; INSERT INTO sqlite_sequence (name, seq) VALUES ('price_history', 900)",
        ),
        Conn::Postgres(_) => (
            "postgres",
            "ALTER TABLE price_history ALTER COLUMN id RESTART WITH 901",
        ),
    };
    conn.batch_execute(raise)?;
    for file in ["down.sql", "up.sql"] {
        conn.batch_execute(
            "DELETE FROM follow_catalog; INSERT INTO follow_catalog (source, feed, epoch, cursor, phase, copy_table, copy_key, copied_rows) \
             VALUES ('monolith', 'a', 1, 'here', 'copying', 'products', '[\"7\"]', 9)",
        )?;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
            "../migrations/catalog/{dialect}/2026-11-27-000600_history_first/{file}"
        ));
        if dialect == "sqlite" {
            conn.batch_execute("PRAGMA foreign_keys = OFF")?;
        }
        conn.batch_execute(&format!("BEGIN; {} COMMIT", std::fs::read_to_string(path)?))?;
        let stands = "SELECT cursor || ' ' || copy_table || ' ' || coalesce(copy_key, '-') || ' ' || copied_rows AS line FROM follow_catalog";
        let stands: Line = diesel::sql_query(stands).get_result(&mut *conn)?;
        ensure!(
            stands.line == "here categories - 0",
            "{file}: the copy goes on at {}",
            stands.line
        );
    }
    conn.batch_execute(&format!("BEGIN; {BEFORE} COMMIT"))?;
    drop(conn);
    let first = lines(&db, "SELECT CAST(min(id) AS TEXT) AS line FROM price_history")?;
    ensure!(first == ["901"], "an id was given twice: {first:?}");
    triggers_are_those_generated(&db)
}

/// On SQLite a table that is made anew loses its triggers.
fn triggers_are_those_generated(db: &Db) -> anyhow::Result<()> {
    if !matches!(&*db.connect()?, Conn::Sqlite(_)) {
        return Ok(());
    }
    let there = lines(db, "SELECT sql AS line FROM sqlite_master WHERE type = 'trigger'")?;
    let generated = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../migrations/catalog/sqlite/2026-11-25-000300_pen/up.sql"),
    )?;
    for trigger in generated.split("CREATE TRIGGER ").skip(1) {
        let (text, _) = trigger.split_once("END;").context("a trigger ends")?;
        let text = format!("CREATE TRIGGER {text}END");
        ensure!(there.contains(&text), "not there any more: {text}");
    }
    Ok(())
}

fn lines(db: &Db, sql: &str) -> anyhow::Result<Vec<String>> {
    let mut conn = db.connect()?;
    let lines: Vec<Line> = diesel::sql_query(sql).load(&mut *conn)?;
    Ok(lines.into_iter().map(|line| line.line).collect())
}
