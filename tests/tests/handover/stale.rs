//! Two routers before the same sides, one of which sleeps through every pass.

use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::ensure;
use banyan_tests::clients::last_reads;
use banyan_tests::history::What;
use banyan_tests::process::Server;
use banyan_tests::programs;
use banyan_tests::till::free_port;
use rustix::process::Signal;

use crate::back::judge;
use crate::world::World;

/// How long the sleeper sleeps at a time, and is awake then. Nearly always it sleeps through a pass; on a busy machine one may take longer
/// than the 20 s for which a client has patience.
const ASLEEP: Duration = Duration::from_secs(15);
const AWAKE: Duration = Duration::from_millis(100);

/// Half of the clients go through a router whose file is of the time before everything, which no coordinator tells anything, and which
/// sleeps while the pen moves: what it believes when it wakes is wrong. Nobody's request fails, there is one order of writes, and everybody
/// reads its own.
pub(crate) fn two_routers(world: &mut World) -> anyhow::Result<()> {
    let (sleeper, stale) = stale_router(world)?;
    let router = world.router();
    let traffic = world.traffic(&[&router, &stale], 16, false)?;
    for to in ["service", "monolith", "service", "monolith"] {
        let done = beside(&sleeper, || {
            world.ask(&["handover", "catalog", "--to", to, "--json"])
        })?;
        ensure!(done["outcome"] == "moved", "{done}");
        std::thread::sleep(Duration::from_secs(1));
    }
    let mut seen = world.till.runtime.block_on(traffic.end())?;
    // What others wrote may be seen later through one than through the other.
    seen.history
        .retain(|operation| !matches!(operation.what, What::Read { .. }));
    let through_both = world.till.runtime.block_on(async {
        let last = [
            last_reads(&world.till.client, &router).await?,
            last_reads(&world.till.client, &stale).await?,
        ];
        Ok::<_, anyhow::Error>(last.map(|reads| {
            reads
                .into_iter()
                .map(|read| (read.sku, read.what))
                .collect::<Vec<_>>()
        }))
    })?;
    ensure!(through_both[0] == through_both[1], "{through_both:?}");
    judge(world, &seen)
}

/// Does something while the sleeper sleeps.
fn beside<T>(sleeper: &Server, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let (over, is_over) = mpsc::channel::<()>();
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            loop {
                sleeper.signal(Signal::STOP);
                let slept = is_over.recv_timeout(ASLEEP);
                sleeper.signal(Signal::CONT);
                if slept == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
                std::thread::sleep(AWAKE);
            }
        });
        let done = work();
        drop(over);
        done
    })
}

/// A second router, and where it is.
fn stale_router(world: &World) -> anyhow::Result<(Server, String)> {
    let folder = world.till.folder().join("stale");
    std::fs::create_dir(&folder)?;
    let port = free_port()?;
    let line = |line: &str| -> String {
        match line.split_once(" = ") {
            Some(("listen", _)) => format!("listen = \"127.0.0.1:{port}\""),
            Some(("admin", _)) => "admin = \"127.0.0.1:0\"".to_owned(),
            Some(("token_file", _)) => "token_file = \"../handover-token\"".to_owned(),
            Some(("mode", _)) => "mode = \"monolith\"".to_owned(),
            _ => line.to_owned(),
        }
    };
    let text = std::fs::read_to_string(world.file())?;
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("fallback"))
        .map(line)
        .collect();
    let file = folder.join("banyan.toml");
    std::fs::write(&file, lines.join("\n"))?;
    let mut command = Command::new(programs::path("banyan"));
    command
        .arg("serve")
        .arg("--config")
        .arg(&file)
        .env("RUST_LOG", "info");
    let server = world.run(command, "stale")?;
    Ok((server, format!("http://127.0.0.1:{port}")))
}
