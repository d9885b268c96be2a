//! Everything that touches the catalog's rows beside its handlers: it is refused where the pen is not, and says what to do instead.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use handover::wire::Copy;
use reqwest::StatusCode;

use crate::world::{Process, World};

const PATIENCE: Duration = Duration::from_secs(15);

/// Goods that are generated go where the pen is.
pub(crate) fn seed(world: &mut World) -> anyhow::Result<()> {
    world.ask(&["handover", "catalog", "--until", "copy", "--json"])?;
    ends(world.monolith(&["seed", "--products", "3"]), None)?;
    world.ask(&["handover", "catalog", "--to", "service", "--json"])?;
    ends(
        world.monolith(&["seed", "--products", "5"]),
        Some("banyan handover catalog --to monolith"),
    )?;
    // Those that are there already need no writing.
    ends(world.monolith(&["seed", "--products", "3"]), None)?;
    world.ask(&["handover", "catalog", "--to", "monolith", "--json"])?;
    ends(world.monolith(&["seed", "--products", "5"]), None)
}

/// A load would undo what the service has written, or fight with the link.
pub(crate) fn load(world: &mut World) -> anyhow::Result<()> {
    for side in ["monolith", "service"] {
        let load = ["load", "--from", &world.till.url(), "--token", "any"].map(str::to_owned);
        let mut command = world.catalog();
        command.args(load);
        ends(command, Some("takes part in a hand-over"))?;
        if side == "monolith" {
            world.ask(&["handover", "catalog", "--to", "service", "--json"])?;
        }
    }
    Ok(())
}

/// Half a copy is not shown, also not by a process that died in the middle of one and has just begun again.
pub(crate) fn half_a_copy(world: &mut World) -> anyhow::Result<()> {
    ends(world.monolith(&["seed", "--products", "20"]), None)?;
    world.kill(Process::Monolith);
    let again = Copy {
        pass: uuid::Uuid::new_v4(),
        again: true,
    };
    let service = world.side(Process::Catalog)?;
    world.till.runtime.block_on(service.copy(&again))?;
    for _ in 0..2 {
        for path in ["/api/products", "/api/products/SEED-0", "/api/categories"] {
            let (status, retry_after) = get(world, path)?;
            ensure!(
                status == StatusCode::SERVICE_UNAVAILABLE && retry_after.is_some(),
                "{path}: {status}, {retry_after:?}"
            );
        }
        world.kill(Process::Catalog);
        world.start(Process::Catalog)?;
    }
    world.start(Process::Monolith)?;
    world.until("the copy is whole and is shown", PATIENCE, || {
        Ok((get(world, "/api/products")?.0 == StatusCode::OK).then_some(()))
    })
}

/// Past the router: it would ask the other side.
fn get(world: &World, path: &str) -> anyhow::Result<(StatusCode, Option<String>)> {
    let request = world.till.client.get(format!("{}{path}", world.service()));
    world.till.runtime.block_on(async {
        let answer = request.send().await?;
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        Ok((answer.status(), retry_after))
    })
}

/// Runs a command to its end: well, or with code 1 and this complaint.
fn ends(mut command: Command, told: Option<&str>) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match told {
        None => ensure!(output.status.success(), "{command:?}: {said}"),
        Some(told) => ensure!(
            output.status.code() == Some(1) && said.contains(told),
            "{command:?} ended with {:?} and without `{told}`: {said}",
            output.status.code()
        ),
    }
    Ok(())
}
