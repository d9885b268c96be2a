//! Commands that meet a move of the pen, and moves that meet a stream of writers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chassis::db::{Conn, Db, PoolSettings};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use handover::wire::{Abort, Copy};
use uuid::Uuid;

use crate::moves::fence;
use crate::sides::Pair;

#[derive(QueryableByName)]
struct Waiting {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

/// A copy that comes while this side takes the pen waits, and then does nothing: the rows are this side's now.
pub(crate) fn copy_and_acceptance(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (id, sku) VALUES (1, 'A')")?;
    pair.follow()?;
    let mut open = pair.service.db.connect()?;
    let postgres = matches!(&*open, Conn::Postgres(_));
    open.batch_execute(if postgres { "BEGIN" } else { "BEGIN IMMEDIATE" })?;
    // What an acceptance does, as long as it takes.
    open.batch_execute("UPDATE pen_things SET holder = side, epoch = epoch + 1; DELETE FROM follow_things")?;
    let copied = std::thread::scope(|scope| {
        let copy = scope.spawn(|| {
            let again = Copy {
                pass: Uuid::new_v4(),
                again: true,
            };
            pair.runtime.block_on(pair.service.side.copy(&again))
        });
        if postgres {
            pair.until("the copy waits for the acceptance", || waits(&pair.service.db))?;
        }
        open.batch_execute("COMMIT")?;
        drop(open);
        copy.join().map_err(|_| anyhow::anyhow!("the copy panicked"))
    })?;
    ensure!(copied.as_ref().is_err_and(|error| error.is("lost")), "{copied:?}");
    let status = pair.status()?;
    ensure!(status.pen.is_here() && status.follow.is_none(), "{status:?}");
    ensure!(
        pair.service.rows()?["things"].len() == 1,
        "the holder's rows were cleared"
    );
    Ok(())
}

fn waits(db: &Db) -> anyhow::Result<Option<()>> {
    let query = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
        AND (query LIKE 'LOCK TABLE%' OR query LIKE 'DELETE FROM follow%')";
    let mut conn = db.connect()?;
    let Waiting { n } = diesel::sql_query(query).get_result(&mut *conn)?;
    Ok((n > 0).then_some(()))
}

/// PostgreSQL: a write that comes to no trigger keeps the pen all the same until its transaction ends. Otherwise it would say what a row is,
/// or that there is none, when the other side has long changed it.
pub(crate) fn a_write_of_nothing(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    let epoch = pair.ask(pair.monolith.side.status())?.pen.epoch;
    let (begun, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    let may_end = Mutex::new(may_end);
    let work = move |_: &mut Conn| {
        let _ = begun.send(());
        let _ = may_end.lock().map(|may_end| may_end.recv());
        Ok::<_, crate::sides::Error>(())
    };
    let gate = pair.monolith.gate.clone();
    let write = pair
        .runtime
        .spawn(async move { gate.write(work).await.map(|_| ()) });
    has_begun.recv()?;
    let fence = || {
        pair.runtime.block_on(
            pair.monolith
                .side
                .fence(&fence(Uuid::new_v4(), epoch, "things", 20_000)),
        )
    };
    let early = fence();
    ensure!(
        early.as_ref().is_err_and(|error| error.is("writers")),
        "{early:?}"
    );
    drop(end);
    pair.runtime.block_on(write)??;
    ensure!(fence().is_ok(), "nobody writes any more");
    Ok(())
}

/// PostgreSQL: writers look at the pen under a share of its lock, one beside the other and without a gap, also those that are refused.
/// A move gets its turn all the same.
pub(crate) fn moves_beside_writers(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    let epoch = pair.ask(pair.monolith.side.status())?.pen.epoch;
    let settings = PoolSettings {
        size: 32,
        ..PoolSettings::default()
    };
    let db = Db::open(pair.monolith.url(), &settings)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let pass = Uuid::new_v4();
    std::thread::scope(|scope| {
        let stop = Stop(Arc::clone(&is_over));
        for _ in 0..24 {
            scope.spawn(|| {
                while let Ok(mut conn) = db.connect()
                    && !is_over.load(Ordering::Relaxed)
                {
                    let _ = conn.batch_execute(
                        "BEGIN; SELECT 1 FROM pen_things FOR SHARE; SELECT pg_sleep(0.01 + random() * 0.03); COMMIT",
                    );
                }
            });
        }
        let mut command = fence(pass, epoch, "things", 60_000);
        command.wait_ms = 10_000;
        pair.ask(pair.monolith.side.fence(&command))?;
        let began = Instant::now();
        pair.ask(pair.monolith.side.abort(&Abort { pass, epoch }))
            .with_context(|| format!("after {:?}", began.elapsed()))?;
        ensure!(
            began.elapsed() < Duration::from_secs(3),
            "the abort took {:?}",
            began.elapsed()
        );
        drop(stop);
        Ok(())
    })
}

/// Ends the writers however a trial ends.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
