//! Load over a thousand routes, while they are switched, the file is edited, and the router is replaced by a successor.
//!
//! For promise P4, no visible switch: no request fails, and once a switch is acknowledged, not one more is answered by the
//! side that was left. As a bench for a minute, and in the suite for some seconds (`tests/tests/switches.rs`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::sleep;

use super::stub::{self, Manner};
use super::town::{self, SIDES, SIZE, Town};
use super::wire::Wire;
use crate::process::Server;

/// How long anything may take that works.
const PATIENCE: Duration = Duration::from_secs(30);
/// Routes that one edit of the file moves.
const EDITED: usize = 10;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Plan {
    /// The router's program
    #[arg(long, env = "BANYAN")]
    pub banyan: PathBuf,
    /// Seconds
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Routes, in two modules
    #[arg(long, default_value_t = 1000)]
    pub routes: usize,
    /// Connections that are kept and ask without a pause
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Milliseconds that each of them rests between two requests
    #[arg(long, default_value_t = 0)]
    pub pause: u64,
    /// Seconds between two switches
    #[arg(long, default_value_t = 1.0)]
    pub switch_every: f64,
    /// Seconds between two edits of the file
    #[arg(long, default_value_t = 5.0)]
    pub reload_every: f64,
    /// The router's worker threads
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests answered or failed.
    pub requests: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Requests without their answer: none at all, a status other than 200, a wrong body, or the side that was left.
    pub failed: u64,
    /// The first of them, word by word.
    pub failures: Vec<String>,
    /// Switches by command that were acknowledged.
    pub switches: u32,
    /// Edits of the file that were taken.
    pub reloads: u32,
    /// Routers that were replaced.
    pub restarts: u32,
    /// The longest time a client waited for one answer.
    pub longest: Duration,
}

impl Outcome {
    /// It as a line of a report.
    pub fn line(&self) -> String {
        let rate = self.requests as f64 / self.elapsed.as_secs_f64();
        format!(
            "requests {}, {rate:.0}/s, failed {}, switches {}, reloads {}, restarts {}, longest answer {:.1} ms",
            self.requests,
            self.failed,
            self.switches,
            self.reloads,
            self.restarts,
            self.longest.as_secs_f64() * 1000.0
        )
    }
}

/// The router under load, and what steers it.
struct Bench<'a> {
    plan: &'a Plan,
    town: Arc<Town>,
    folder: TempDir,
    server: Server,
    outcome: Outcome,
}

/// Runs it to its end. An error means that it could not be run; what failed under load stands in the outcome.
pub async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    ensure!(plan.routes >= 2 * EDITED, "give at least {} routes", 2 * EDITED);
    let [monolith, service] = [
        stub::start(SIDES[0], SIZE, Manner::Fine)?,
        stub::start(SIDES[1], SIZE, Manner::Fine)?,
    ];
    let town = Arc::new(Town::new(plan.routes));
    let folder = tempfile::tempdir()?;
    let text = town.file(plan.workers, monolith, service);
    std::fs::write(folder.path().join("banyan.toml"), text)?;
    let server = serve(plan, folder.path(), &[]).await?;
    let mut bench = Bench {
        plan,
        town: Arc::clone(&town),
        folder,
        server,
        outcome: Outcome::default(),
    };
    let (address, pause) = (bench.address("router")?, Duration::from_millis(plan.pause));
    let began = Instant::now();
    let clients: Vec<_> = (0..plan.connections)
        .map(|_| {
            let town = Arc::clone(&town);
            std::thread::spawn(move || town.live(address, pause))
        })
        .collect();
    let steered = bench.steer(began).await;
    town.end();
    for client in clients {
        ensure!(client.join().is_ok(), "a client has panicked");
    }
    steered?;
    Ok(Outcome {
        requests: town.requests(),
        elapsed: began.elapsed(),
        failed: town.failed(),
        failures: town.failures(),
        longest: town.longest(),
        ..bench.outcome
    })
}

async fn serve(plan: &Plan, folder: &Path, more: &[&str]) -> anyhow::Result<Server> {
    let mut command = Command::new(&plan.banyan);
    command
        .arg("serve")
        .arg("--config")
        .arg(folder.join("banyan.toml"))
        .args(more);
    command.env("RUST_LOG", "warn");
    Ok(Server::start(command, &folder.join("log")).await?)
}

