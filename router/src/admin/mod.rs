//! The operators' port: what is being served and how it goes, and the commands that change it.
//!
//! For the command line, dashboards, probes and people with curl. It has a listener of its own, so that a flood of clients
//! cannot hide it, and goes on answering while the router drains. `guard` lets in who has the [`token`]; [`wish`] switches
//! routes, `show`, `audit`, `events` and `metrics` look. What is refused is a [`problem`]. The OpenAPI document
//! ([`document`]) is made from the handlers and is committed as `docs/api/router.json`.

mod audit;
mod events;
mod guard;
mod metrics;
mod pen;
mod pen_metrics;
pub mod problem;
mod read;
mod show;
pub mod token;
pub mod wish;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::http::header::ALLOW;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError, get, web};
use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi};
use utoipa::{IntoResponses, ToSchema};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::promotion::operator::Operator;
use crate::state::State;
use problem::Problem;
use token::Token;

/// Connections of operators at the same time.
const CONNECTIONS: usize = 256;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);

/// What every operation but the health checks may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is there for the document")]
enum Refusals {
    #[response(
        status = 401,
        description = "No token, or the wrong one",
        content_type = "application/problem+json"
    )]
    Unauthorized(#[to_schema] Problem),
    #[response(
        status = 403,
        description = "A Host that the admin port does not go by, or an Origin that is not its own",
        content_type = "application/problem+json"
    )]
    Forbidden(#[to_schema] Problem),
}

/// Whether the router runs, or serves.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `live`, `ready` or `draining`.
    status: &'static str,
}

/// Serves the admin port to whoever has the token.
pub fn serve(listener: TcpListener, operator: Arc<Operator>, token: Token) -> io::Result<Server> {
    let state = web::Data::from(Arc::clone(operator.state()));
    let (operator, token) = (web::Data::from(operator), web::Data::new(token));
    let registry = web::Data::new(metrics::registry(Arc::clone(operator.state())));
    let server = HttpServer::new(move || {
        App::new()
            .configure(served)
            .app_data(state.clone())
            .app_data(operator.clone())
            .app_data(token.clone())
            .app_data(registry.clone())
            .default_service(web::to(nothing_here))
            .wrap(from_fn(guard::guard))
    });
    let server = server
        .workers(1)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEAD)
        .disable_signals();
    Ok(server.listen(listener)?.run())
}

/// Adds every operation to what is served or to what is described: the two have no type in common.
macro_rules! operations {
    ($config:expr) => {
        $config
            .service(live)
            .service(ready)
            .service(show::status)
            .service(show::routes)
            .service(show::config)
            .service(show::evidence)
            .service(wish::certificate)
            .service(show::why)
            .service(wish::plan)
            .service(wish::switch)
            .service(pen::what_is_known)
            .service(pen::hold)
            .service(pen::release)
            .service(pen::journal)
            .service(audit::audit)
            .service(events::events)
            .service(metrics::metrics)
            .service(openapi)
    };
}

fn served(config: &mut web::ServiceConfig) {
    operations!(config);
}

fn described(config: &mut ServiceConfig<'_>) {
    operations!(config);
}

/// What the admin port can do, as an OpenAPI document. It takes some two megabytes to make, so it is made when it is asked for.
pub fn document() -> OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .configure(described)
        .split_for_parts();
    let info = InfoBuilder::new()
        .title("The router's admin port")
        .version(env!("CARGO_PKG_VERSION"));
    document.info = info.build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let needed = vec![SecurityRequirement::new("token", Vec::<String>::new())];
    let guarded = document
        .paths
        .paths
        .iter_mut()
        .filter(|(path, _)| !path.starts_with("/health/"));
    for (_, item) in guarded {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation.security = Some(needed.clone());
        }
    }
    document
}

/// Whether the process runs.
#[utoipa::path(tag = "health", responses((status = 200, body = Health)))]
#[get("/health/live")]
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "live" })
}

/// Whether requests sent now will be served.
#[utoipa::path(tag = "health", responses(
    (status = 200, body = Health),
    (status = 503, description = "It is about to stop", body = Health),
))]
#[get("/health/ready")]
async fn ready(state: web::Data<State>) -> HttpResponse {
    if state.is_draining() {
        HttpResponse::ServiceUnavailable().json(Health { status: "draining" })
    } else {
        HttpResponse::Ok().json(Health { status: "ready" })
    }
}

/// This document.
#[utoipa::path(tag = "looking", responses((status = 200, body = serde_json::Value), Refusals))]
#[get("/openapi.json")]
async fn openapi() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

/// 405 if another method would be taken here, else 404.
async fn nothing_here(request: HttpRequest) -> HttpResponse {
    let known = document().paths.paths;
    let paths = known.iter().filter(|(path, _)| is_at(path, request.path()));
    let methods = paths.flat_map(|(_, item)| {
        [
            item.get.as_ref().map(|_| "GET"),
            item.post.as_ref().map(|_| "POST"),
        ]
    });
    let allowed: Vec<&str> = methods.flatten().collect();
    if allowed.is_empty() {
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        return Problem::not_found(format!("the admin port knows {}", known.join(", "))).error_response();
    }
    let (title, detail) = (
        "This takes another method",
        format!("use {}", allowed.join(" or ")),
    );
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        title,
        detail,
    )
    .header(ALLOW, &allowed.join(", "))
    .error_response()
}

/// Whether a path of the document and one of a request are the same.
fn is_at(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let same =
        |(known, asked): (&&str, &&str)| known == asked || (known.starts_with('{') && !asked.is_empty());
    template.len() == path.len() && template.iter().zip(&path).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a change that is meant: `BANYAN_REWRITE=1 cargo test -p router --lib admin`, and read the difference.
    #[test]
    fn the_committed_document_is_what_the_router_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/router.json");
        let said = format!("{}\n", document().to_pretty_json().unwrap());
        if std::env::var_os("BANYAN_REWRITE").is_some() {
            std::fs::write(path, &said).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == said,
            "docs/api/router.json is not what the router says: rewrite it"
        );
    }

    #[test]
    fn whatever_is_read_may_be_unreadable_and_the_document_says_so() {
        let document = serde_json::to_value(document()).unwrap();
        let operations = document["paths"].as_object().unwrap().values();
        let mut silent = Vec::new();
        for operation in operations.flat_map(|path| path.as_object().unwrap().values()) {
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            let is_read = operation.get("requestBody").is_some()
                || parameters.any(|parameter| parameter["in"] == "query");
            if is_read && operation["responses"].get("400").is_none() {
                silent.push(operation["operationId"].clone());
            }
        }
        assert!(silent.is_empty(), "no 400 for {silent:?}");
    }
}
