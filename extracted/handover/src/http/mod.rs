//! The protocol over HTTP, on an address of its own: `read` answers what changes nothing, `commands` what moves the pen.
//!
//! Every request shows the token of the hand-over (RFC 6750, section 2.1), which is compared in constant time. A member or
//! parameter that is not known is refused, so that a new question is noticed.

mod commands;
mod read;
mod token;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::{Payload, Server};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use actix_web::{App, FromRequest, HttpRequest, HttpServer, web};
use futures_util::future::{LocalBoxFuture, Ready, ready};
use serde::de::DeserializeOwned;

use crate::Error;
use crate::link::Link;
use crate::wire::PREFIX;

pub use token::{Token, TokenError};

/// Bytes of a request at the most.
const BODY_LIMIT: usize = 1 << 20;

/// What the handlers work with.
struct Served {
    links: HashMap<&'static str, Arc<Link>>,
    token: Token,
}

/// Serves these modules' links at `listen`. The server runs until the process ends or it is stopped; it must be polled.
pub fn serve(listen: &str, links: &[Arc<Link>], token: Token) -> io::Result<(Server, Vec<SocketAddr>)> {
    let links = links
        .iter()
        .map(|link| (link.names.module, Arc::clone(link)))
        .collect();
    let served = web::Data::new(Served { links, token });
    let server = HttpServer::new(move || App::new().app_data(served.clone()).configure(routes))
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .bind(listen)
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("hand-over: cannot listen on {listen}: {error}"),
            )
        })?;
    let addresses = server.addrs();
    Ok((server.run(), addresses))
}

fn routes(config: &mut web::ServiceConfig) {
    let query =
        web::QueryConfig::default().error_handler(|error, _| Error::Malformed(error.to_string()).into());
    let limit = web::PayloadConfig::new(BODY_LIMIT);
    config.app_data(limit).app_data(query).service(
        web::scope(&format!("{PREFIX}/{{module}}"))
            .configure(read::routes)
            .configure(commands::routes)
            .default_service(web::to(async |_: Asked| Err::<String, _>(unknown()))),
    );
    config.default_service(web::to(async || Err::<String, _>(unknown())));
}

fn unknown() -> Error {
    Error::Malformed(format!(
        "the protocol has no such path; all of them begin with `{PREFIX}/MODULE/`"
    ))
}

/// The link that a request is about, for whoever shows the token.
struct Asked(Arc<Link>);

impl FromRequest for Asked {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(asked(request))
    }
}

fn asked(request: &HttpRequest) -> Result<Asked, Error> {
    let served = request.app_data::<web::Data<Served>>().ok_or(Error::Module)?;
    if !served.token.is_shown_by(request.headers()) {
        return Err(Error::Token);
    }
    let link = served
        .links
        .get(request.match_info().query("module"))
        .ok_or(Error::Module)?;
    Ok(Asked(Arc::clone(link)))
}

/// A command, and the link that it is for. The token is looked at first: a stranger does not learn what a body lacks.
struct Command<C>(Arc<Link>, C);

impl<C: DeserializeOwned> FromRequest for Command<C> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (link, body) = (asked(request), Bytes::from_request(request, payload));
        Box::pin(async move {
            let Asked(link) = link?;
            let malformed = |error: &dyn std::fmt::Display| Error::Malformed(format!("the body: {error}"));
            let body = body.await.map_err(|error| match error.as_error() {
                Some(PayloadError::Overflow) => malformed(&format!("{BODY_LIMIT} bytes at the most")),
                _ => malformed(&error),
            })?;
            let command = serde_json::from_slice(&body).map_err(|error| malformed(&error))?;
            Ok(Self(link, command))
        })
    }
}
