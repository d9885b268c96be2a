//! What a behaviour trial runs against: one target on one database, with all its processes.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};

use crate::process::Server;
use crate::programs;
use crate::till::{Created, Database, Till, free_port};

/// Who is asked, and who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The monolith alone.
    Monolith,
    /// The monolith with its catalog port on the catalog service.
    MonolithRemoteCatalog,
    /// The catalog service alone; it takes writes.
    Catalog,
    /// The router with every route on the monolith.
    RouterMonolith,
    /// The router with the catalog's reads on the service.
    RouterReads,
    /// The router with half of the catalog's reads on the service.
    RouterCanary,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Monolith,
        Self::MonolithRemoteCatalog,
        Self::Catalog,
        Self::RouterMonolith,
        Self::RouterReads,
        Self::RouterCanary,
    ];

    /// As in the names of trials.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monolith => "monolith",
            Self::MonolithRemoteCatalog => "monolith-remote-catalog",
            Self::Catalog => "catalog",
            Self::RouterMonolith => "router-monolith",
            Self::RouterReads => "router-reads",
            Self::RouterCanary => "router-canary",
        }
    }

    fn has_router(self) -> bool {
        matches!(
            self,
            Self::RouterMonolith | Self::RouterReads | Self::RouterCanary
        )
    }

    /// Whether the service answers, so that it must have what was written to the monolith.
    fn follows(self) -> bool {
        matches!(
            self,
            Self::MonolithRemoteCatalog | Self::RouterReads | Self::RouterCanary
        )
    }

    /// The mode of the catalog's read routes.
    fn mode(self) -> &'static str {
        match self {
            Self::RouterReads => "mode = \"service\"",
            Self::RouterCanary => "mode = \"canary\"\npercent = 50\nsticky = \"header:x-customer\"",
            _ => "mode = \"monolith\"",
        }
    }
}

/// A target on a database, up and running. Dropping it kills its processes and removes their data.
#[derive(Debug)]
pub struct Stage {
    /// What it is.
    pub target: Target,
    /// Where requests go.
    pub url: String,
    /// A staff token.
    pub staff: String,
    /// Operations that were asked for: method and path.
    pub asked: Mutex<BTreeSet<(String, String)>>,
    /// The monolith, which every target has: the catalog service needs its keys at least.
    pub till: Till,
    service_token: String,
    servers: Vec<Server>,
    catalog_data: Created,
    requested: AtomicU64,
    loaded: tokio::sync::Mutex<u64>,
}

impl Stage {
    /// Starts everything that the target needs.
    pub fn open(target: Target, database: &Database) -> anyhow::Result<Self> {
        let catalog = format!("127.0.0.1:{}", free_port()?);
        let mut settings = vec![("MONOLITH_CATALOG__URL".to_owned(), format!("http://{catalog}"))];
        if target == Target::MonolithRemoteCatalog {
            settings.push(("MONOLITH_FLAGS__CATALOG".to_owned(), "remote".to_owned()));
        }
        let till = Till::open_with(database, &settings)?;
        let service_token = token(&till, "service")?;
        let mut stage = Self {
            target,
            url: till.url(),
            staff: till.token.clone(),
            asked: Mutex::default(),
            service_token,
            servers: Vec::new(),
            catalog_data: database.create(till.folder(), "catalog.db")?,
            requested: AtomicU64::new(0),
            loaded: tokio::sync::Mutex::new(0),
            till,
        };
        if target.follows() || target == Target::Catalog {
            stage.serve_catalog(&catalog)?;
        }
        if target.has_router() {
            stage.serve_router(&catalog)?;
        }
        if target == Target::Catalog {
            stage.url = format!("http://{catalog}");
        }
        Ok(stage)
    }

    /// Waits until what was written is seen by whoever answers reads. A load that begins later serves all that wait.
    pub async fn settle(&self) -> anyhow::Result<()> {
        if !self.target.follows() {
            return Ok(());
        }
        let mine = self.requested.fetch_add(1, Ordering::SeqCst) + 1;
        let mut loaded = self.loaded.lock().await;
        if *loaded >= mine {
            return Ok(());
        }
        let upto = self.requested.load(Ordering::SeqCst);
        let mut command = self.catalog();
        command.args(["load", "--from", &self.till.url(), "--token", &self.service_token]);
        let output = tokio::process::Command::from(command).output().await?;
        ensure!(
            output.status.success(),
            "catalog load: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        *loaded = upto;
        Ok(())
    }

    /// The token of a customer whom only the signature vouches for, where there are no accounts to log in to.
    pub fn customer_token(&self) -> anyhow::Result<String> {
        token(&self.till, "customer")
    }

    /// The token of a member of staff with another name.
    pub fn colleague_token(&self) -> anyhow::Result<String> {
        token_for(&self.till, "staff", Some("colleague"))
    }

    /// Remembers that an operation was asked for.
    pub fn note(&self, method: &str, path: &str) {
        let path = path.split('?').next().unwrap_or(path).to_owned();
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((method.to_owned(), path));
    }

    /// What its processes have logged lately.
    pub fn logs(&self) -> String {
        self.servers
            .iter()
            .map(Server::log)
            .chain([self.till.logs()])
            .collect()
    }

    fn serve_catalog(&mut self, listen: &str) -> anyhow::Result<()> {
        let mut command = self.catalog();
        command.args(["serve", "--migrate", "--listen", listen]);
        if self.target == Target::Catalog {
            command.env("CATALOG_WRITES", "accept");
        }
        self.serve(command, "catalog")
    }

    fn serve_router(&mut self, catalog: &str) -> anyhow::Result<()> {
        let read = |name: &str, path: &str| {
            format!(
                "[[modules.catalog.routes]]\nname = \"{name}\"\nmatch = \"GET {path}\"\n{}\n",
                self.target.mode()
            )
        };
        let text = format!(
            "[router]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 2\n\n[upstreams]\nmonolith = \"{}\"\n\
             catalog = \"http://{catalog}\"\n\n[modules.catalog]\nservice = \"catalog\"\n\n{}{}{}",
            self.till.url(),
            read("list-products", "/api/products"),
            read("get-product", "/api/products/{sku}"),
            read("list-categories", "/api/categories"),
        );
        let file = self.till.folder().join("banyan.toml");
        std::fs::write(&file, text)?;
        let mut command = Command::new(programs::path("banyan"));
        command
            .current_dir(self.till.folder())
            .arg("serve")
            .arg("--config")
            .arg(file);
        self.serve(command, "banyan")?;
        let router = self.servers.last().context("the router was started")?;
        self.url = router.url("router").context("the router says where it is")?;
        Ok(())
    }

    fn serve(&mut self, command: Command, name: &str) -> anyhow::Result<()> {
        let log = self.till.folder().join(format!("{name}.log"));
        let server = self.till.runtime.block_on(Server::start(command, &log))?;
        self.servers.push(server);
        Ok(())
    }

    fn catalog(&self) -> Command {
        let mut command = Command::new(programs::path("catalog"));
        command
            .current_dir(self.till.folder())
            .env("CATALOG_DATABASE", self.catalog_data.url())
            .env("RUST_LOG", "info");
        command
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _entered = self.till.runtime.enter();
        self.servers.clear();
    }
}

fn token(till: &Till, role: &str) -> anyhow::Result<String> {
    token_for(till, role, None)
}

fn token_for(till: &Till, role: &str, name: Option<&str>) -> anyhow::Result<String> {
    let mut command = till.command("monolith");
    command.args(["token", "--role", role]);
    command.args(name.iter().flat_map(|name| ["--name", name]));
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "no token: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
