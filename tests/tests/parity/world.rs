//! A shop with the real books, the catalog service with the same products, and a router that compares the two.
//!
//! For the trials, which put the service wrong before it is started, and ask the router's command line afterwards.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use banyan_tests::process::Server;
use banyan_tests::programs;
use banyan_tests::till::{Database, Till};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

/// Requests under way at the same time.
const AT_ONCE: usize = 16;
/// How long everything that was copied may take to be compared.
const PATIENCE: Duration = Duration::from_secs(180);

/// The shop, the service and the router. Dropping it kills them and removes their data.
#[derive(Debug)]
pub(super) struct World {
    pub(super) till: Till,
    catalog: Option<Server>,
    router: Option<Server>,
}

/// What a command of the router printed, and the code that it ended with.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) complaint: String,
}

impl World {
    /// A shop that has imported the books, and a catalog database that has loaded the shop's products.
    pub(super) fn open(books: &Path) -> anyhow::Result<Self> {
        let world = Self {
            till: Till::open(&Database::Sqlite)?,
            catalog: None,
            router: None,
        };
        let mut import = world.till.command("monolith");
        done(import.args(["import", "online-retail"]).arg(books))?;
        let token = done(
            world
                .till
                .command("monolith")
                .args(["token", "--role", "service"]),
        )?;
        let mut load = world.catalog();
        done(load.args([
            "load",
            "--migrate",
            "--from",
            &world.till.url(),
            "--token",
            token.trim(),
        ]))?;
        Ok(world)
    }

    /// The service's own database.
    pub(super) fn catalog_data(&self) -> std::path::PathBuf {
        self.till.folder().join("catalog.db")
    }

    /// Starts the service, and gives its URL.
    pub(super) fn serve_catalog(&mut self) -> anyhow::Result<String> {
        let mut command = self.catalog();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let log = self.till.folder().join("catalog.log");
        let server = self.till.runtime.block_on(Server::start(command, &log))?;
        let url = server.url("catalog").context("the service says where it is")?;
        self.catalog = Some(server);
        Ok(url)
    }

    /// Starts the router, with every read of the catalog in shadow. What is asked of evidence is what is asked by default,
    /// but for the time that it takes: ten minutes are long for a test, and whether a debug build beside a compiler is as
    /// fast as another is not the question here. The queue holds everything that is asked at once, and half of the copies
    /// under way may be asked again, so that each wrong answer is counted and none is dropped for want of a place.
    pub(super) fn serve_router(&mut self, monolith: &str, catalog: &str, more: &str) -> anyhow::Result<()> {
        let read = |name: &str, path: &str| {
            format!(
                "[[modules.catalog.routes]]\nname = \"{name}\"\nmatch = \"GET {path}\"\nmode = \"shadow\"\nsample = 100\n\n"
            )
        };
        let text = format!(
            "[router]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 2\n\n[certificate]\nmin_span = \"200ms\"\n\
             latency_slack = \"5s\"\n\n[shadow]\nqueue = 10000\nconcurrency = 32\nrecheck_after = \"100ms\"\n{more}\n[upstreams]\n\
             monolith = \"{monolith}\"\ncatalog = \"{catalog}\"\n\n[modules.catalog]\nservice = \"catalog\"\n\n{}{}{}",
            read("list-products", "/api/products"),
            read("get-product", "/api/products/{sku}"),
            read("list-categories", "/api/categories"),
        );
        std::fs::write(self.file(), text)?;
        let mut command = Command::new(programs::path("banyan"));
        command
            .arg("serve")
            .arg("--config")
            .arg(self.file())
            .env("RUST_LOG", "info");
        let log = self.till.folder().join("banyan.log");
        self.router = Some(self.till.runtime.block_on(Server::start(command, &log))?);
        Ok(())
    }

