//! Binds first, serves with limits, and leaves in order: not ready, no new connections, finish, close.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpServer, web};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use utoipa::openapi::Components;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::build;
use crate::extract::BodyLimit;
use crate::health::{self, Readiness};
use crate::problem::Problem;
use crate::telemetry::trace_request;
use crate::unknown::{self, KnownPaths};

/// Limits of a server, each with a default that suits a small shop.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Worker threads.
    pub workers: usize,
    /// Bytes of a request body at the most.
    pub body_limit: usize,
    /// Seconds a client may take to send the head of a request.
    pub header_timeout_s: u64,
    /// Seconds a request may take altogether.
    pub request_timeout_s: u64,
    /// Seconds that running requests get to finish at shutdown.
    pub drain_s: u64,
}

impl Default for ServerSettings {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            workers,
            body_limit: 256 * 1024,
            header_timeout_s: 10,
            request_timeout_s: 30,
            drain_s: 10,
        }
    }
}

/// Serves `routes` at `listen` until SIGTERM or SIGINT, then drains. Prints `listening <name>=<address>` on standard
/// output once the port is bound, so that whoever asked for port 0 learns which it is; `beside` are the ports that the process
/// has bound already, for the same line.
pub async fn run<F>(
    name: &str,
    listen: &str,
    settings: &ServerSettings,
    readiness: Readiness,
    beside: &[(&str, SocketAddr)],
    routes: F,
) -> io::Result<()>
where
    F: Fn(&mut ServiceConfig<'_>) + Clone + Send + 'static,
{
    let (ready, limit) = (
        web::Data::new(readiness.clone()),
        web::Data::new(BodyLimit(settings.body_limit)),
    );
    let deadline = web::Data::new(Deadline(Duration::from_secs(settings.request_timeout_s)));
    let server = HttpServer::new(move || {
        let (app, document) = App::new().into_utoipa_app().configure(&routes).split_for_parts();
        app.app_data(limit.clone())
            .app_data(ready.clone())
            .app_data(deadline.clone())
            .app_data(web::Data::new(KnownPaths::of(&document)))
            .configure(health::routes)
            .default_service(web::to(unknown::answer))
            .wrap(from_fn(keep_deadline))
            .wrap(from_fn(head_as_get))
            .wrap(from_fn(trace_request))
            .wrap(build::header())
    })
    .workers(settings.workers)
    .client_request_timeout(Duration::from_secs(settings.header_timeout_s))
    .shutdown_timeout(settings.drain_s)
    .disable_signals()
    .bind(listen)
    .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}")))?;
    announce(name, &server.addrs(), beside);
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(async move {
        if stop_signal().await.is_ok() {
            tracing::info!("shutting down: finishing running requests");
            readiness.drain();
            handle.stop(true).await;
        }
    });
    server.await
}

/// The OpenAPI document of `routes`.
pub fn document<F>(title: &str, version: &str, routes: F) -> utoipa::openapi::OpenApi
where
    F: Fn(&mut ServiceConfig<'_>),
{
    let (_, mut document) = App::new().into_utoipa_app().configure(&routes).split_for_parts();
    document.info = utoipa::openapi::InfoBuilder::new()
        .title(title)
        .version(version)
        .build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme("session", SecurityScheme::Http(bearer));
    document
}

#[expect(clippy::print_stdout, reason = "the one line a harness or script reads")]
fn announce(name: &str, addresses: &[SocketAddr], beside: &[(&str, SocketAddr)]) {
    let beside: String = beside
        .iter()
        .map(|(name, address)| format!(" {name}={address}"))
        .collect();
    for address in addresses {
        tracing::info!(%address, beside, "listening");
        println!("listening {name}={address}{beside}");
    }
}

async fn stop_signal() -> io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
    Ok(())
}

/// The time a request may take.
struct Deadline(Duration);

async fn keep_deadline(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let limit = request
        .app_data::<web::Data<Deadline>>()
        .map_or(Duration::from_secs(30), |limit| limit.0);
    // Nothing may keep the request while it is routed, or actix panics; so this ends in an error and not in an answer.
    match tokio::time::timeout(limit, next.call(request)).await {
        Ok(answer) => answer,
        Err(_) => Err(Problem::unavailable("The request took too long and was given up.", 1).into()),
    }
}

/// HEAD is answered as GET without the body (RFC 9110, section 9.3.2); the server leaves the body out by itself.
async fn head_as_get(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    next.call(request).await
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, init_service, try_call_service};

    use super::*;
    use crate::context::REQUEST_ID;

    /// The status of an answer to `path` where a request may take 50 ms, and whether the answer names its request.
    async fn ask(path: &str) -> (StatusCode, bool) {
        let app = App::new()
            .app_data(web::Data::new(Deadline(Duration::from_millis(50))))
            .route("/quick", web::get().to(async || "done"))
            .route("/slow", web::get().to(std::future::pending::<&'static str>))
            .wrap(from_fn(keep_deadline))
            .wrap(from_fn(head_as_get))
            .wrap(from_fn(trace_request));
        let app = init_service(app).await;
        let answered = try_call_service(&app, TestRequest::get().uri(path).to_request()).await;
        let answer = match answered {
            Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
            Err(error) => error.error_response(),
        };
        (answer.status(), answer.headers().contains_key(REQUEST_ID))
    }

    #[actix_web::test]
    async fn a_request_is_answered_in_time_or_refused_and_named_either_way() {
        assert_eq!(ask("/quick").await, (StatusCode::OK, true));
        assert_eq!(ask("/slow").await, (StatusCode::SERVICE_UNAVAILABLE, true));
    }
}
