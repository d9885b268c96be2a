//! The config file: what it may say, read and checked whole before anything acts on it.
//!
//! For `serve`, `check`, `routes`, `why` and the reload, which all come through [`Config::load`], so that what `check`
//! accepts is what `serve` runs. Reading happens in two steps: `document` turns TOML into typed values and `rules` holds
//! them against each other. Neither stops at the first mistake: whoever mends a file wants the whole list.
//!
//! Architecture Invariant: a [`Config`] that exists is valid. Nothing behind this door checks again.

mod comparison;
mod document;
mod edge;
mod fault;
mod handover;
mod policy;
mod reader;
pub mod reference;
mod rules;
mod source;
mod telemetry;
mod trust;
mod upstreams;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

pub use edge::{Edge, Rate, Tls};
pub use fault::{Fault, Refused};
pub use handover::Handover;
pub use policy::{Fallback, Shadow};
pub(crate) use reader::distance;
pub use source::{read_aside, read_plain};
pub use telemetry::Telemetry;
pub use trust::Promotion;
pub use upstreams::{Address, Ejection, MOST_ADDRESSES, Upstream};
pub use values::{Percent, Sticky};

use crate::certificate::Bounds;
use crate::compare::Rules;
use crate::compare::noise::Thresholds;
use crate::table::{HostPattern, MatchRule};

/// The name that the upstream of everything not yet moved must have.
pub const MONOLITH: &str = "monolith";

/// A valid config.
#[derive(Debug, Clone)]
pub struct Config {
    /// SHA-256 of the file's bytes, in hex: names the version that is running.
    pub hash: String,
    /// How the router itself behaves.
    pub router: Settings,
    /// How copies of requests are made for comparison.
    pub shadow: Shadow,
    /// What counts as a difference, and not as noise.
    pub noise: Thresholds,
    /// What a promotion needs.
    pub certificate: Bounds,
    /// In which steps routes are promoted, and what takes them back.
    pub promotion: Promotion,
    /// What happens when a service does not answer.
    pub fallback: Fallback,
    /// When an address of several is left alone.
    pub ejection: Ejection,
    /// Where spans are sent.
    pub telemetry: Telemetry,
    /// Where requests can go; the monolith is among them.
    pub upstreams: Vec<Upstream>,
    /// What is being moved.
    pub modules: Vec<Module>,
    /// Every route of every module, in the order of the file.
    pub routes: Vec<Route>,
}

/// The `[router]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Threads that serve requests.
    pub workers: usize,
    /// How long opening a connection to an upstream may take.
    pub connect_timeout: Duration,
    /// How long an upstream may take to the head of its answer, counted from the last byte of the request.
    pub response_timeout: Duration,
    /// How long an exchange may stand still in the middle of a body.
    pub idle_timeout: Duration,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long a client's connection may rest between two requests.
    pub keep_alive: Duration,
    /// How long a connection to an upstream may rest before it is closed; below the upstream's own limit.
    pub pool_idle_timeout: Duration,
    /// How long running exchanges may go on after a stop signal.
    pub shutdown_timeout: Duration,
    /// The longest head of a request, in bytes.
    pub max_header_bytes: usize,
    /// The most connections from clients at a time, over all workers.
    pub max_connections: usize,
    /// Which `Host` the upstream sees.
    pub host: HostPolicy,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How much of a client is taken.
    pub edge: Edge,
    /// The database of evidence and audit log; `sqlite:` with a relative path means beside the config file.
    pub state: String,
    /// The file that holds the operators' token; a relative path means beside the config file.
    pub admin_token_file: PathBuf,
    /// Names, in lower case, by which operators may address the admin port, beside `localhost` and any address.
    pub admin_hosts: Vec<String>,
    /// The request header, in lower case, by which a tester chooses the side; absent: nobody can.
    pub tester_header: Option<String>,
}

/// Which `Host` an upstream is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPolicy {
    /// What the client asked for, as if it had connected directly.
    Preserve,
    /// The upstream's own address as the config has it.
    Upstream,
}

/// A part of the monolith that is being moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its key in `[modules]`.
    pub name: String,
    /// Index of the upstream that takes it over.
    pub service: Option<usize>,
    /// Who accepts writes, and so holds the data that the other side follows.
    pub writes: Owner,
    /// Whether its routes are promoted and taken back without being asked.
    pub auto: bool,
    /// How its data is handed over, if it is: who accepts writes is then told by the pen.
    pub handover: Option<Handover>,
}

/// Who holds a module's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The monolith.
    Monolith,
    /// The module's service.
    Service,
}

/// One route.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name, unique in the file.
    pub name: String,
    /// Index of its module.
    pub module: usize,
    /// The line that its table starts on.
    pub line: usize,
    /// The hosts it applies to; absent means every host.
    pub host: Option<HostPattern>,
    /// Methods and path.
    pub rule: MatchRule,
    /// Who serves it.
    pub mode: Mode,
    /// What keeps a client on its side while the mode is canary.
    pub sticky: Sticky,
    /// The share of the monolith's answers that are compared with the service's, in modes shadow and canary.
    pub sample: Percent,
    /// Whether the monolith answers a safe request when the service fails.
    pub fallback: bool,
    /// How the two answers are compared.
    pub compare: Rules,
}

/// Who serves a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The monolith.
    Monolith,
    /// The monolith; a sample of the requests is copied to the module's service and the answers are compared.
    Shadow,
    /// The module's service for a share of the clients.
    Canary(Percent),
    /// The module's service.
    Service,
    /// Whoever holds the module's data.
    ByOwner,
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, Refused> {
        let file = path.display().to_string();
        match source::read_whole(path) {
            Ok(bytes) => Self::parse(&file, &bytes),
            Err(error) => Err(Refused::unreadable(&file, &error)),
        }
    }

    /// Checks the bytes of a file; `file` is what its mistakes are reported under.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Refused> {
        let text = std::str::from_utf8(bytes).map_err(|error| Refused::not_text(file, bytes, &error))?;
        let hash = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let reader = reader::Reader::new(text);
        let config = document::read(&reader).and_then(|document| rules::check(&reader, document, hash));
        reader.finish(file, config)
    }

    /// Whether a route changes the data of this module.
    pub fn is_write_of(&self, route: &Route, module: &str) -> bool {
        self.modules[route.module].name == module && route.rule.methods.unsafe_one().is_some()
    }

    /// Index of the upstream that serves everything that no route moves.
    pub fn monolith(&self) -> usize {
        self.upstreams
            .iter()
            .position(|upstream| upstream.name == MONOLITH)
            .unwrap_or_default()
    }
}

impl Owner {
    /// The word that the file uses.
    pub fn word(self) -> &'static str {
        match self {
            Owner::Monolith => "monolith",
            Owner::Service => "service",
        }
    }
}

impl Mode {
    /// The share of the clients, where the mode has one.
    pub fn percent(self) -> Option<Percent> {
        match self {
            Mode::Canary(percent) => Some(percent),
            Mode::Monolith | Mode::Shadow | Mode::Service | Mode::ByOwner => None,
        }
    }

    /// The word that the file uses.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Monolith => "monolith",
            Mode::Shadow => "shadow",
            Mode::Service => "service",
            Mode::ByOwner => "by-owner",
            Mode::Canary(_) => "canary",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mode::Canary(percent) => write!(f, "canary {percent} %"),
            other => f.write_str(other.word()),
        }
    }
}
