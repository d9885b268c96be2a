//! A server as a child process: started, awaited until it has bound its ports, and gone when it is dropped.
//!
//! For everything that runs whole programs: the demo, the documentation's chapters, the behaviour suite. Every server of
//! this project says `listening NAME=ADDRESS` on standard output once it can be reached; that line is waited for.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long a server may take to bind its ports, or to finish after it was told to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// What goes wrong with a child process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program cannot be run or spoken to.
    #[error("{program}: {source}")]
    Run {
        /// Which program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It ended or stayed silent where it should have said that it listens.
    #[error("{program} {reason}\n{log}")]
    NotUp {
        /// Which program.
        program: String,
        /// What it did instead.
        reason: &'static str,
        /// The end of its log.
        log: String,
    },
    /// It did not leave in time after it was told to stop.
    #[error("{0} does not stop")]
    Stays(String),
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    program: String,
    child: Child,
    announced: String,
    log: PathBuf,
}

impl Server {
    /// Starts it and waits for its `listening …` line. What it writes to standard error goes into the file `log`.
    ///
    /// It gets a process group of its own: a Ctrl-C in the terminal is then its owner's affair, who stops servers in order.
    pub async fn start(mut command: std::process::Command, log: &Path) -> Result<Self, Error> {
        let path = Path::new(command.get_program());
        let program = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let failed = |source| Error::Run {
            program: program.clone(),
            source,
        };
        let errors = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(failed)?;
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut child = Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let out = child
            .stdout
            .take()
            .ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let mut server = Self {
            program,
            child,
            announced: String::new(),
            log: log.to_owned(),
        };
        let mut lines = BufReader::new(out).lines();
        match timeout(PATIENCE, listening(&mut lines)).await {
            Ok(Ok(Some(line))) => server.announced = line,
            Ok(Ok(None)) => return Err(server.not_up("ended before it listened")),
            Ok(Err(source)) => {
                return Err(Error::Run {
                    program: server.program.clone(),
                    source,
                });
            }
            Err(_) => return Err(server.not_up("does not say that it listens")),
        }
        // Read on, or the server would one day wait for a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(server)
    }

    /// The program's file name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The whole line: `listening router=127.0.0.1:8080 admin=127.0.0.1:8081`.
    pub fn announced(&self) -> &str {
        &self.announced
    }

    /// The address that it announced under a name, as `http://…`.
    pub fn url(&self, name: &str) -> Option<String> {
        let pairs = self
            .announced
            .split_whitespace()
            .filter_map(|word| word.split_once('='));
        let mut named = pairs.filter(|(key, _)| *key == name);
        named.next().map(|(_, address)| format!("http://{address}"))
    }

    /// Its process id, as long as it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it has written to standard error.
    pub fn log(&self) -> String {
        let tail = tail(&self.log);
        if tail.is_empty() {
            return format!("--- {} logged nothing\n", self.program);
        }
        format!("--- {} logged:\n{tail}\n", self.program)
    }

    /// Sends it a signal, as long as it runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may have ended by itself in this moment.
            let _gone = kill_process(pid, signal);
        }
    }

    /// Tells it to stop in order, and waits until it has.
    pub async fn stop(mut self) -> Result<ExitStatus, Error> {
        self.signal(Signal::TERM);
        let program = std::mem::take(&mut self.program);
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(ended) => ended.map_err(|source| Error::Run { program, source }),
            Err(_) => Err(Error::Stays(program)),
        }
    }

    fn not_up(&self, reason: &'static str) -> Error {
        Error::NotUp {
            program: self.program.clone(),
            reason,
            log: self.log(),
        }
    }
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.start_kill().is_err() {
            return;
        }
        // Gone means gone: whoever removes its folder next must not find it writing there.
        for _ in 0..400 {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> io::Result<Option<String>> {
    while let Some(line) = lines.next_line().await? {
        if line.starts_with("listening ") {
            return Ok(Some(line));
        }
    }
    Ok(None)
}
