//! A shop and its payment provider, for one trial.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::process::Server;
use crate::{postgres, programs};

/// What the shop keeps its data in.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file.
    Sqlite,
    /// With the URL of a server to make a database on.
    Postgres(Option<String>),
}

impl Database {
    /// Both, PostgreSQL with the server that `BANYAN_TEST_POSTGRES` names. Without one its trials are to be ignored.
    pub fn both() -> [Self; 2] {
        [
            Self::Sqlite,
            Self::Postgres(std::env::var("BANYAN_TEST_POSTGRES").ok()),
        ]
    }

    /// A new database of this kind, as `file` in `folder` if it is a file.
    pub fn create(&self, folder: &Path, file: &str) -> anyhow::Result<Created> {
        Ok(match self {
            Self::Postgres(Some(server)) => Created::Server(postgres::Database::create(server, "trial")?),
            _ => Created::File(format!("sqlite:{}", folder.join(file).display())),
        })
    }

    /// Whether it can be had.
    pub fn is_there(&self) -> bool {
        !matches!(self, Self::Postgres(None))
    }

    /// Its kind, as in the names of trials.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// A database made for a trial; gone when it is dropped, or with its folder.
#[derive(Debug)]
pub enum Created {
    /// A file.
    File(String),
    /// On a server.
    Server(postgres::Database),
}

impl Created {
    /// What programs know it by.
    pub fn url(&self) -> &str {
        match self {
            Self::File(url) => url,
            Self::Server(database) => database.url(),
        }
    }
}

/// A shop and its payment provider. Dropping it kills both and removes their data.
#[derive(Debug)]
pub struct Till {
    monolith: Option<Server>,
    psp: Option<Server>,
    ports: [u16; 2],
    data: Created,
    settings: Vec<(String, String)>,
    /// For requests of all kinds.
    pub client: reqwest::Client,
    /// A staff token.
    pub token: String,
    /// What requests run on.
    pub runtime: Runtime,
    folder: TempDir,
}

impl Till {
    /// Starts both on a new database.
    pub fn open(database: &Database) -> anyhow::Result<Self> {
        Self::open_with(database, &[])
    }

    /// The same, with settings of the shop as its environment has them.
    pub fn open_with(database: &Database, settings: &[(String, String)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = database.create(folder.path(), "shop.db")?;
        let mut till = Self {
            monolith: None,
            psp: None,
            ports: [free_port()?, free_port()?],
            data,
            settings: settings.to_vec(),
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(60))
                .build()?,
            token: String::new(),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?,
            folder,
        };
        till.start_psp()?;
        till.start_shop()?;
        let output = till
            .command("monolith")
            .args(["token", "--role", "staff"])
            .output()?;
        till.token = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(till)
    }

    /// Starts the shop, at the address it had before if it had one.
    pub fn start_shop(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("monolith");
        command.args([
            "serve",
            "--migrate",
            "--listen",
            &format!("127.0.0.1:{}", self.ports[0]),
        ]);
        let log = self.folder.path().join("monolith.log");
        self.monolith = Some(self.runtime.block_on(Server::start(command, &log))?);
        Ok(())
    }

    /// Starts the payment provider, with the books it had before.
    pub fn start_psp(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("psp-simulator");
        command.args(["--listen", &format!("127.0.0.1:{}", self.ports[1])]);
        command.args([
            "--webhook-url",
            &format!("http://127.0.0.1:{}/webhooks/psp", self.ports[0]),
        ]);
        let log = self.folder.path().join("psp.log");
        self.psp = Some(self.runtime.block_on(Server::start(command, &log))?);
        Ok(())
    }

    /// kill -9.
    pub fn kill_shop(&mut self) {
        let _entered = self.runtime.enter();
        self.monolith = None;
    }

    /// kill -9.
    pub fn kill_psp(&mut self) {
        let _entered = self.runtime.enter();
        self.psp = None;
    }

    /// Where the shop is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The shop's database, as programs know it.
    pub fn database(&self) -> &str {
        self.data.url()
    }

    /// What everything lies in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What both have logged lately.
    pub fn logs(&self) -> String {
        [&self.monolith, &self.psp]
            .into_iter()
            .flatten()
            .map(Server::log)
            .collect()
    }

    /// Sends a request as staff.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        self.send_keyed(method, path, body, "").await
    }

