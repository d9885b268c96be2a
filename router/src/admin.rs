//! The operators' port: health for the platform, and the routes as they are being served, read-only.
//!
//! For load balancers, probes and people with curl. It has a listener of its own, so that a flood of clients cannot hide
//! it, and goes on answering while the router drains.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::json;

use crate::problem::MEDIA_TYPE;
use crate::promotion::operator::Operator;
use crate::report;
use crate::state::State;

/// Serves the admin port.
pub fn serve(listener: TcpListener, operator: Arc<Operator>) -> io::Result<Server> {
    let state = web::Data::from(Arc::clone(operator.state()));
    let operator = web::Data::from(operator);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(operator.clone())
            .route("/health/live", web::get().to(live))
            .route("/health/ready", web::get().to(ready))
            .route("/routes", web::get().to(routes))
            .route("/routes/{name}/evidence", web::get().to(evidence))
            .route("/config", web::get().to(config))
            .default_service(web::to(nothing_here))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// Ready means that requests sent now will be served.
async fn ready(state: web::Data<State>) -> HttpResponse {
    if state.is_draining() {
        HttpResponse::ServiceUnavailable().json(json!({ "status": "draining" }))
    } else {
        HttpResponse::Ok().json(json!({ "status": "ready" }))
    }
}

async fn routes(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(report::routes(&state.snapshot().config))
}

async fn evidence(state: web::Data<State>, name: web::Path<String>) -> HttpResponse {
    match report::evidence(&state, &name) {
        Some(evidence) => HttpResponse::Ok().json(evidence),
        None => nothing_here().await,
    }
}

async fn config(state: web::Data<State>) -> HttpResponse {
    let (snapshot, news) = (state.snapshot(), state.news());
    let age = news.since.elapsed().unwrap_or_default();
    HttpResponse::Ok().json(json!({
        "hash": snapshot.config.hash,
        "age_seconds": age.as_secs(),
        "file_is_current": news.refused.is_none(),
        "refused": news.refused,
        "state_database": if state.has_database() { "ready" } else { "waiting" },
    }))
}

async fn nothing_here() -> HttpResponse {
    HttpResponse::NotFound().content_type(MEDIA_TYPE).json(json!({
        "type": "urn:banyan:router:not-found",
        "title": "There is nothing here",
        "status": 404,
        "detail": "the admin port knows /health/live, /health/ready, /routes and /config",
    }))
}
