//! A shop, the catalog service and a router, all taking part in hand-overs of the catalog, each with a database of its own.
//!
//! For the trials, which run the router's commands, kill what they like, and look into both databases behind everybody's back.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use banyan_tests::clients::Traffic;
use banyan_tests::process::Server;
use banyan_tests::programs;
use banyan_tests::till::{Created, Database, Till, free_port};
use serde_json::Value;

/// Everything. Dropping it kills all processes and removes their data.
#[derive(Debug)]
pub(super) struct World {
    pub(super) till: Till,
    pub(super) database: Database,
    catalog: Option<Server>,
    router: Option<Server>,
    catalog_data: Created,
    ports: Ports,
    /// What the service's copies are to keep to, from its next start on.
    pub(super) copy_rows_per_s: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    catalog: u16,
    monolith_handover: u16,
    catalog_handover: u16,
    router: u16,
    admin: u16,
}

/// What a command printed, and the code that it ended with.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) complaint: String,
}

/// One of the processes that a trial may kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    Monolith,
    Catalog,
    Router,
}

impl World {
    /// Starts all three. Every route of the catalog is served by whoever holds its data and by nobody in its stead, so that one order of
    /// writes must explain what all clients see.
    pub(super) fn open(database: &Database) -> anyhow::Result<Self> {
        let ports = Ports {
            catalog: free_port()?,
            monolith_handover: free_port()?,
            catalog_handover: free_port()?,
            router: free_port()?,
            admin: free_port()?,
        };
        let till = Till::open_with(database, &monolith_settings(ports))?;
        let catalog_data = database.create(till.folder(), "catalog.db")?;
        let mut world = Self {
            till,
            database: database.clone(),
            catalog: None,
            router: None,
            catalog_data,
            ports,
            copy_rows_per_s: None,
        };
        std::fs::write(world.file(), world.config())?;
        world.start(Process::Catalog)?;
        world.start(Process::Router)?;
        Ok(world)
    }

    /// Starts a process, at the address that it had before.
    pub(super) fn start(&mut self, process: Process) -> anyhow::Result<()> {
        match process {
            Process::Monolith => self.till.start_shop()?,
            Process::Catalog => {
                let mut command = self.catalog();
                command.args([
                    "serve",
                    "--migrate",
                    "--listen",
                    &format!("127.0.0.1:{}", self.ports.catalog),
                ]);
                self.catalog = Some(self.run(command, "catalog")?);
            }
            Process::Router => {
                let mut command = Command::new(programs::path("banyan"));
                command
                    .arg("serve")
                    .arg("--config")
                    .arg(self.file())
                    .env("RUST_LOG", "info");
                self.router = Some(self.run(command, "banyan")?);
            }
        }
        Ok(())
    }

    /// kill -9.
    pub(super) fn kill(&mut self, process: Process) {
        match process {
            Process::Monolith => self.till.kill_shop(),
            Process::Catalog | Process::Router => {
                let _entered = self.till.runtime.enter();
                match process {
                    Process::Catalog => self.catalog = None,
                    _ => self.router = None,
                }
            }
        }
    }

    pub(super) fn run(&self, command: Command, name: &str) -> anyhow::Result<Server> {
        let log = self.till.folder().join(format!("{name}.log"));
        Ok(self.till.runtime.block_on(Server::start(command, &log))?)
    }

    /// Sets so many clients to work, by turns at each of these routers.
    pub(super) fn traffic(
        &self,
        routers: &[&str],
        clients: usize,
        may_fail: bool,
    ) -> anyhow::Result<Traffic> {
        let starting = Traffic::start(routers, &self.till.token, clients, may_fail);
        self.till.runtime.block_on(starting)
    }

