//! The program under test, on ports of its own and with a config of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::Client;
use super::client::Answer;

/// The path of the program.
pub(crate) const BANYAN: &str = env!("CARGO_BIN_EXE_banyan");

/// A running router. It is killed when dropped.
pub(crate) struct Router {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The clients' port with TLS, if the config has one.
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) file: PathBuf,
    process: Child,
    folder: Arc<TempDir>,
}

/// What a command printed, and the code that it ended with.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) complaint: String,
}

/// A config for two upstreams with one module whose routes are given. `router` goes into `[router]`.
pub(crate) fn config(router: &str, monolith: SocketAddr, service: SocketAddr, routes: &str) -> String {
    format!(
        "[router]\nworkers = 2\n{router}\n[upstreams]\nmonolith = \"http://{monolith}\"\ncatalog = \"http://{service}\"\n\
         [modules.catalog]\nservice = \"catalog\"\n{routes}"
    )
}

/// The same config after the service has taken over the data.
pub(crate) fn owned_by_service(config: &str) -> String {
    config.replace(
        "service = \"catalog\"",
        "service = \"catalog\"\nwrites = \"service\"",
    )
}

/// One route.
pub(crate) fn route(name: &str, rule: &str, mode: &str) -> String {
    format!("[[modules.catalog.routes]]\nname = \"{name}\"\nmatch = \"{rule}\"\nmode = {mode}\n")
}

impl Router {
    /// Starts the router with this config and waits until its ports are bound.
    pub(crate) fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("banyan.toml"), config).unwrap();
        let level = std::env::var("RUST_LOG").unwrap_or("off".to_owned());
        Self::start_with(Arc::new(folder), &[], &level, Stdio::inherit())
    }

    /// The same, in a folder that holds more than the config, and writing its log there.
    pub(crate) fn start_logging(folder: TempDir, config: &str, level: &str) -> Self {
        std::fs::write(folder.path().join("banyan.toml"), config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        Self::start_with(Arc::new(folder), &[], level, log.into())
    }

    /// Starts a router with the files that another one has left.
    pub(crate) fn start_again(folder: Arc<TempDir>) -> Self {
        Self::start_with(folder, &[], "off", Stdio::inherit())
    }

    /// Starts a router that takes this one's ports over, and waits until it has them.
    pub(crate) fn successor(&self) -> Self {
        Self::start_with(Arc::clone(&self.folder), &["--takeover"], "off", Stdio::inherit())
    }

    fn start_with(folder: Arc<TempDir>, arguments: &[&str], level: &str, log: Stdio) -> Self {
        let file = folder.path().join("banyan.toml");
        let mut process = Command::new(BANYAN)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--config",
            ])
            .arg(&file)
            .args(arguments)
            .env("RUST_LOG", level)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let find = |key: &str| {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            value.map(|value| value.parse().unwrap())
        };
        let address = |key: &str| find(key).unwrap_or_else(|| panic!("no {key} in {line:?}"));
        let (address, admin, tls) = (address("router="), address("admin="), find("tls="));
        Self {
            address,
            admin,
            tls,
            file,
            process,
            folder,
        }
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.file.parent().unwrap()
    }

    /// A connection to the clients' port.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Replaces the config file as editors do: a new file is moved over the old one.
    pub(crate) fn write(&self, config: &str) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, config).unwrap();
        std::fs::rename(&beside, &self.file).unwrap();
    }

    /// The operators' token.
    pub(crate) fn token(&self) -> String {
        let token = std::fs::read_to_string(self.file.with_file_name("banyan-token")).unwrap();
        token.trim().to_owned()
    }

    /// What the admin port says.
    pub(crate) async fn ask_admin(&self, path: &str) -> (u16, serde_json::Value) {
        let answer = self.operate("GET", path, "").await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    /// What the admin port answers to a JSON body, or to none.
    pub(crate) async fn operate(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut client = Client::connect(self.admin).await;
        let (admin, token, length) = (self.admin, self.token(), body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {token}\r\n");
        let kind = "content-type: application/json";
        client
            .send(format!("{head}{kind}\r\ncontent-length: {length}\r\n\r\n{body}"))
            .await;
        client.answer_to(method == "HEAD").await
    }

    /// What a command says that asks this router. It must not block the test's own upstreams.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Said {
        let (file, admin) = (self.file.to_str().unwrap().to_owned(), self.admin.to_string());
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let ran = tokio::task::spawn_blocking(move || {
            Command::new(BANYAN)
                .args(&arguments)
                .args(["--config", &file, "--admin", &admin])
                .output()
                .unwrap()
        });
        let output = super::soon("a command to end", ran).await.unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            complaint: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What the config file says now.
    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    /// Kills the process as `kill -9` does, and gives the folder with all that it leaves.
    pub(crate) fn kill(mut self) -> Arc<TempDir> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        Arc::clone(&self.folder)
    }

    /// What `banyan why` says about a request, as JSON.
    pub(crate) fn why(&self, arguments: &[&str]) -> serde_json::Value {
        let output = run(&[
            &["why", "--json", "--config", self.file.to_str().unwrap()],
            arguments,
        ]
        .concat());
        assert!(
            output.status.success(),
            "why {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        super::soon("the router to end", async {
            loop {
                if let Some(status) = self.process.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// A figure of `/proc/PID/status` in KiB, such as `VmRSS`.
    pub(crate) fn memory(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The scheduling policy of the thread of this name, as proc_pid_stat(5) numbers it; none if there is no such thread.
    pub(crate) fn policy(&self, thread: &str) -> Option<u32> {
        let mut tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        tasks.find_map(|task| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
            // The 41st field of all; two stand before the brackets' end.
            (name == thread).then(|| fields.split_whitespace().nth(38)?.parse().ok())?
        })
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(BANYAN).args(arguments).output().unwrap()
}