impl Bench<'_> {
    /// Switches, edits and one restart, each at its time.
    async fn steer(&mut self, began: Instant) -> anyhow::Result<()> {
        let end = Duration::from_secs_f64(self.plan.seconds);
        let (switch_every, reload_every) = (
            Duration::from_secs_f64(self.plan.switch_every),
            Duration::from_secs_f64(self.plan.reload_every),
        );
        let (mut switch_at, mut reload_at, mut restart_at) = (switch_every, reload_every, Some(end / 2));
        while let Some(next) = [Some(switch_at), Some(reload_at), restart_at]
            .into_iter()
            .flatten()
            .min()
            && next < end
        {
            sleep(next.saturating_sub(began.elapsed())).await;
            if restart_at == Some(next) {
                self.restart().await.context("restart")?;
                restart_at = None;
            } else if reload_at == next {
                self.edit().await.context("edit of the file")?;
                reload_at += reload_every;
            } else {
                self.switch().await.context("switch")?;
                switch_at += switch_every;
            }
        }
        sleep(end.saturating_sub(began.elapsed())).await;
        Ok(())
    }

    /// `banyan set`, and at once a request on a new connection.
    async fn switch(&mut self) -> anyhow::Result<()> {
        // Every third is the one before it going back.
        let number = self.outcome.switches as usize;
        let route = 2 * ((number - usize::from(number % 3 == 2)) * 7 % (self.plan.routes / 2));
        let side = 1 - self.town.side(route);
        self.town.begin(route);
        let output = tokio::process::Command::new(&self.plan.banyan)
            .args([
                "set",
                &town::name(route),
                SIDES[side],
                "--force",
                "--reason",
                "load",
                "--config",
            ])
            .arg(self.folder.path().join("banyan.toml"))
            .arg("--admin")
            .arg(self.address("admin")?.to_string())
            .output();
        let output = tokio::time::timeout(PATIENCE, output)
            .await
            .context("`banyan set` does not end")??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`banyan set` has failed: {complaint}");
        self.town.settle(route, side);
        self.ask(route)?;
        self.outcome.switches += 1;
        Ok(())
    }

    /// Moves some routes by an edit of the file and a SIGHUP, and waits until the router says that it serves that.
    async fn edit(&mut self) -> anyhow::Result<()> {
        let first = self.outcome.reloads as usize * EDITED;
        let routes: Vec<usize> = (first..first + EDITED)
            .map(|n| 2 * (n % (self.plan.routes / 2)) + 1)
            .collect();
        let file = self.folder.path().join("banyan.toml");
        let mut text = std::fs::read_to_string(&file)?;
        for route in &routes {
            let side = 1 - self.town.side(*route);
            text = town::flipped(&text, *route, side).with_context(|| format!("no route {route}"))?;
        }
        let sides: Vec<usize> = routes.iter().map(|route| 1 - self.town.side(*route)).collect();
        routes.iter().for_each(|route| self.town.begin(*route));
        // As editors do: readers see the old file or the new one.
        std::fs::write(file.with_extension("new"), &text)?;
        std::fs::rename(file.with_extension("new"), &file)?;
        let pid = self.server.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        kill_process(pid.context("the router has ended")?, Signal::HUP)?;
        self.taken(&hex::encode(Sha256::digest(&text))).await?;
        for (route, side) in routes.iter().zip(sides) {
            self.town.settle(*route, side);
        }
        self.ask(routes[0])?;
        self.outcome.reloads += 1;
        Ok(())
    }

    /// Waits until the config of this hash is served.
    async fn taken(&self, hash: &str) -> anyhow::Result<()> {
        let token = std::fs::read_to_string(self.folder.path().join("banyan-token"))?;
        let url = format!("http://{}/config", self.address("admin")?);
        let client = reqwest::Client::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client
                .get(&url)
                .bearer_auth(token.trim())
                .send()
                .await?
                .error_for_status()?;
            let config: serde_json::Value = answer.json().await?;
            if config["hash"] == hash {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the edit is not taken: {config}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Starts a successor, and waits until the one before it has left.
    async fn restart(&mut self) -> anyhow::Result<()> {
        let successor = serve(self.plan, self.folder.path(), &["--takeover"]).await?;
        ensure!(
            successor.announced() == self.server.announced(),
            "the successor has other ports"
        );
        let mut before = std::mem::replace(&mut self.server, successor);
        let deadline = Instant::now() + PATIENCE;
        while !before.has_ended() {
            ensure!(
                Instant::now() < deadline,
                "the predecessor does not leave\n{}",
                before.log()
            );
            sleep(Duration::from_millis(5)).await;
        }
        self.outcome.restarts += 1;
        Ok(())
    }

    /// The very next request to a route that has just been switched.
    fn ask(&self, route: usize) -> anyhow::Result<()> {
        self.town
            .visit(&mut Wire::new(self.address("router")?), route, "next");
        Ok(())
    }

    fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let url = self.server.url(name).context("the router names no such port")?;
        Ok(url.trim_start_matches("http://").parse()?)
    }
}
