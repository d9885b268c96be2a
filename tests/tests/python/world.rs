//! The shop in Python, the catalog service and a router, each with what the others must know of it.
//!
//! For the trials, which write through the router, run its commands, and look into both databases behind everybody's back.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use banyan_tests::process::Server;
use banyan_tests::programs;
use banyan_tests::till::free_port;
use chassis::db::{Db, PoolSettings};
use diesel::connection::SimpleConnection;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Shop,
    Service,
}

impl End {
    /// Its name in the protocol.
    pub(super) fn side(self) -> &'static str {
        match self {
            Self::Shop => "monolith",
            Self::Service => "catalog",
        }
    }
}

/// Everything. Dropping it kills all processes and removes their data.
#[derive(Debug)]
pub(super) struct World {
    pub(super) runtime: Runtime,
    client: reqwest::Client,
    session: String,
    servers: Vec<Server>,
    ports: Ports,
    folder: TempDir,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    shop: u16,
    shop_handover: u16,
    catalog: u16,
    catalog_handover: u16,
    router: u16,
    admin: u16,
}

/// What a command printed, and the code that it ended with.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    #[expect(dead_code, reason = "is shown when a command did not end as it should")]
    complaint: String,
}

/// Whether there is a Python to run the shop with.
pub(super) fn python_is_there() -> bool {
    let mut python = Command::new("python3");
    python
        .args(["-c", "import sqlite3"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

impl World {
    pub(super) fn open() -> anyhow::Result<Self> {
        let ports = Ports {
            shop: free_port()?,
            shop_handover: free_port()?,
            catalog: free_port()?,
            catalog_handover: free_port()?,
            router: free_port()?,
            admin: free_port()?,
        };
        let mut world = Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(30))
                .build()?,
            session: String::new(),
            servers: Vec::new(),
            ports,
            folder: tempfile::tempdir()?,
        };
        // The token is a file that both sides are given, and sessions are signed by a key whose public half the service reads.
        let token = world.file("handover-token");
        std::fs::write(&token, Uuid::new_v4().simple().to_string())?;
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600))?;
        std::fs::write(world.file("banyan.toml"), world.config())?;
        let mut sign = world.program("monolith");
        let output = sign.args(["token", "--role", "staff"]).output()?;
        world.session = String::from_utf8(output.stdout)?.trim().to_owned();
        for (name, command) in [
            ("shop", world.shop()),
            ("catalog", world.catalog()),
            ("banyan", world.router()),
        ] {
            let log = world.file(&format!("{name}.log"));
            let server = world.runtime.block_on(Server::start(command, &log))?;
            world.servers.push(server);
        }
        Ok(world)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(programs::path(name));
        command.current_dir(self.folder.path()).env("RUST_LOG", "info");
        command
    }

    fn shop(&self) -> Command {
        let mut command = Command::new("python3");
        command
            .current_dir(self.folder.path())
            // Not to leave compiled files beside the sources; and to be heard at once.
            .args(["-B", "-u"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/shop.py"))
            .args(["--database", "shop.db", "--token-file", "handover-token"])
            .args(["--listen", &local(self.ports.shop)])
            .args(["--handover", &local(self.ports.shop_handover)])
            .args([
                "--peer-url",
                &format!("http://{}", local(self.ports.catalog_handover)),
            ]);
        command
    }

    fn catalog(&self) -> Command {
        let mut command = self.program("catalog");
        command
            .args(["serve", "--migrate", "--listen", &local(self.ports.catalog)])
            .env("CATALOG_DATABASE", "sqlite:catalog.db")
            .env("CATALOG_HANDOVER__LISTEN", local(self.ports.catalog_handover))
            .env("CATALOG_HANDOVER__SIDE", "catalog")
            .env("CATALOG_HANDOVER__TOKEN_FILE", "handover-token")
            .env("CATALOG_HANDOVER__MODULES__CATALOG__PEER", "monolith")
            .env(
                "CATALOG_HANDOVER__MODULES__CATALOG__URL",
                format!("http://{}", local(self.ports.shop_handover)),
            );
        command
    }

    fn router(&self) -> Command {
        let mut command = self.program("banyan");
        command.arg("serve").arg("--config").arg(self.file("banyan.toml"));
        command
    }

    fn config(&self) -> String {
        let ports = self.ports;
        let route = |name: &str, rule: &str| {
            format!(
                "[[modules.catalog.routes]]\nname = \"{name}\"\nmatch = \"{rule}\"\nmode = \"by-owner\"\n\n"
            )
        };
        let routes = [
            route("list-products", "GET /api/products"),
            route("get-product", "GET /api/products/{sku}"),
            route("create-product", "POST /api/products"),
            route("replace-product", "PUT /api/products/{sku}"),
            route("set-price", "PUT /api/products/{sku}/price"),
            route("delete-product", "DELETE /api/products/{sku}"),
        ];
        format!(
            "[router]\nlisten = \"{}\"\nadmin = \"{}\"\nworkers = 2\n\n[upstreams]\nmonolith = \"http://{}\"\n\
             catalog = \"http://{}\"\n\n[modules.catalog]\nservice = \"catalog\"\n\n[modules.catalog.handover]\n\
             monolith = \"http://{}\"\nservice = \"http://{}\"\ntoken_file = \"handover-token\"\n\n{}",
            local(ports.router),
            local(ports.admin),
            local(ports.shop),
            local(ports.catalog),
            local(ports.shop_handover),
            local(ports.catalog_handover),
            routes.concat()
        )
    }

    /// A side's clients' port, past the router.
    pub(super) fn url(&self, end: End) -> String {
        let port = match end {
            End::Shop => self.ports.shop,
            End::Service => self.ports.catalog,
        };
        format!("http://{}", local(port))
    }

    /// A side of the protocol.
    pub(super) fn side(&self, end: End) -> anyhow::Result<handover::client::Side> {
        let port = match end {
            End::Shop => self.ports.shop_handover,
            End::Service => self.ports.catalog_handover,
        };
        let (url, token) = (
            format!("http://{}", local(port)),
            std::fs::read_to_string(self.file("handover-token"))?,
        );
        Ok(handover::client::Side::new(end.side(), &url, "catalog", &token)?)
    }

    /// A request as staff, to whomever.
    pub(super) fn send_to(
        &self,
        base: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> anyhow::Result<reqwest::Response> {
        let mut request = self
            .client
            .request(method, format!("{base}{path}"))
            .bearer_auth(&self.session);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Ok(self.runtime.block_on(async { request.send().await })?)
    }

    /// Where clients go.
    pub(super) fn front(&self) -> String {
        format!("http://{}", local(self.ports.router))
    }

    pub(super) fn hand_over(&self, to: &str) -> anyhow::Result<()> {
        let said = self.banyan(&["handover", "catalog", "--to", to, "--json"])?;
        let done: Value = serde_json::from_str(&said.out).with_context(|| format!("{said:?}"))?;
        ensure!(done["outcome"] == "moved", "{said:?}");
        Ok(())
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

    /// Starts a command of the router's.
    pub(super) fn spawn(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        let mut command = self.command(arguments);
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs::path("banyan"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.file("banyan.toml"))
            .stdin(Stdio::null());
        command
    }

    /// Runs statements on a side's database, past everybody.
    pub(super) fn execute(&self, end: End, sql: &str) -> anyhow::Result<()> {
        Ok(self.database(end)?.connect()?.batch_execute(sql)?)
    }

    pub(super) fn database(&self, end: End) -> anyhow::Result<Db> {
        let file = match end {
            End::Shop => self.file("shop.db"),
            End::Service => self.file("catalog.db"),
        };
        Ok(Db::open(
            &format!("sqlite:{}", file.display()),
            &PoolSettings::default(),
        )?)
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
            ensure!(Instant::now() < deadline, "not in {patience:?}: {what}{last}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What all of them have logged lately.
    pub(super) fn logs(&self) -> String {
        self.servers.iter().map(Server::log).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.servers.clear();
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
