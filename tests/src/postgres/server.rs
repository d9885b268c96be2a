//! A PostgreSQL server of one's own, to be killed.
//!
//! From Debian's packages, whose programs lie in a folder for each version. PostgreSQL refuses to run as root, so there it runs as the user
//! that its package made. It is a child of this process and of no `runuser` between: a server that was killed counts as running until its
//! parent has taken notice, and the parent of orphans may take its time.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel::{Connection, PgConnection};
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::process::tail;
use crate::till::free_port;

/// How long it may take to start, which includes mending what a kill has left.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// Whom it runs as, if not as this process does.
    user: Option<(u32, u32)>,
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
        let user = getuid().is_root().then(server_user).transpose()?;
        let mut server = Self {
            programs: programs().context("no PostgreSQL server is installed")?,
            folder: tempfile::tempdir()?,
            port: free_port()?,
            user,
            started: None,
        };
        if let Some((user, group)) = server.user {
            std::os::unix::fs::chown(server.folder.path(), Some(user), Some(group))?;
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
        self.started = Some(self.launch()?);
        while !self.answers() {
            let ended = self.started.as_mut().map(Child::try_wait).transpose()?.flatten();
            ensure!(
                ended.is_none() && Instant::now() < deadline,
                "the server does not answer ({ended:?}): {}",
                tail(&self.log_file())
            );
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
        PgConnection::establish(&format!("{}?connect_timeout=2", self.url())).is_ok()
    }

    /// kill -9 of the server and of all its processes. None of them is left when this returns.
    pub fn kill(&mut self) {
        let Some(mut started) = self.started.take() else {
            return;
        };
        let (server, deadline) = (started.id().cast_signed(), Instant::now() + PATIENCE);
        let wait_while = |so: &dyn Fn() -> bool| {
            while so() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        // It makes no more of them while they are counted.
        signal(server, Signal::STOP);
        wait_while(&|| state(server).is_some_and(|state| !"TZ".contains(state)));
        let children = children(server);
        for pid in children.iter().copied().chain([server]) {
            signal(pid, Signal::KILL);
        }
        let _ended = started.wait();
        // One that has ended holds nothing any more, though its new parent may not have taken notice.
        let runs = |pid: &i32| state(*pid).is_some_and(|state| state != 'Z');
        wait_while(&|| children.iter().any(runs));
    }

    fn launch(&self) -> anyhow::Result<Child> {
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
        Ok(command.spawn()?)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if let Some((user, group)) = self.user {
            // A folder that the server's user may be in.
            command.current_dir("/").uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The numbers of the user that PostgreSQL's package made, and of its group.
fn server_user() -> anyhow::Result<(u32, u32)> {
    let number = |which: &str| -> anyhow::Result<u32> {
        let said = Command::new("id").args([which, "postgres"]).output()?;
        ensure!(said.status.success(), "there is no user `postgres`");
        Ok(String::from_utf8(said.stdout)?.trim().parse()?)
    };
    Ok((number("-u")?, number("-g")?))
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself in this moment.
        let _gone = kill_process(pid, signal);
    }
}

/// What the kernel says of a process: its state and its parent.
fn stat(process: &Path) -> Option<(char, i32)> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // The name in brackets may hold anything; the two come behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn state(pid: i32) -> Option<char> {
    stat(&PathBuf::from(format!("/proc/{pid}"))).map(|(state, _)| state)
}

/// The children of a process.
fn children(parent: i32) -> Vec<i32> {
    let is_child = |path: &Path| -> Option<i32> {
        let (_, of) = stat(path)?;
        (of == parent).then(|| path.file_name()?.to_str()?.parse().ok())?
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| is_child(&entry.path())).collect()
}
