//! kill -9 of everything, at every step of a pass, there and back.
//!
//! The step at which somebody dies is found by time: a pass is begun and the victim killed a little later each time, from before the fence to
//! after the turn. What must hold does not depend on where it was: within ten seconds of the restart one side accepts writes, or the
//! doctor names the one move, which then works; and nothing is lost.

use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use banyan_tests::clients::Seen;
use banyan_tests::postgres::Server;
use banyan_tests::till::Database;
use handover::wire::{Copied, Copy, Phase};
use serde_json::Value;

use crate::back::judge;
use crate::rows;
use crate::world::{Process, World};

/// Whom to kill.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Coordinator,
    Process(Process),
}

const VICTIMS: [Victim; 4] = [
    Victim::Coordinator,
    Victim::Process(Process::Monolith),
    Victim::Process(Process::Catalog),
    Victim::Process(Process::Router),
];

/// When, after the pass has begun to hold writes, in milliseconds; more with `BANYAN_KILLS`.
const MOMENTS: [u64; 3] = [0, 15, 60];

/// Kills each of them at several moments of a pass to the service and of one back.
pub(crate) fn everywhere(world: &mut World) -> anyhow::Result<()> {
    let moments: Vec<u64> = match std::env::var("BANYAN_KILLS") {
        Ok(many) => (0..many.parse().context("BANYAN_KILLS is a number")?)
            .map(|n| n * 5)
            .collect(),
        Err(_) => MOMENTS.to_vec(),
    };
    under_traffic(world, |world| {
        for victim in VICTIMS {
            for moment in &moments {
                let to = next(world)?;
                one(world, victim, *moment, to)
                    .with_context(|| format!("{victim:?} killed {moment} ms into a pass to the {to}"))?;
            }
        }
        Ok(())
    })
}

/// Does something while clients never rest, after the service has begun to follow, and looks at everything afterwards.
fn under_traffic(
    world: &mut World,
    work: impl FnOnce(&mut World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let traffic = world.traffic(&[&world.router()], 8, true)?;
    world.ask(&["handover", "catalog", "--until", "copy", "--json"])?;
    work(world)?;
    let seen = world.till.runtime.block_on(traffic.end())?;
    // What was left unanswered may have been done or not; the history knows that, the own products do not.
    let judged = Seen {
        own: Vec::new(),
        ..seen
    };
    judge(world, &judged)
}

/// Kills the database server under both sides at several moments of passes there and back.
pub(crate) fn database_server() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let mut world = World::open(&Database::Postgres(Some(server.url())))?;
    let killed = under_traffic(&mut world, |world| {
        for moment in MOMENTS.into_iter().chain(MOMENTS) {
            let to = next(world)?;
            let coordinator = begin(world, to)?;
            std::thread::sleep(Duration::from_millis(moment));
            server.kill();
            ensure!(!server.answers(), "the server is still there");
            server.again()?;
            end(world, coordinator)
                .with_context(|| format!("the server killed {moment} ms into a pass to the {to}"))?;
        }
        Ok(())
    });
    killed.map_err(|error| anyhow::anyhow!("{error:#}\n{}", world.logs()))
}

/// Kills the database server in the middle of a copy, whose chunks need not be on disk when the next one is asked for.
pub(crate) fn database_server_in_a_copy() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let mut world = World::open(&Database::Postgres(Some(server.url())))?;
    let seeded = world.monolith(&["seed", "--products", "6000"]).output()?;
    ensure!(
        seeded.status.success(),
        "{}",
        String::from_utf8_lossy(&seeded.stderr)
    );
    world.kill(Process::Catalog);
    world.copy_rows_per_s = Some(4000);
    world.start(Process::Catalog)?;
    let killed = in_a_copy(&world, &mut server);
    killed.map_err(|error| anyhow::anyhow!("{error:#}\n{}", world.logs()))
}