    /// The router's config file as it is now.
    pub(super) fn config(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.file())?)
    }

    /// Every SKU, in the order of the shop's own list.
    pub(super) fn skus(&self) -> anyhow::Result<Vec<String>> {
        let shop = self.till.url();
        let pages = self.till.runtime.block_on(self.listed(&shop))?;
        Ok(pages.concat())
    }

    /// Asks the router for every page of the list of products; the SKUs on each page.
    pub(super) fn pages(&self) -> anyhow::Result<Vec<Vec<String>>> {
        let router = self.url("router")?;
        self.till.runtime.block_on(self.listed(&router))
    }

    async fn listed(&self, base: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("limit=100{cursor}");
            let page = self.ask(base, &["api", "products"], Some(&query)).await?;
            let items = page["items"].as_array().context("a page has items")?;
            let skus = items
                .iter()
                .filter_map(|item| item["sku"].as_str().map(str::to_owned));
            pages.push(skus.collect());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(pages),
            }
        }
    }

    /// Asks the router for every one of these products, some at a time, and waits until all copies are accounted for.
    pub(super) fn ask_for(&self, skus: &[String]) -> anyhow::Result<()> {
        let router = &self.url("router")?;
        let asking = stream::iter(skus)
            .map(|sku| async move {
                let product = self.ask(router, &["api", "products", sku], None).await?;
                ensure!(product["sku"] == *sku.as_str(), "{sku}: {product}");
                Ok(())
            })
            .buffer_unordered(AT_ONCE);
        self.till.runtime.block_on(asking.try_collect::<()>())?;
        self.accounted("get-product", skus.len())?;
        Ok(())
    }

    /// Waits until so many copies of a route are accounted for, and gives the evidence.
    pub(super) fn accounted(&self, route: &str, copies: usize) -> anyhow::Result<Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            let evidence = self.evidence(route)?;
            let known = &evidence["comparisons"];
            let keys = ["agreed", "differed", "lagged", "incomparable", "drops"];
            let all: u64 = keys.iter().map(|key| sum(&known[*key])).sum();
            // Workers tell once a second what they have counted.
            if all >= copies as u64 && evidence["monolith"]["answers"].as_u64() >= Some(copies as u64) {
                return Ok(evidence);
            }
            ensure!(
                Instant::now() < until,
                "{all} of {copies} copies of {route} are accounted for: {known}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is known of a route, through the command line.
    fn evidence(&self, route: &str) -> anyhow::Result<Value> {
        let (admin, path) = (self.url("admin")?, format!("/routes/{route}/evidence"));
        let token = format!("@{}", self.till.folder().join("banyan-token").display());
        let said = run(Command::new(programs::path("banyan"))
            .args(["try", "GET", &path, "--to", &admin, "--token", &token]))?;
        let body = said.out.find('{').map(|begin| &said.out[begin..]);
        serde_json::from_str(body.unwrap_or_default()).with_context(|| format!("{path}: {said:?}"))
    }

    /// Runs a command of the router's.
    pub(super) fn banyan(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let mut command = Command::new(programs::path("banyan"));
        command
            .args(arguments)
            .args(["--admin", &self.url("admin")?, "--config"])
            .arg(self.file());
        run(&mut command)
    }

    /// What all of them have logged lately.
    pub(super) fn logs(&self) -> String {
        let servers = [&self.catalog, &self.router];
        let logs = servers.into_iter().flatten().map(Server::log);
        logs.chain([self.till.logs()]).collect()
    }

    async fn ask(&self, base: &str, segments: &[&str], query: Option<&str>) -> anyhow::Result<Value> {
        let mut url = Url::parse(base)?;
        url.path_segments_mut()
            .ok()
            .context("a path")?
            .clear()
            .extend(segments);
        url.set_query(query);
        let answer = self.till.client.get(url.clone()).send().await?;
        let served_by = answer.headers().get("x-served-by").cloned();
        ensure!(
            answer.status() == StatusCode::OK && served_by.is_none_or(|side| side == "monolith"),
            "{url}: {answer:?}"
        );
        Ok(answer.json().await?)
    }

    /// A port of the router.
    fn url(&self, port: &str) -> anyhow::Result<String> {
        let url = self.router.as_ref().and_then(|router| router.url(port));
        url.context("the router runs and says where")
    }

    fn file(&self) -> std::path::PathBuf {
        self.till.folder().join("banyan.toml")
    }

    fn catalog(&self) -> Command {
        let mut command = Command::new(programs::path("catalog"));
        command
            .current_dir(self.till.folder())
            .env(
                "CATALOG_DATABASE",
                format!("sqlite:{}", self.catalog_data().display()),
            )
            .env("RUST_LOG", "warn");
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _entered = self.till.runtime.enter();
        (self.router, self.catalog) = (None, None);
    }
}

/// Sums the numbers of a list or of an object.
pub(super) fn sum(value: &Value) -> u64 {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_u64).sum(),
        Value::Object(object) => object.values().filter_map(Value::as_u64).sum(),
        other => other.as_u64().unwrap_or_default(),
    }
}

fn run(command: &mut Command) -> anyhow::Result<Said> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output()?;
    Ok(Said {
        code: status.code(),
        out: String::from_utf8(stdout)?,
        complaint: String::from_utf8(stderr)?,
    })
}

/// Runs a command that must succeed, and gives what it printed.
fn done(command: &mut Command) -> anyhow::Result<String> {
    let said = run(command)?;
    ensure!(
        said.code == Some(0),
        "{command:?} ends with {:?}: {}",
        said.code,
        said.complaint
    );
    Ok(said.out)
}
