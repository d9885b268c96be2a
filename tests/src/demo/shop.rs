//! The servers of the demo, their folder and their databases: put up in order, stopped in reverse.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use tempfile::TempDir;

use super::database::Databases;
use super::routing::{self, Addresses, Mode};
use super::screen::say;
use crate::process::Server;
use crate::programs;

/// Products in a generated shop.
const PRODUCTS: u32 = 3000;
/// Of each, so many in stock.
const STOCK: u32 = 50;
/// The settings of the two.
const MONOLITH: &str = "monolith.toml";
const CATALOG: &str = "catalog.toml";
/// What the payment provider signs its webhooks with.
const WEBHOOK_SECRET: &str = "whsec-of-the-demo";

/// What moves in the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moves {
    /// Two routes that read; the service has loaded a copy of the data.
    Routes,
    /// The catalog's data, and with it every route. The service begins with nothing.
    Data,
}

/// The shop. Its servers stop before its databases and its folder go.
#[derive(Debug)]
pub(super) struct Shop {
    /// In the order in which they were started.
    pub(super) servers: Vec<Server>,
    pub(super) addresses: Addresses,
    pub(super) client: reqwest::Client,
    moves: Moves,
    databases: Databases,
    folder: TempDir,
}

impl Shop {
    /// Makes the folder and the databases, and finds the ports.
    pub(super) fn prepare(server: Option<&str>, moves: Moves) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("banyan-demo-").tempdir()?;
        let databases = match server {
            Some(url) => Databases::create(url)?,
            None => Databases::files(folder.path()),
        };
        let mut places = [8080, 8081, 8100, 8101, 8109, 8102, 8103].map(place).into_iter();
        let mut next = || places.next().context("no place")?.context("no port is free");
        let addresses = Addresses {
            router: next()?,
            admin: next()?,
            monolith: next()?,
            catalog: next()?,
            psp: next()?,
            pens: [next()?, next()?],
        };
        Ok(Self {
            servers: Vec::new(),
            addresses,
            client: reqwest::Client::builder().no_proxy().build()?,
            moves,
            databases,
            folder,
        })
    }

    /// Starts everything, with the books in `data` or a generated shop.
    pub(super) async fn open(&mut self, data: Option<&Path>) -> anyhow::Result<()> {
        self.write_settings()?;
        self.serve_psp().await?;
        self.run("monolith", &["migrate", "--config", MONOLITH]).await?;
        match data {
            Some(books) => self.import(books).await?,
            None => self.generate().await?,
        }
        let mut serve = vec!["serve", "--config", MONOLITH];
        if self.moves == Moves::Routes {
            serve.extend(["--flags", "banyan.toml"]);
        }
        self.serve("monolith", &serve).await?;
        self.save_token("service").await?;
        self.save_token("staff").await?;
        // Where the data moves, copying it is part of the show.
        if self.moves == Moves::Routes {
            self.load_catalog().await?;
        }
        let serve = ["serve", "--migrate", "--config", CATALOG];
        self.serve("catalog", &serve).await?;
        self.serve("banyan", &["serve", "--config", "banyan.toml"]).await
    }

    async fn serve_psp(&mut self) -> anyhow::Result<()> {
        let listen = self.addresses.psp.clone();
        let webhooks = format!("http://{}/webhooks/psp", self.addresses.monolith);
        let mut args = vec!["--listen", &listen, "--database", "sqlite:psp.db"];
        args.extend(["--webhook-url", &webhooks, "--webhook-secret", WEBHOOK_SECRET]);
        self.serve("psp-simulator", &args).await
    }

    async fn import(&self, books: &Path) -> anyhow::Result<()> {
        let books = books
            .canonicalize()
            .with_context(|| books.display().to_string())?;
        let books = books.display().to_string();
        say(&format!("Importing {books} …"));
        let mut args = vec!["import", "online-retail", &books];
        args.extend(["--config", MONOLITH, "--rejects", "rejects.csv"]);
        self.run("monolith", &args).await
    }

    async fn generate(&self) -> anyhow::Result<()> {
        say(&format!("Generating a shop of {PRODUCTS} products …"));
        let (products, stock) = (PRODUCTS.to_string(), STOCK.to_string());
        let mut args = vec!["seed", "--products", &products, "--stock", &stock];
        args.extend(["--config", MONOLITH]);
        self.run("monolith", &args).await
    }

    async fn load_catalog(&self) -> anyhow::Result<()> {
        let from = format!("http://{}", self.addresses.monolith);
        let mut args = vec!["load", "--migrate", "--config", CATALOG];
        args.extend(["--from", &from, "--token", "@service.token"]);
        self.run("catalog", &args).await
    }

    /// The router's file.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("banyan.toml")
    }

    /// The folder that everything lies in.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A token saved at the start, for `staff` or `service`.
    pub(super) fn token(&self, role: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join(format!("{role}.token"));
        Ok(std::fs::read_to_string(path)?.trim().to_owned())
    }

    /// The token of the router's admin port, which the router has made at its start.
    pub(super) fn operators_token(&self) -> anyhow::Result<String> {
        let path = self.folder.path().join("banyan-token");
        Ok(std::fs::read_to_string(path)?.trim().to_owned())
    }

    /// Moves both routes and gives the time from writing the file until the router goes by it.
    pub(super) async fn switch(&self, mode: Mode) -> anyhow::Result<std::time::Duration> {
        let before = routing::InForce::ask(self).await?;
        let text = routing::file(&self.addresses, mode);
        if std::fs::read_to_string(self.config())? == text && before.is_current {
            return Ok(std::time::Duration::ZERO);
        }
        let began = std::time::Instant::now();
        routing::write(&self.config(), &text)?;
        let taken = |now: &routing::InForce| now.is_current && now.hash != before.hash;
        routing::InForce::until(self, taken).await?;
        Ok(began.elapsed())
    }

    /// Stops the servers, the one started last first: the router goes before what it sends to.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        while let Some(server) = self.servers.pop() {
            let program = server.program().to_owned();
            let status = server.stop().await?;
            anyhow::ensure!(status.success(), "{program} left with {status}");
        }
        Ok(())
    }

    /// Removes databases and folder, or gives the folder's name if it is to be kept.
    pub(super) fn clear(self, keep: bool) -> anyhow::Result<Option<PathBuf>> {
        drop(self.servers);
        drop(self.databases);
        if keep {
            return Ok(Some(self.folder.keep()));
        }
        self.folder.close()?;
        Ok(None)
    }

    fn write_settings(&self) -> anyhow::Result<()> {
        let at = &self.addresses;
        let monolith = format!(
            "listen = \"{}\"\ndatabase = \"{}\"\n\n[auth]\nkey_file = \"session-key.pem\"\n\n\
             [psp]\nurl = \"http://{}\"\nwebhook_secret = \"{WEBHOOK_SECRET}\"\n\n\
             [notifications]\nsink = \"file:outbox.jsonl\"\n\n[catalog]\nurl = \"http://{}\"\n",
            at.monolith, self.databases.shop, at.psp, at.catalog
        );
        let catalog = format!(
            "listen = \"{}\"\ndatabase = \"{}\"\n\n[auth]\npublic_key_file = \"session-key.pem.pub\"\n",
            at.catalog, self.databases.catalog
        );
        let (mut sections, mut router) = ([String::new(), String::new()], routing::file(at, Mode::Monolith));
        if self.moves == Moves::Data {
            let [shop, service] = &at.pens;
            sections = [
                section("monolith", shop, "catalog", service),
                section("catalog", service, "monolith", shop),
            ];
            router = routing::by_owner(at);
        }
        let folder = self.folder.path();
        std::fs::write(folder.join(MONOLITH), monolith + &sections[0])?;
        std::fs::write(folder.join(CATALOG), catalog + &sections[1])?;
        std::fs::write(self.config(), router)?;
        Ok(())
    }

    async fn serve(&mut self, program: &str, args: &[&str]) -> anyhow::Result<()> {
        let mut command = self.command(program);
        command.args(args);
        let log = self.folder.path().join(format!("{program}.log"));
        self.servers.push(Server::start(command, &log).await?);
        Ok(())
    }

    /// Runs a program to its end; its progress bar, if it has one, is shown.
    async fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<()> {
        let mut command = tokio::process::Command::from(self.command(program));
        // What it logs is of interest only when it fails, and then it says so.
        let status = command
            .args(args)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .status();
        let status = status.await.with_context(|| program.to_owned())?;
        anyhow::ensure!(status.success(), "`{program} {}` failed", args.join(" "));
        Ok(())
    }

    async fn save_token(&self, role: &str) -> anyhow::Result<()> {
        let mut command = tokio::process::Command::from(self.command("monolith"));
        command
            .args([
                "token",
                "--role",
                role,
                "--ttl",
                "86400",
                "--config",
                "monolith.toml",
            ])
            .kill_on_drop(true);
        let output = command.output().await?;
        anyhow::ensure!(
            output.status.success(),
            "no token for {role}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::write(self.folder.path().join(format!("{role}.token")), output.stdout)?;
        Ok(())
    }

    /// The databases of the two sides, as programs know them: the monolith's and the service's.
    pub(super) fn both_databases(&self) -> [String; 2] {
        [self.databases.shop.clone(), self.databases.catalog.clone()]
    }

    /// The two sides of the hand-over, as any coordinator asks them.
    pub(super) fn sides(&self) -> anyhow::Result<[handover::client::Side; 2]> {
        let token = std::fs::read_to_string(self.folder.path().join(routing::HANDOVER_TOKEN))?;
        let side = |name: &str, address: &str| {
            let url = format!("http://{address}");
            handover::client::Side::new(name, &url, "catalog", token.trim())
        };
        let [monolith, service] = &self.addresses.pens;
        Ok([side("monolith", monolith)?, side("catalog", service)?])
    }

    /// A program in the folder. What the caller's environment says to our programs is not meant for the demo's.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs::path(program));
        command.current_dir(self.folder.path());
        let ours = ["MONOLITH_", "CATALOG_", "BANYAN_", "PSP_"];
        for (name, _) in std::env::vars_os() {
            if ours
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        command
    }
}

/// What a side's settings say of the hand-over.
fn section(side: &str, listen: &str, peer: &str, url: &str) -> String {
    format!(
        "\n[handover]\nlisten = \"{listen}\"\nside = \"{side}\"\ntoken_file = \"{}\"\n\n\
         [handover.modules.catalog]\npeer = \"{peer}\"\nurl = \"http://{url}\"\n",
        routing::HANDOVER_TOKEN
    )
}

/// An address with this port if it is free, else with any.
fn place(port: u16) -> Option<String> {
    let bind = |port| TcpListener::bind(("127.0.0.1", port));
    let listener = bind(port).or_else(|_| bind(0)).ok()?;
    Some(listener.local_addr().ok()?.to_string())
}