fn in_a_copy(world: &World, server: &mut Server) -> anyhow::Result<()> {
    let service = world.side(Process::Catalog)?;
    let follow = || Ok::<_, anyhow::Error>(world.till.runtime.block_on(service.status())?.follow);
    let again = Copy {
        pass: uuid::Uuid::new_v4(),
        again: true,
    };
    world.till.runtime.block_on(service.copy(&again))?;
    for rows in [1000, 4000, 8000] {
        let phase = world.until("some of it is copied", Duration::from_secs(30), || {
            // While connections are renewed there may be no answer.
            let found = follow().ok().flatten();
            let is_far = |copied: &Copied| copied.rows > rows;
            Ok(found
                .filter(|found| found.phase != Phase::Copying || found.copied.as_ref().is_some_and(is_far))
                .map(|found| found.phase))
        })?;
        ensure!(phase == Phase::Copying, "the copy was over too early");
        server.kill();
        server.again()?;
    }
    world.until("the copy is whole", Duration::from_secs(60), || {
        let is_whole =
            follow().is_ok_and(|follow| follow.is_some_and(|follow| follow.phase == Phase::Following));
        Ok(is_whole.then_some(()))
    })?;
    let (compared, differences) = rows::compare(world)?;
    ensure!(compared > 12_000, "{compared} rows were compared");
    ensure!(differences.is_empty(), "{differences:?}");
    Ok(())
}

/// Where the next pass goes, once one side writes.
fn next(world: &World) -> anyhow::Result<&'static str> {
    world.until("one side writes", Duration::from_secs(10), || {
        let found = world.doctor()?;
        let is_settled = found["next"]["move"] == "none" || found["next"]["move"] == "turn";
        let to = match found["writes"].as_str() {
            Some("monolith") => Some("service"),
            Some(_) => Some("monolith"),
            None => None,
        };
        Ok(to.filter(|_| is_settled))
    })
}

/// Begins a pass, and waits until it is on its way or has given up.
fn begin(world: &World, to: &str) -> anyhow::Result<Child> {
    let mut coordinator = world.spawn(&["handover", "catalog", "--to", to])?;
    // The fence is what makes the rest urgent; the moments are counted from there, or from where the pass gave up.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) && coordinator.try_wait()?.is_none() {
        if world.is_moving()? {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(coordinator)
}

fn one(world: &mut World, victim: Victim, moment: u64, to: &str) -> anyhow::Result<()> {
    let mut coordinator = begin(world, to)?;
    std::thread::sleep(Duration::from_millis(moment));
    match victim {
        Victim::Coordinator => coordinator.kill()?,
        Victim::Process(process) => {
            world.kill(process);
            std::thread::sleep(Duration::from_millis(200));
            world.start(process)?;
        }
    }
    end(world, coordinator)
}

fn end(world: &World, mut coordinator: Child) -> anyhow::Result<()> {
    // A coordinator that lives on gets its chance to end the pass; then it must go.
    let until = Instant::now() + Duration::from_secs(15);
    while coordinator.try_wait()?.is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _gone = coordinator.kill();
    coordinator.wait()?;
    settled(world)
}

/// Within ten seconds one side accepts writes, or the move that the doctor names makes it so.
fn settled(world: &World) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut last = Value::Null;
    while began.elapsed() < Duration::from_secs(10) {
        last = world.doctor().unwrap_or(last);
        if last["writes"].is_string() {
            return Ok(());
        }
        if let Some(command) = last["next"]["command"]
            .as_str()
            .filter(|command| command.starts_with("banyan handover"))
        {
            let words: Vec<&str> = command
                .split("   ")
                .next()
                .unwrap_or_default()
                .split(' ')
                .skip(1)
                .collect();
            world.banyan(&words)?;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    ensure!(
        last["writes"].is_string(),
        "nobody writes after 10 s: {last}\n{}",
        world.logs()
    );
    Ok(())
}
