//! `/health/live` and `/health/ready`: is the process there, and should traffic be sent to it.
//!
//! Ready means that the database answers, that its schema is current and that the process is not on its way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::db::{Db, Migrations};

/// What readiness depends on.
#[derive(Clone, Debug)]
pub struct Readiness {
    db: Db,
    migrations: Migrations,
    draining: Arc<AtomicBool>,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Readiness {
    /// Ready once `db` answers and has all of `migrations`.
    pub fn new(db: Db, migrations: Migrations) -> Self {
        Self {
            db,
            migrations,
            draining: Arc::new(AtomicBool::new(false)),
        }
    }

    /// From now on not ready: the process is going.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Why traffic should not come, if it should not.
    pub async fn obstacle(&self) -> Option<String> {
        if self.draining.load(Ordering::Acquire) {
            return Some("shutting down".to_owned());
        }
        let migrations = self.migrations;
        match self.db.read(move |conn| Db::is_current(conn, &migrations)).await {
            Ok(true) => None,
            Ok(false) => Some("the database schema is not current: run `migrate`".to_owned()),
            Err(error) => Some(format!("the database does not answer: {error}")),
        }
    }
}

/// Adds the two routes.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/health/live", web::get().to(live))
        .route("/health/ready", web::get().to(ready));
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(report("ok", None))
}

async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    match readiness.obstacle().await {
        None => HttpResponse::Ok().json(report("ready", None)),
        Some(reason) => HttpResponse::ServiceUnavailable().json(report("not ready", Some(reason))),
    }
}

fn report(status: &'static str, reason: Option<String>) -> Report {
    Report {
        status,
        version: env!("CARGO_PKG_VERSION"),
        reason,
    }
}
