//! How long the router takes to start, and to take an edit of a large file while it serves.
//!
//! For the benchmarks of both. Times are taken by a client, so that they hold what the router itself might not notice.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::stub::{self, Manner};
use super::town::{self, SIDES, SIZE, Town};
use super::wire::Wire;

/// The pause between two requests of the probe.
const PROBE: Duration = Duration::from_millis(1);
/// How long an edit may take to be taken.
const PATIENCE: Duration = Duration::from_secs(30);
/// The route that every edit moves, and whose answers tell when it was taken.
const ROUTE: usize = 1;

/// What is measured, how often.
#[derive(Debug, clap::Args)]
pub(super) struct Restless {
    /// The router's program
    #[arg(long, env = "BANYAN")]
    banyan: PathBuf,
    /// Routes in the file
    #[arg(long, default_value_t = 10_000)]
    routes: usize,
    /// Times
    #[arg(long, default_value_t = 5)]
    times: usize,
}

/// A router that is killed when this is dropped.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Restless {
    /// Milliseconds from the start of the process to the first answer, one per time.
    pub(super) fn starts(&self) -> anyhow::Result<Vec<f64>> {
        let (folder, _) = self.prepare()?;
        let mut times = Vec::new();
        for _ in 0..self.times {
            let began = Instant::now();
            let running = self.serve(folder.path())?;
            let mut wire = Wire::new(running.address);
            ensure!(
                wire.get(&town::path(ROUTE, "7"))?.status == 200,
                "the first answer is not 200"
            );
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(times)
    }

    /// Per time: milliseconds from SIGHUP to the first answer by the new config, the longest answer meanwhile, and the
    /// longest in as many probes before it.
    pub(super) fn reloads(&self) -> anyhow::Result<Vec<[f64; 3]>> {
        let (folder, mut text) = self.prepare()?;
        let running = self.serve(folder.path())?;
        let mut wire = Wire::new(running.address);
        let pid = Pid::from_raw(running.child.id().cast_signed()).context("no process")?;
        let file = folder.path().join("banyan.toml");
        let mut seen = Vec::new();
        for time in 1..=self.times {
            let side = time % 2;
            let quiet = probe(&mut wire, Instant::now() + Duration::from_millis(300), None)?;
            text = town::flipped(&text, ROUTE, side).context("the route is not there")?;
            std::fs::write(file.with_extension("new"), &text)?;
            std::fs::rename(file.with_extension("new"), &file)?;
            kill_process(pid, Signal::HUP)?;
            let began = Instant::now();
            let busy = probe(&mut wire, began + PATIENCE, Some(side))?;
            let taken = began.elapsed().as_secs_f64() * 1000.0;
            // What is thrown away afterwards may stall as well.
            let after = probe(&mut wire, Instant::now() + Duration::from_millis(100), None)?;
            seen.push([taken, busy.max(after), quiet]);
        }
        Ok(seen)
    }

    fn prepare(&self) -> anyhow::Result<(tempfile::TempDir, String)> {
        let [monolith, service] = SIDES.map(|name| stub::start(name, SIZE, Manner::Fine));
        let folder = tempfile::tempdir()?;
        let text = Town::new(self.routes).file(1, monolith?, service?);
        std::fs::write(folder.path().join("banyan.toml"), &text)?;
        Ok((folder, text))
    }

    fn serve(&self, folder: &Path) -> anyhow::Result<Running> {
        let mut command = Command::new(&self.banyan);
        command
            .arg("serve")
            .arg("--config")
            .arg(folder.join("banyan.toml"));
        command.env("RUST_LOG", "off").stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let out = child.stdout.take().context("no output")?;
        let mut running = Running {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("router="));
        running.address = address.with_context(|| format!("no port in {line:?}"))?.parse()?;
        Ok(running)
    }
}

/// Asks each millisecond until then, or until that side answers. Gives the longest time, in milliseconds since a request was
/// due.
fn probe(wire: &mut Wire, until: Instant, awaited: Option<usize>) -> anyhow::Result<f64> {
    let path = town::path(ROUTE, "7");
    let mut longest = Duration::ZERO;
    let mut due = Instant::now();
    while due < until {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let answer = wire.get(&path)?;
        ensure!(answer.status == 200, "answered by {}", answer.status);
        longest = longest.max(due.elapsed());
        if awaited.is_some_and(|side| answer.body.starts_with(SIDES[side].as_bytes())) {
            return Ok(longest.as_secs_f64() * 1000.0);
        }
        // What came due during a stall would each tell of the same stall.
        due = (due + PROBE).max(Instant::now());
    }
    ensure!(awaited.is_none(), "the edit is not taken within {PATIENCE:?}");
    Ok(longest.as_secs_f64() * 1000.0)
}
