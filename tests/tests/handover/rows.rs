//! Both sides' databases, behind everybody's back.

use banyan_tests::rows;
use chassis::db::{Db, PoolSettings};
use diesel::prelude::*;

use crate::world::{Process, World};

/// Where the two sides differ, in words; and how many rows were compared.
pub(crate) fn compare(world: &World) -> anyhow::Result<(usize, Vec<String>)> {
    rows::compare(
        world.database_of(Process::Monolith),
        world.database_of(Process::Catalog),
    )
}

/// A side's database.
pub(crate) fn open(world: &World, process: Process) -> anyhow::Result<Db> {
    Ok(Db::open(world.database_of(process), &PoolSettings::default())?)
}

/// Runs a statement on it, past everybody.
pub(crate) fn execute(world: &World, process: Process, sql: &str) -> anyhow::Result<usize> {
    use diesel::connection::SimpleConnection;
    let db = open(world, process)?;
    let mut conn = db.connect()?;
    if sql.contains(';') {
        conn.batch_execute(sql)?;
        return Ok(0);
    }
    Ok(diesel::sql_query(sql).execute(&mut *conn)?)
}