    /// Sends a request as staff, with an idempotency key.
    pub async fn send_keyed(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        key: &str,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self
            .client
            .request(method, format!("http://127.0.0.1:{}{path}", self.ports[0]))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Adds a product, so many of it, and a customer; gives the customer's id.
    pub async fn stock(&self, sku: &str, quantity: u32) -> anyhow::Result<i64> {
        let product = json!({ "sku": sku, "name": "Mug", "category": "mugs", "price": { "amount": 250, "currency": "GBP" } });
        let (status, answer) = self.send(Method::POST, "/api/products", Some(product)).await?;
        ensure!(status == StatusCode::CREATED, "product: {status} {answer}");
        let receipt = json!({ "kind": "receipt", "quantity": quantity });
        let (status, answer) = self
            .send(
                Method::POST,
                &format!("/api/stock/{sku}/movements"),
                Some(receipt),
            )
            .await?;
        ensure!(status == StatusCode::CREATED, "movement: {status} {answer}");
        let customer = json!({ "email": "ann@example.org", "name": "Ann", "password": "correct horse" });
        let (status, answer) = self.send(Method::POST, "/api/customers", Some(customer)).await?;
        ensure!(status == StatusCode::CREATED, "customer: {status} {answer}");
        answer["id"].as_i64().context("a customer has an id")
    }

    /// A new cart of the customer with one of the product; gives its id.
    pub async fn cart(&self, customer: i64, sku: &str) -> anyhow::Result<i64> {
        let (status, cart) = self
            .send(
                Method::POST,
                "/api/carts",
                Some(json!({ "customer_id": customer })),
            )
            .await?;
        ensure!(status == StatusCode::CREATED, "cart: {status} {cart}");
        let id = cart["id"].as_i64().context("a cart has an id")?;
        let path = format!("/api/carts/{id}/items/{sku}");
        let (status, answer) = self
            .send(Method::PUT, &path, Some(json!({ "quantity": 1 })))
            .await?;
        ensure!(status == StatusCode::OK, "item: {status} {answer}");
        Ok(id)
    }

    /// Orders what is in a cart, under a key made of the cart's id.
    pub async fn order(&self, cart: i64, payment_method: &str) -> anyhow::Result<(StatusCode, Value)> {
        let body = json!({ "cart_id": cart, "payment_method": payment_method });
        self.send_keyed(Method::POST, "/api/orders", Some(body), &format!("cart-{cart}"))
            .await
    }

    /// What the provider's own ledger says was captured: how often, and how much in all, less what went back.
    pub async fn captured(&self) -> anyhow::Result<(i64, i64)> {
        let url = format!("http://127.0.0.1:{}/ledger/summary", self.ports[1]);
        let sums: Value = self.client.get(url).send().await?.json().await?;
        let amount = |of: &str| sums[of]["GBP"].as_i64().unwrap_or(0);
        Ok((
            sums["captures"].as_i64().context("a number")?,
            amount("captured") - amount("refunded"),
        ))
    }

    /// All orders, once none is pending any more.
    pub async fn decided(&self, within: Duration) -> anyhow::Result<Vec<Value>> {
        let until = Instant::now() + within;
        loop {
            let (_, pending) = self.send(Method::GET, "/api/orders?state=pending", None).await?;
            if pending["items"].as_array().is_some_and(Vec::is_empty) {
                let (_, all) = self.send(Method::GET, "/api/orders?limit=100", None).await?;
                return Ok(all["items"].as_array().cloned().unwrap_or_default());
            }
            ensure!(Instant::now() < until, "still pending: {pending}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// On hand and reserved.
    pub async fn level(&self, sku: &str) -> anyhow::Result<(i64, i64)> {
        let (_, level) = self.send(Method::GET, &format!("/api/stock/{sku}"), None).await?;
        let number = |name: &str| level[name].as_i64().context("a level has numbers");
        Ok((number("on_hand")?, number("reserved")?))
    }

    /// A program of ours with this shop's settings.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs::path(program));
        command
            .current_dir(self.folder.path())
            .env("MONOLITH_DATABASE", self.data.url())
            .env("MONOLITH_PSP__URL", format!("http://127.0.0.1:{}", self.ports[1]))
            .env("MONOLITH_PSP__TIMEOUT_MS", "1000")
            .env("MONOLITH_PSP__GIVE_UP_S", "4")
            .env("RUST_LOG", "info")
            .envs(self.settings.iter().cloned());
        command
    }
}

impl Drop for Till {
    fn drop(&mut self) {
        self.kill_shop();
        self.kill_psp();
    }
}

/// A port that was free a moment ago, and that this process is given once.
///
/// None of those that the kernel gives to outgoing connections (32,768 to 60,999 on Linux, ip(7)): while a server is down, one of its
/// clients' connections could take its port, even one to itself, and the server could not come back.
pub fn free_port() -> anyhow::Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1000 {
        let port = rand::random_range(10_240..32_768);
        if !given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    anyhow::bail!("a thousand ports were all taken")
}
