//! One altered field among a million rows; and comparisons under traffic, none of which may find anything.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chassis::db::{Conn, Db, PoolSettings};

use crate::copy::{copy, execute_at, fill};
use crate::number;
use crate::world::{Process, World};

pub(crate) fn million(world: &mut World) -> anyhow::Result<()> {
    let rows = fill(world, number("BANYAN_ROWS", 1_000_000))?;
    copy(world)?;
    let id = rows / 3;
    let postgres = matches!(
        &*Db::open(world.database_of(Process::Catalog), &PoolSettings::default())?.connect()?,
        Conn::Postgres(_)
    );
    let change = format!("UPDATE products SET name = 'altered' WHERE id = {id}");
    execute_at(
        world,
        Process::Catalog,
        &if postgres {
            format!("SET LOCAL banyan.follower = 'catalog'; {change}")
        } else {
            format!(
                "INSERT INTO mark_catalog (module) VALUES ('catalog'); {change}; DELETE FROM mark_catalog"
            )
        },
    )?;
    let (said, took) = verify(world, &["verify", "catalog", "--json"])?;
    ensure!(said.code == Some(3), "{said:?}");
    ensure!(
        said.out.contains(&id.to_string()) && said.out.contains("altered"),
        "{said:?}"
    );
    println!(
        "  1 altered field in {rows} rows: found and named in {took:.1?}, {:.0} rows/s",
        rows as f64 / took.as_secs_f64()
    );
    let (said, took) = verify(world, &["verify", "catalog", "--repair"])?;
    ensure!(said.code == Some(0), "{said:?}");
    println!("  mended in {took:.1?}");
    let (said, _) = verify(world, &["verify", "catalog", "--json"])?;
    ensure!(said.code == Some(0), "after the repair: {said:?}");
    under_traffic(world)
}

fn under_traffic(world: &World) -> anyhow::Result<()> {
    let (runs, mut alarms, mut took) = (number("BANYAN_RUNS", 10), 0, Duration::ZERO);
    let began = Instant::now();
    let traffic = world.traffic(&[&world.router()], 8, false)?;
    for _ in 0..runs {
        let (said, one) = verify(world, &["verify", "catalog", "--json"])?;
        took += one;
        if said.code != Some(0) {
            alarms += 1;
            println!("  under traffic: {said:?}");
        }
    }
    let seen = world.till.runtime.block_on(traffic.end())?;
    println!(
        "  under {:.0} requests/s, {:.0} of them writes: {alarms} false alarms in {runs} runs of {:.1?}; {} things were wrong for clients",
        seen.requests as f64 / began.elapsed().as_secs_f64(),
        seen.acknowledged as f64 / began.elapsed().as_secs_f64(),
        took / u32::try_from(runs.max(1))?,
        seen.failures
    );
    Ok(())
}

fn verify(world: &World, arguments: &[&str]) -> anyhow::Result<(crate::world::Said, Duration)> {
    let began = Instant::now();
    let said = world.banyan(arguments)?;
    Ok((said, began.elapsed()))
}