    /// Where clients go.
    pub(super) fn router(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.router)
    }

    /// The service, past the router.
    pub(super) fn service(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.catalog)
    }

    /// The database of one side, as programs know it.
    pub(super) fn database_of(&self, process: Process) -> &str {
        match process {
            Process::Catalog => self.catalog_data.url(),
            _ => self.till.database(),
        }
    }

    /// The token of the hand-over.
    pub(super) fn token(&self) -> anyhow::Result<String> {
        let file = self.till.folder().join("handover-token");
        Ok(std::fs::read_to_string(file)?.trim().to_owned())
    }

    /// A side of the protocol.
    pub(super) fn side(&self, process: Process) -> anyhow::Result<handover::client::Side> {
        let (name, port) = match process {
            Process::Catalog => ("catalog", self.ports.catalog_handover),
            _ => ("monolith", self.ports.monolith_handover),
        };
        let url = format!("http://127.0.0.1:{port}");
        Ok(handover::client::Side::new(
            name,
            &url,
            "catalog",
            &self.token()?,
        )?)
    }

    /// Runs a command of the router's to its end.
    pub(super) fn banyan(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(arguments).output()?;
        Ok(Said {
            code: status.code(),
            out: String::from_utf8(stdout)?,
            complaint: String::from_utf8(stderr)?,
        })
    }

    /// Starts a command of the router's, to be killed.
    pub(super) fn spawn(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        Ok(self
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs::path("banyan"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.file())
            .stdin(Stdio::null());
        command
    }

    /// A command that must end well; its JSON.
    pub(super) fn ask(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let said = self.banyan(arguments)?;
        ensure!(said.code == Some(0), "{arguments:?}: {said:?}");
        Ok(serde_json::from_str(&said.out).unwrap_or(Value::Null))
    }

    /// What `doctor` says of the catalog.
    pub(super) fn doctor(&self) -> anyhow::Result<Value> {
        let said = self.banyan(&["doctor", "catalog", "--json"])?;
        let value: Value = serde_json::from_str(&said.out).with_context(|| format!("{said:?}"))?;
        Ok(value["modules"][0].clone())
    }

    /// Whether a pass is between fence and acceptance, as far as a side can be asked.
    pub(super) fn is_moving(&self) -> anyhow::Result<bool> {
        for process in [Process::Monolith, Process::Catalog] {
            let side = self.side(process)?;
            if let Ok(status) = self.till.runtime.block_on(side.status())
                && status.pen.state != handover::wire::State::Held
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until something is so.
    pub(super) fn until<T>(
        &self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            let last = match look() {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => String::new(),
                Err(error) => format!(": {error:#}"),
            };
            ensure!(
                Instant::now() < deadline,
                "not in {patience:?}: {what}{last}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What all of them have logged lately.
    pub(super) fn logs(&self) -> String {
        let servers = [&self.catalog, &self.router];
        let logs = servers.into_iter().flatten().map(Server::log);
        logs.chain([self.till.logs()]).collect()
    }

    /// Changes the router's file, and starts the router anew with it.
    pub(super) fn edit(&mut self, from: &str, to: &str) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(self.file())?;
        ensure!(text.contains(from), "`{from}` is not in the router's file");
        std::fs::write(self.file(), text.replacen(from, to, 1))?;
        self.kill(Process::Router);
        self.start(Process::Router)
    }

    /// The router's file.
    pub(super) fn file(&self) -> PathBuf {
        self.till.folder().join("banyan.toml")
    }

    fn config(&self) -> String {
        let ports = self.ports;
        let route = |name: &str, rule: &str, mode: &str| {
            format!("[[modules.catalog.routes]]\nname = \"{name}\"\nmatch = \"{rule}\"\n{mode}\n\n")
        };
        let routes = [
            route(
                "list-products",
                "GET /api/products",
                "mode = \"by-owner\"\nfallback = false",
            ),
            route(
                "get-product",
                "GET /api/products/{sku}",
                "mode = \"by-owner\"\nfallback = false",
            ),
            route(
                "list-categories",
                "GET /api/categories",
                "mode = \"by-owner\"\nfallback = false",
            ),
            route(
                "create-product",
                "POST /api/products",
                "mode = \"by-owner\"\nfallback = false",
            ),
            route(
                "replace-product",
                "PUT /api/products/{sku}",
                "mode = \"by-owner\"\nfallback = false",
            ),
            route(
                "set-price",
                "PUT /api/products/{sku}/price",
                "mode = \"by-owner\"\nfallback = false",
            ),
            route(
                "delete-product",
                "DELETE /api/products/{sku}",
                "mode = \"by-owner\"\nfallback = false",
            ),
        ];
        format!(
            "[router]\nlisten = \"127.0.0.1:{}\"\nadmin = \"127.0.0.1:{}\"\nworkers = 2\n\n[upstreams]\nmonolith = \"{}\"\n\
             catalog = \"{}\"\n\n[modules.catalog]\nservice = \"catalog\"\n\n[modules.catalog.handover]\n\
             monolith = \"http://127.0.0.1:{}\"\nservice = \"http://127.0.0.1:{}\"\ntoken_file = \"handover-token\"\n\n{}",
            ports.router,
            ports.admin,
            self.till.url(),
            self.service(),
            ports.monolith_handover,
            ports.catalog_handover,
            routes.concat()
        )
    }

    /// A command of the monolith's, with the shop's settings.
    pub(super) fn monolith(&self, arguments: &[&str]) -> Command {
        let mut command = self.till.command("monolith");
        command.args(arguments);
        command
    }

    /// The catalog service's program, with its settings.
    pub(super) fn catalog(&self) -> Command {
        let mut command = Command::new(programs::path("catalog"));
        command
            .current_dir(self.till.folder())
            .env("CATALOG_DATABASE", self.catalog_data.url())
            .env(
                "CATALOG_HANDOVER__LISTEN",
                format!("127.0.0.1:{}", self.ports.catalog_handover),
            )
            .env("CATALOG_HANDOVER__SIDE", "catalog")
            .envs(
                self.copy_rows_per_s
                    .map(|rate| ("CATALOG_HANDOVER__COPY_ROWS_PER_S", rate.to_string())),
            )
            .env("CATALOG_HANDOVER__TOKEN_FILE", "handover-token")
            .env("CATALOG_HANDOVER__MODULES__CATALOG__PEER", "monolith")
            .env(
                "CATALOG_HANDOVER__MODULES__CATALOG__URL",
                format!("http://127.0.0.1:{}", self.ports.monolith_handover),
            )
            .env("RUST_LOG", "info");
        command
    }
}

fn monolith_settings(ports: Ports) -> Vec<(String, String)> {
    let setting = |key: &str, value: String| (format!("MONOLITH_HANDOVER__{key}"), value);
    vec![
        setting("LISTEN", format!("127.0.0.1:{}", ports.monolith_handover)),
        setting("SIDE", "monolith".to_owned()),
        setting("TOKEN_FILE", "handover-token".to_owned()),
        setting("MODULES__CATALOG__PEER", "catalog".to_owned()),
        setting(
            "MODULES__CATALOG__URL",
            format!("http://127.0.0.1:{}", ports.catalog_handover),
        ),
        (
            "MONOLITH_CATALOG__URL".to_owned(),
            format!("http://127.0.0.1:{}", ports.catalog),
        ),
    ]
}

impl Drop for World {
    fn drop(&mut self) {
        let _entered = self.till.runtime.enter();
        (self.router, self.catalog) = (None, None);
    }
}
