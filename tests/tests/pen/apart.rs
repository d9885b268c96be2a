//! Chunks of a first copy that are written at once: the second takes effect after the first, or not at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use chassis::db::{Conn, Error};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use handover::row::{Key, Row};
use handover::store::{Range, Store};
use handover::table::Table;
use handover::wire::Phase;

use crate::follows::add_things;
use crate::guards::follower_mark;
use crate::sides::{PLAIN, Pair};

/// The tables as they are, with the promise that rows of `things` have nothing to do with each other.
#[derive(Debug)]
pub(crate) struct Apart;

impl Store for Apart {
    fn tables(&self) -> &'static [Table] {
        PLAIN.tables()
    }
    fn find(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Error> {
        PLAIN.find(conn, table, keys)
    }
    fn page(&self, conn: &mut Conn, table: &Table, range: &Range, limit: usize) -> Result<Vec<Row>, Error> {
        PLAIN.page(conn, table, range, limit)
    }
    fn put(&self, conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<(), Error> {
        PLAIN.put(conn, table, rows)
    }
    fn is_row_by_row(&self, table: &Table) -> bool {
        table.name == "things"
    }
    fn remove(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<(), Error> {
        PLAIN.remove(conn, table, keys)
    }
    fn clear(&self, conn: &mut Conn) -> Result<(), Error> {
        PLAIN.clear(conn)
    }
    fn sequences(&self, conn: &mut Conn) -> Result<BTreeMap<String, i64>, Error> {
        PLAIN.sequences(conn)
    }
    fn raise_sequences(&self, conn: &mut Conn, past: &BTreeMap<String, i64>) -> Result<(), Error> {
        PLAIN.raise_sequences(conn, past)
    }
}

/// One chunk cannot be written for a while; the next one is, and is not seen before it. PostgreSQL alone has two writers.
pub(crate) fn in_turn(pair: &Pair) -> anyhow::Result<()> {
    add_things(pair, 3500)?;
    pair.link()?;
    let (mark, _) = follower_mark(pair)?;
    let mut stranger = pair.service.db.connect()?;
    // A value that the first chunk needs, so that this must wait for whoever has it.
    stranger.batch_execute(&format!(
        "BEGIN; {mark}; INSERT INTO things (id, sku) VALUES (9999, 'X-500')"
    ))?;
    pair.copy(false)?;
    pair.until("two chunks wait", || {
        Ok((count(
            pair,
            "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )? == 2)
            .then_some(()))
    })?;
    ensure!(count(pair, "things")? == 0, "a chunk took effect before its turn");
    stranger.batch_execute("ROLLBACK")?;
    pair.until("the service follows", || {
        Ok((pair.phase()? == Some(Phase::Following)).then_some(()))
    })?;
    ensure!(count(pair, "things")? == 3500, "{} rows", count(pair, "things")?);
    pair.until_equal()
}

/// Writers hand values on from rows of one chunk to those of the next, so that two chunks may want the same.
pub(crate) fn exchanged_meanwhile(pair: &Pair) -> anyhow::Result<()> {
    add_things(pair, 6000)?;
    pair.link()?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> anyhow::Result<()> {
            let mut round = 0;
            while !is_over.load(Ordering::Relaxed) {
                let (low, high) = (1 + round % 5000, 1001 + round % 5000);
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

/// How many rows the service's database has of these.
fn count(pair: &Pair, of: &str) -> anyhow::Result<i64> {
    let count = diesel::dsl::sql::<BigInt>(&format!("SELECT count(*) FROM {of}"));
    Ok(count.get_result(&mut *pair.service.db.connect()?)?)
}
