//! `banyan why`: the router's decision about one request, without sending it.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::str::FromStr;

use actix_http::header::HeaderMap;
use clap::Args;
use http02::Uri;
use http02::header::{HeaderName, HeaderValue};

use super::remote::{Failure, Remote, Target};
use super::{load, say, tell};
use crate::report::why::{Question, Why as Told, why};
use crate::snapshot::Snapshot;

/// Say who would serve a request, and why.
///
/// Decides exactly as the server does: with the config file as it is now, or with --live as the running router would at this
/// moment, knowing which circuits are open and how far each side's data has come.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  banyan why GET /api/products/ABC
  banyan why GET /api/products/ABC -H 'x-customer: 7'      a canary keeps this customer on one side
  banyan why GET /api/products/ABC --client 203.0.113.9    what sticks when there is no such header
  banyan why GET '/api/products/..%2Forders'               path tricks: refused, or sent where it says
  banyan why GET /api/products/ABC --live                  what the running router says

Exit codes: 0 answered, 1 the config is invalid, or no router can be reached, 2 wrong usage.")]
pub(super) struct Why {
    /// The method, such as GET.
    method: String,
    /// The path as the client sends it, with or without a query; or an absolute URL.
    path: String,
    /// A header of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The address that the client connects from.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::from(Ipv4Addr::LOCALHOST))]
    client: IpAddr,
    /// Ask the running router instead of the file.
    #[arg(long)]
    live: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Why {
    pub(super) fn run(self) -> ExitCode {
        let told = match self.live {
            true => match self.ask() {
                Ok(told) => told,
                Err(failure) => return failure.end(self.json),
            },
            false => match self.decide() {
                Ok(told) => told,
                Err(code) => return code,
            },
        };
        match self.json {
            // Texts and numbers always serialise.
            true => say(&serde_json::to_string(&told).unwrap_or_default()),
            false => say(&told.to_string()),
        }
        ExitCode::SUCCESS
    }

    fn decide(&self) -> Result<Told, ExitCode> {
        let target = Uri::from_str(&self.path).map_err(|error| {
            let path = &self.path;
            tell(&format!(
                "`{path}` is not a request target ({error}); the router would answer 400"
            ));
            ExitCode::from(2)
        })?;
        let snapshot = Snapshot::new(load(&self.target.file.config)?);
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        let question = Question {
            method: &self.method,
            target: &target,
            headers: &headers,
            peer: self.client,
        };
        Ok(why(&snapshot, &question))
    }

    fn ask(&self) -> Result<Told, Failure> {
        let mut query = vec![
            ("method", self.method.clone()),
            ("path", self.path.clone()),
            ("client", self.client.to_string()),
        ];
        for (name, value) in &self.headers {
            query.push((
                "header",
                format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())),
            ));
        }
        let told = Remote::open(&self.target)?.get(&["why"], &query)?;
        serde_json::from_value(told).map_err(|error| {
            Failure::Other(format!(
                "the router is of another version than this command: {error}"
            ))
        })
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'name: value'")?;
    let name = HeaderName::from_str(name.trim()).map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}
