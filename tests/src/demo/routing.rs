//! The router's file, as the demo writes it, and the wait until the router goes by it.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use super::shop::Shop;

/// The header by which the demo's customers say who they are.
pub(super) const STICKY: &str = "x-customer";

/// The file in the demo's folder with the token of the hand-over; whoever comes first makes it.
pub(super) const HANDOVER_TOKEN: &str = "handover-token";

/// How long a switch may take to be in effect.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who serves the two routes that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Monolith,
    Canary(u8),
    Service,
}

impl Mode {
    /// The service's share of the customers.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::Monolith => 0.0,
            Self::Canary(percent) => f64::from(percent) / 100.0,
            Self::Service => 1.0,
        }
    }

    fn toml(self) -> String {
        match self {
            Self::Monolith => "mode    = \"monolith\"".to_owned(),
            Self::Service => "mode    = \"service\"".to_owned(),
            Self::Canary(percent) => format!("mode    = \"canary\"\npercent = {percent}"),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Monolith => f.pad("monolith"),
            Self::Service => f.pad("service"),
            Self::Canary(percent) => f.pad(&format!("canary {percent} %")),
        }
    }
}

/// Where everybody is.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) router: String,
    pub(super) admin: String,
    pub(super) monolith: String,
    pub(super) catalog: String,
    pub(super) psp: String,
    /// Where the two sides serve the hand-over of the catalog: the monolith's and the service's.
    pub(super) pens: [String; 2],
}

/// The router's file with both routes in `mode`.
pub(super) fn file(addresses: &Addresses, mode: Mode) -> String {
    let mut text = head(addresses);
    for (name, rule) in [
        ("get-product", "GET /api/products/{sku}"),
        ("list-products", "GET /api/products"),
    ] {
        text.push_str(&format!(
            "\n[[modules.catalog.routes]]\nname    = \"{name}\"\nmatch   = \"{rule}\"\n{}\n\
             sticky  = \"header:{STICKY}\"\n",
            mode.toml()
        ));
    }
    text
}

/// The router's file with every route of the catalog served by whoever holds its data, so that one order of writes must explain what
/// all clients see.
pub(super) fn by_owner(addresses: &Addresses) -> String {
    let [monolith, service] = &addresses.pens;
    let mut text = head(addresses);
    text.push_str(&format!(
        "\n[modules.catalog.handover]\nmonolith   = \"http://{monolith}\"\nservice    = \"http://{service}\"\n\
         token_file = \"{HANDOVER_TOKEN}\"\n"
    ));
    for (name, rule) in [
        ("list-products", "GET /api/products"),
        ("get-product", "GET /api/products/{sku}"),
        ("list-categories", "GET /api/categories"),
        ("create-product", "POST /api/products"),
        ("replace-product", "PUT /api/products/{sku}"),
        ("set-price", "PUT /api/products/{sku}/price"),
        ("delete-product", "DELETE /api/products/{sku}"),
    ] {
        text.push_str(&format!(
            "\n[[modules.catalog.routes]]\nname  = \"{name}\"\nmatch = \"{rule}\"\nmode  = \"by-owner\"\n"
        ));
    }
    text
}

fn head(addresses: &Addresses) -> String {
    format!(
        "# Written by the demo. Edit it: the router looks at it twice a second.\n\
         [router]\nlisten  = \"{}\"\nadmin   = \"{}\"\nworkers = 2\n\n\
         [upstreams]\nmonolith = \"http://{}\"\ncatalog  = \"http://{}\"\n\n\
         [modules.catalog]\nservice = \"catalog\"\n",
        addresses.router, addresses.admin, addresses.monolith, addresses.catalog
    )
}

/// Replaces the file in one step, so that nobody reads half of it.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path).with_context(|| path.display().to_string())
}

/// What the router goes by now, from its admin port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    /// Names the version of the file.
    pub(super) hash: String,
    /// Whether that is what the file says, or the file was refused.
    pub(super) is_current: bool,
    /// Each route with its mode, in a line.
    pub(super) modes: String,
}

impl InForce {
    /// Asks the router.
    pub(super) async fn ask(shop: &Shop) -> anyhow::Result<Self> {
        let (admin, token) = (&shop.addresses.admin, shop.operators_token()?);
        let get = async |path: &str| -> anyhow::Result<Value> {
            let request = shop.client.get(format!("http://{admin}{path}"));
            let answer = request.bearer_auth(&token).send().await?;
            Ok(answer.error_for_status()?.json().await?)
        };
        let (config, routes) = (get("/config").await?, get("/routes").await?);
        let mode = |route: &Value| {
            let percent = route["percent"].as_f64().map(|percent| format!(" {percent} %"));
            let (name, mode) = (route["name"].as_str(), route["mode"].as_str());
            let (name, mode) = (name.unwrap_or("?"), mode.unwrap_or("?"));
            format!("{name} {mode}{}", percent.unwrap_or_default())
        };
        let routes = routes["routes"].as_array().into_iter().flatten();
        Ok(Self {
            hash: config["hash"].as_str().unwrap_or_default().to_owned(),
            is_current: config["file_is_current"] == true,
            modes: routes.map(mode).collect::<Vec<_>>().join(", "),
        })
    }

    /// Asks until the answer is as wanted.
    pub(super) async fn until(shop: &Shop, wanted: impl Fn(&Self) -> bool) -> anyhow::Result<Self> {
        let began = Instant::now();
        loop {
            let now = Self::ask(shop).await?;
            if wanted(&now) {
                return Ok(now);
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "the router does not go by its new file: {now:?}"
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}
