//! `banyan try`: sends one request and shows who answered it, and why.
//!
//! For operators who look at a switch, and for the chapters of the documentation, which use it instead of a tool that a
//! machine may not have. What `banyan why` foretells, this shows.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use chassis::error::innermost;
use clap::Args;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::answer::Answer;
use super::{ConfigFile, complain, say, tell};
use crate::config::Config;

/// Send one request and show who answered it, and why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan try GET /api/products/ABC                            through the router of ./banyan.toml
  banyan try GET /api/products/ABC -H 'x-customer: 7'
  banyan try GET /health/ready --to http://127.0.0.1:8100     past the router
  banyan try POST /api/carts --body '{}' --token @token.txt
  banyan try PUT /api/products/ABC --body @product.json --token @token.txt

Exit codes: 0 answered below 400, 4 answered 400 or above, 1 no answer, 2 wrong usage.")]
pub(super) struct Try {
    /// The method, such as GET.
    method: Method,
    /// The path, with or without a query.
    #[arg(value_parser = parse_path)]
    path: String,
    /// A header of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The body: JSON, or the name of a file that holds it.
    #[arg(long, value_name = "JSON|@FILE")]
    body: Option<String>,
    /// Where to send it; without this, to where the config file lets the router listen.
    #[arg(long, value_name = "URL")]
    to: Option<Url>,
    /// A session token, or the name of a file that holds one.
    #[arg(
        long,
        env = "BANYAN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN|@FILE"
    )]
    token: Option<String>,
    /// Seconds to wait for the whole answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// Show all headers of the answer.
    #[arg(long, short)]
    include: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

impl Try {
    pub(super) fn run(self) -> ExitCode {
        let request = match self.prepare() {
            Ok(request) => request,
            Err(code) => return code,
        };
        let target = request.url().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let sent = match runtime {
            Ok(runtime) => runtime.block_on(send(request, Duration::from_secs(self.timeout))),
            Err(error) => Err(error.to_string()),
        };
        match sent {
            Ok(answer) => {
                say(&if self.json {
                    answer.as_json()
                } else {
                    answer.as_text(self.include)
                });
                let refused = answer.status.is_client_error() || answer.status.is_server_error();
                ExitCode::from(if refused { 4 } else { 0 })
            }
            Err(reason) => {
                tell(&format!(
                    "no answer from {}: {reason}",
                    target.origin().ascii_serialization()
                ));
                ExitCode::FAILURE
            }
        }
    }

    fn prepare(&self) -> Result<reqwest::Request, ExitCode> {
        let base = self.base()?;
        let wrong_usage = |reason: String| {
            tell(&reason);
            ExitCode::from(2)
        };
        let url = Url::parse(&format!("{base}{}", self.path))
            .map_err(|error| wrong_usage(format!("`{base}{}` is no URL: {error}", self.path)))?;
        if !url.as_str().ends_with(&self.path) {
            tell(&format!(
                "note: a client writes `{}` as `{}`",
                self.path,
                url_target(&url)
            ));
        }
        let mut request = reqwest::Request::new(self.method.clone(), url);
        if let Some(body) = &self.body {
            let body = text_or_file(body).map_err(wrong_usage)?;
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.into());
        }
        if let Some(token) = &self.token {
            let token = text_or_file(token).map_err(wrong_usage)?;
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
                wrong_usage("the token holds characters that a header cannot carry".to_owned())
            })?;
            bearer.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        let own: Vec<&HeaderName> = self.headers.iter().map(|(name, _)| name).collect();
        own.iter()
            .for_each(|name| drop(request.headers_mut().remove(*name)));
        for (name, value) in &self.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        Ok(request)
    }

    /// Scheme and authority of the target, without a final slash.
    fn base(&self) -> Result<String, ExitCode> {
        if let Some(to) = &self.to {
            return Ok(to.as_str().trim_end_matches('/').to_owned());
        }
        let mut listen = listen(&self.file.config)?;
        if listen.port() == 0 {
            tell("the config lets the router listen at any free port: say with --to which it took");
            return Err(ExitCode::from(2));
        }
        if listen.ip().is_unspecified() {
            listen.set_ip(if listen.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        Ok(format!("http://{listen}"))
    }
}

/// Where the file lets the router listen. A file with mistakes elsewhere still says so: the router that runs has kept an
/// earlier version, and this is when somebody needs to ask it.
fn listen(file: &Path) -> Result<SocketAddr, ExitCode> {
    let refused = match Config::load(file) {
        Ok(config) => return Ok(config.router.listen),
        Err(refused) => refused,
    };
    let text = std::fs::read_to_string(file).ok();
    let table: Option<toml::Table> = text.and_then(|text| text.parse().ok());
    let said = table.and_then(|table| table.get("router")?.get("listen")?.as_str()?.parse().ok());
    match said {
        Some(address) => {
            tell(&format!(
                "note: {} has mistakes, see `banyan check`",
                refused.file
            ));
            Ok(address)
        }
        None => {
            complain(&refused);
            Err(ExitCode::FAILURE)
        }
    }
}

async fn send(request: reqwest::Request, patience: Duration) -> Result<Answer, String> {
    // Redirects are shown, not followed; a proxy in the environment must not stand in between.
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(patience)
        .build()
        .map_err(|error| innermost(&error))?;
    let answer = client.execute(request).await.map_err(|error| innermost(&error))?;
    Ok(Answer {
        version: answer.version(),
        status: answer.status(),
        headers: answer.headers().clone(),
        body: answer.bytes().await.map_err(|error| innermost(&error))?.to_vec(),
    })
}

/// Path and query of a URL, as they go over the wire.
fn url_target(url: &Url) -> String {
    url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    )
}

fn text_or_file(given: &str) -> Result<String, String> {
    match given.strip_prefix('@') {
        None => Ok(given.to_owned()),
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}")),
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("begin it with `/`; the host goes into --to".to_owned())
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'name: value'")?;
    let name = name
        .trim()
        .parse::<HeaderName>()
        .map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}
