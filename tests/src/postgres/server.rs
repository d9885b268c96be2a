//! A PostgreSQL server of one's own, to be killed.
//!
//! From Debian's packages, whose programs lie in a folder for each version. PostgreSQL refuses to run as root, so there it runs as the user
//! that its package made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel::{Connection, PgConnection};
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::till::free_port;

/// How long it may take to start, which includes mending what a kill has left.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// `runuser`, or the server itself.
    started: Option<Child>,
}

/// The programs of the newest server that is installed.
pub fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let newest = versions.flatten().filter_map(version).max()?;
    let programs = PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"));
    programs.join("postgres").is_file().then_some(programs)
}

impl Server {
    /// Starts one with an empty cluster.
    pub fn start() -> anyhow::Result<Self> {
        let mut server = Self {
            programs: programs().context("no PostgreSQL server is installed")?,
            folder: tempfile::tempdir()?,
            port: free_port()?,
            started: None,
        };
        if getuid().is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(server.folder.path())
                .status()?;
            ensure!(owned.success(), "there is no user `postgres`");
        }
        let made = server
            .program("initdb")
            .arg("--pgdata")
            .arg(server.data())
            .args([
                "--username",
                "postgres",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ])
            .output()?;
        ensure!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        server.again()?;
        Ok(server)
    }

    /// Starts it where it was killed, and waits until it answers.
    pub fn again(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            ensure!(
                Instant::now() < deadline,
                "the server does not answer: {}",
                self.log()
            );
            // It does not start as long as a process of the one before is there.
            if !self.is_started()? {
                self.launch()?;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// A database on it that one can connect to.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Whether it takes connections.
    pub fn answers(&self) -> bool {
        PgConnection::establish(&self.url()).is_ok()
    }

    /// kill -9 of the server and of all its processes.
    pub fn kill(&mut self) {
        if let Some(server) = self.process() {
            let children = children(server);
            for pid in std::iter::once(server).chain(children) {
                if let Some(pid) = Pid::from_raw(pid) {
                    let _gone = kill_process(pid, Signal::KILL);
                }
            }
        }
        if let Some(mut started) = self.started.take() {
            let _gone = started.kill().and_then(|()| started.wait());
        }
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        // What is killed here are processes and not the machine, so nothing needs to come to the disk. But a kill ends a write of a page
        // between two of the kernel's pages, so whole pages must be in the log.
        let settings = ["fsync=off", "max_connections=200", "listen_addresses=127.0.0.1"];
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let mut command = self.program("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .arg("-k")
            .arg(self.folder.path());
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.started = Some(command.spawn()?);
        Ok(())
    }

    fn is_started(&mut self) -> anyhow::Result<bool> {
        Ok(match &mut self.started {
            Some(started) => started.try_wait()?.is_none(),
            None => false,
        })
    }

    /// Its process, as it says it itself.
    fn process(&self) -> Option<i32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !getuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        // A folder that the server's user may be in.
        command
            .current_dir("/")
            .args(["-u", "postgres", "--"])
            .arg(program);
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The children of a process.
fn children(parent: i32) -> Vec<i32> {
    let is_child = |path: &Path| -> Option<i32> {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // The name in brackets may hold anything; the parent comes second behind it.
        let of: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (of == parent).then(|| path.file_name()?.to_str()?.parse().ok())?
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| is_child(&entry.path())).collect()
}
