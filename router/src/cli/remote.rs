//! The router that runs, as the other commands ask it: where it is, who may ask, and what becomes of a refusal.
//!
//! For every command that needs a running router. It is found by the config file: the address of its admin port, and the
//! file of its token. What goes wrong becomes a [`Failure`], which knows what to print and with which code to end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chassis::error::innermost;
use clap::Args;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::address::to_ask;
use super::{ConfigFile, say, tell};
use crate::admin::problem::{HELD, URN};
use crate::admin::token::{Token, TokenError};
use crate::admin::wish::ACTOR;
use crate::config::Config;
use crate::operations::beside;

/// How long a connection may take: an admin port is near.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take. A step forward may wait for a slow database.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Where the router is.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// The router's admin port, an address or a URL; without this, where the config file says.
    #[arg(long, env = "BANYAN_ADMIN", value_name = "ADDRESS")]
    admin: Option<String>,
}

/// A router that can be asked.
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) base: Url,
    pub(super) token: Token,
    pub(super) runtime: Runtime,
    file: PathBuf,
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The router gives no answer.
    Unreachable {
        /// Where it was sought.
        address: String,
        /// What happened.
        why: String,
        /// The config file, for the remedy.
        file: PathBuf,
    },
    /// There is no token to ask with.
    Token(TokenError),
    /// The router refuses, and says why.
    Refused(Box<Value>),
    /// Something that was typed makes no sense.
    Usage(String),
    /// Anything else.
    Other(String),
}

impl Remote {
    /// Finds the router; nothing is sent yet.
    pub(super) fn open(target: &Target) -> Result<Self, Failure> {
        let file = &target.file.config;
        let found = Found::read(file);
        let base = match &target.admin {
            Some(given) => to_ask(given).map_err(Failure::Usage)?,
            None => found.address(file)?,
        };
        let token_file = found.token_file.unwrap_or_else(|| PathBuf::from("banyan-token"));
        let token = Token::find(&beside(file, &token_file)).map_err(Failure::Token)?;
        // A proxy of the environment must not see the token, and no redirect may carry it elsewhere.
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            client: client.map_err(|error| Failure::Other(error.to_string()))?,
            runtime: runtime.map_err(|error| Failure::Other(error.to_string()))?,
            base,
            token,
            file: file.clone(),
        })
    }

    /// Asks for something; the segments become the path, each encoded.
    pub(super) fn get(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        self.send(self.request(Method::GET, segments, query).timeout(PATIENCE))
    }

    /// Wishes for something.
    pub(super) fn post(
        &self,
        segments: &[&str],
        body: &impl Serialize,
        actor: &str,
        patience: Duration,
    ) -> Result<Value, Failure> {
        let request = self.request(Method::POST, segments, &[]);
        self.send(request.header(ACTOR, actor).json(body).timeout(patience))
    }

    /// Wishes for something whose outcome nobody waits for; it is sent while other questions are asked, but after the wish before
    /// it, so that a journal has its entries in order. A router that took too long over one is not sent the next.
    pub(super) fn post_beside(
        &self,
        before: Option<tokio::task::JoinHandle<bool>>,
        segments: &[&str],
        body: &impl Serialize,
        actor: &str,
    ) -> tokio::task::JoinHandle<bool> {
        let request = self.request(Method::POST, segments, &[]);
        let request = request.header(ACTOR, actor).json(body).timeout(PATIENCE);
        self.runtime.spawn(async move {
            if let Some(before) = before
                && !before.await.unwrap_or(true)
            {
                return false;
            }
            !request.send().await.is_err_and(|error| error.is_timeout())
        })
    }

    pub(super) fn request(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, String)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url);
        let mut bearer = reqwest::header::HeaderValue::from_str(&self.token.bearer());
        if let Ok(bearer) = &mut bearer {
            bearer.set_sensitive(true);
        }
        match bearer {
            Ok(bearer) => request.header(reqwest::header::AUTHORIZATION, bearer),
            Err(_) => request,
        }
    }

    fn send(&self, request: RequestBuilder) -> Result<Value, Failure> {
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
            let answer = self.accepted(answer).await?;
            answer.json().await.map_err(|error| self.unreachable(&error))
        })
    }

    /// The answer if it is a good one, or what it says is wrong.
    pub(super) async fn accepted(&self, answer: Response) -> Result<Response, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let problem: Option<Value> = answer.json().await.ok();
        match problem.filter(|problem| problem["type"].as_str().is_some_and(|kind| kind.starts_with(URN))) {
            Some(problem) => Err(Failure::Refused(Box::new(problem))),
            None => Err(Failure::Other(self.stranger(status))),
        }
    }

    fn stranger(&self, status: StatusCode) -> String {
        format!(
            "{} answers {status}, which no router's admin port does; look at admin in {}, or name it with --admin",
            self.base.origin().ascii_serialization(),
            self.file.display()
        )
    }

    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable {
            address: self.base.origin().ascii_serialization(),
            why: if error.is_timeout() {
                "no answer in time".to_owned()
            } else {
                innermost(error)
            },
            file: self.file.clone(),
        }
    }
}

