//! `/status`, `/routes`, `/config`, `/why` and a route's evidence: what is being served, how it goes, and why.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use actix_http::header::HeaderMap;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, web};
use http02::header::{HeaderName, HeaderValue};
use http02::{Method, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::config::Refused;
use crate::promotion::operator::Operator;
use crate::report;
use crate::report::status::Status;
use crate::report::why::{Question, Why};
use crate::state::State;

/// Headers of a request that is asked about, at the most.
const HEADERS: usize = 100;

/// Which version of the file is served.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigAnswer {
    /// SHA-256 (hex) of the config that is served.
    hash: String,
    /// How long ago that was taken.
    age_seconds: u64,
    /// Whether the file says what is served.
    file_is_current: bool,
    /// Why not, if the file was refused.
    refused: Option<Refused>,
    /// Whether evidence and audit log are being kept: `ready`, or `waiting` for the state database.
    state_database: &'static str,
}

/// How the router, its upstreams and its routes are doing.
#[utoipa::path(tag = "looking", responses((status = 200, body = Status), super::Refusals))]
#[get("/status")]
pub(super) async fn status(
    state: web::Data<State>,
    operator: web::Data<Operator>,
) -> Result<HttpResponse, Problem> {
    let waiting = operator.switcher().waiting();
    let told = web::block(move || report::status::status(&state, waiting)).await;
    let told = told.map_err(|_| Problem::unavailable("interrupted", "the router is stopping"))?;
    Ok(HttpResponse::Ok().json(told))
}

/// Upstreams and routes, as they are being served.
#[utoipa::path(tag = "looking", responses((status = 200, body = report::Routes), super::Refusals))]
#[get("/routes")]
pub(super) async fn routes(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(report::routes(&state.snapshot().config))
}

/// Which version of the file is served, and why not a newer one.
#[utoipa::path(tag = "looking", responses((status = 200, body = ConfigAnswer), super::Refusals))]
#[get("/config")]
pub(super) async fn config(state: web::Data<State>) -> HttpResponse {
    let (snapshot, news) = (state.snapshot(), state.news());
    HttpResponse::Ok().json(ConfigAnswer {
        hash: snapshot.config.hash.clone(),
        age_seconds: news.since.elapsed().unwrap_or_default().as_secs(),
        file_is_current: news.refused.is_none(),
        refused: news.refused,
        state_database: if state.has_database() { "ready" } else { "waiting" },
    })
}

/// What is known of a route: both sides' answers, and what came of comparing them.
#[utoipa::path(tag = "looking", params(("name" = String, Path)), responses(
    (status = 200, body = report::EvidenceReport), super::Refusals,
    (status = 404, description = "No such route", body = Problem, content_type = "application/problem+json"),
))]
#[get("/routes/{name}/evidence")]
pub(super) async fn evidence(
    state: web::Data<State>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unknown = || {
        let detail = format!("there is no route `{name}`; /routes lists them");
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-route",
            "There is no such route",
            detail,
        )
    };
    let evidence = report::evidence(&state, &name).ok_or_else(unknown)?;
    Ok(HttpResponse::Ok().json(evidence))
}

/// Who would serve a request, and why: decided as the router decides it now. Nothing is sent.
#[utoipa::path(tag = "looking", params(
    ("method" = String, Query, description = "Such as GET"),
    ("path" = String, Query, description = "Path and query as the client sends them, or an absolute URL"),
    ("client" = Option<String>, Query, description = "The address that the client connects from; else 127.0.0.1"),
    ("header" = Option<Vec<String>>, Query, description = "`NAME: VALUE`; may be given several times"),
), responses(
    (status = 200, body = Why), super::Refusals,
    (status = 400, description = "The query could not be read", body = Problem, content_type = "application/problem+json"),
))]
#[get("/why")]
pub(super) async fn why(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let asked = Asked::read(request.query_string())?;
    let question = Question {
        method: asked.method.as_str(),
        target: &asked.target,
        headers: &asked.headers,
        peer: asked.client,
    };
    Ok(HttpResponse::Ok().json(report::why::why(&state.snapshot(), &question)))
}

/// A request that is asked about.
struct Asked {
    method: Method,
    target: Uri,
    headers: HeaderMap,
    client: IpAddr,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Problem> {
        let wrong = |field: &str, detail: String| Problem::field(StatusCode::BAD_REQUEST, field, detail);
        let (mut method, mut target) = (None, None);
        let mut asked = (HeaderMap::new(), IpAddr::from(Ipv4Addr::LOCALHOST));
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "method" => {
                    let read = Method::from_str(&value);
                    method = Some(read.map_err(|error| wrong("method", error.to_string()))?);
                }
                "path" => target = Some(request_target(&value).map_err(|detail| wrong("path", detail))?),
                "client" => {
                    let read = value.parse();
                    asked.1 = read.map_err(|_| wrong("client", format!("`{value}` is no address")))?;
                }
                "header" if asked.0.len() < HEADERS => {
                    let (name, value) = header(&value).map_err(|detail| wrong("header", detail))?;
                    asked.0.append(name, value);
                }
                "header" => return Err(wrong("header", format!("at most {HEADERS} are taken"))),
                other => {
                    let detail = "unknown; there are method, path, client and header".to_owned();
                    return Err(wrong(other, detail));
                }
            }
        }
        Ok(Self {
            method: method.ok_or_else(|| wrong("method", "it is missing".to_owned()))?,
            target: target.ok_or_else(|| wrong("path", "it is missing".to_owned()))?,
            headers: asked.0,
            client: asked.1,
        })
    }
}

/// A target of a request: a path with or without a query, or an absolute URL.
fn request_target(text: &str) -> Result<Uri, String> {
    let read = Uri::from_str(text).map_err(|error| error.to_string())?;
    match text.starts_with('/') || read.scheme().is_some() {
        true => Ok(read),
        false => Err("begin it with `/`".to_owned()),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as `NAME: VALUE`")?;
    let name = HeaderName::from_str(name.trim()).map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}