impl Failure {
    /// Prints it, as JSON to standard output if that was wished, and gives the code to end with.
    pub(super) fn end(&self, as_json: bool) -> ExitCode {
        match (self, as_json) {
            (Self::Refused(problem), true) => say(&problem.to_string()),
            (Self::Refused(problem), false) => tell(&problem_text(problem)),
            (_, true) => say(&serde_json::json!({ "detail": self.text() }).to_string()),
            (_, false) => tell(&self.text()),
        }
        self.code()
    }

    fn code(&self) -> ExitCode {
        let kind = match self {
            Self::Refused(problem) => problem["type"].as_str().unwrap_or_default(),
            Self::Usage(_) => return ExitCode::from(2),
            Self::Unreachable { .. } | Self::Token(_) | Self::Other(_) => return ExitCode::FAILURE,
        };
        match kind.strip_prefix(URN).unwrap_or_default() {
            HELD => ExitCode::from(3),
            "bad-request" | "unknown-route" | "unknown-module" => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Unreachable { address, why, file } => format!(
                "no router answers at {address}: {why}\nis it running? start it with `banyan serve --config {}`, or say with \
                 --admin where it is",
                file.display()
            ),
            Self::Token(error) => error.to_string(),
            Self::Usage(text) | Self::Other(text) => text.clone(),
            Self::Refused(problem) => problem_text(problem),
        }
    }
}

/// What the router says is wrong, with the mistakes of the file, or the criteria that do not hold.
fn problem_text(problem: &Value) -> String {
    let mut text = problem["detail"].as_str().unwrap_or("refused").to_owned();
    if problem["status"] == 401 {
        text = format!("the router does not take this token: {text}");
    }
    // A detail that lists the mistakes has them already; what is left are the criteria.
    let criteria = problem["certificate"]["criteria"]
        .as_array()
        .into_iter()
        .flatten();
    for criterion in criteria.filter(|criterion| criterion["holds"] == false) {
        let part = |key: &str| criterion[key].as_str().unwrap_or_default();
        text += &format!(
            "\n  {}: {}; wanted is {}",
            part("name"),
            part("value"),
            part("bound")
        );
    }
    if let Some(route) = problem["certificate"]["route"].as_str() {
        text += &format!(
            "\nall criteria: banyan certify {route}\nagainst the evidence: the same command with --force --reason WHY, which \
             stands out in the audit log"
        );
    }
    text
}

/// What the config file says about the admin port. A file with mistakes elsewhere still says it: the router that runs has
/// kept an earlier version, and this is when somebody needs to ask it.
struct Found {
    admin: Option<SocketAddr>,
    token_file: Option<PathBuf>,
}

impl Found {
    fn read(file: &Path) -> Self {
        if let Ok(config) = Config::load(file) {
            return Self {
                admin: Some(config.router.admin),
                token_file: Some(config.router.admin_token_file),
            };
        }
        let text = std::fs::read_to_string(file).ok();
        let table: Option<toml::Table> = text.and_then(|text| text.parse().ok());
        if table.is_some() {
            tell(&format!(
                "note: {} has mistakes, see `banyan check`",
                file.display()
            ));
        }
        let said = |key: &str| table.as_ref()?.get("router")?.get(key)?.as_str();
        Self {
            admin: said("admin").and_then(|address| address.parse().ok()),
            token_file: said("admin_token_file").map(PathBuf::from),
        }
    }

    fn address(&self, file: &Path) -> Result<Url, Failure> {
        let Some(admin) = self.admin else {
            let text = format!(
                "{} does not say where the router's admin port is; name the file with --config, or the port with --admin",
                file.display()
            );
            return Err(Failure::Other(text));
        };
        if admin.port() == 0 {
            let text = "the config lets the admin port be any free one: say with --admin which it took";
            return Err(Failure::Usage(text.to_owned()));
        }
        to_ask(&admin.to_string()).map_err(Failure::Usage)
    }
}

/// Who runs this command, for the audit log.
pub(super) fn actor() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("uid{}", rustix::process::getuid().as_raw()));
    format!(
        "cli:{user}@{}",
        rustix::system::uname().nodename().to_string_lossy()
    )
}
