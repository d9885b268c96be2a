//! A database of its own on somebody's PostgreSQL server, gone when it is dropped.
//!
//! For everything that runs on PostgreSQL and must find it empty: the demo, the trials.

mod server;

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use diesel::{Connection, PgConnection, RunQueryDsl};
use url::Url;

pub use server::{Server, programs};

/// A database that exists as long as this does.
#[derive(Debug)]
pub struct Database {
    url: Url,
    server: Url,
    name: String,
}

/// Parts the databases of one process.
static MADE: AtomicU32 = AtomicU32::new(0);

impl Database {
    /// Makes one on the server of `url`, a database there that one can connect to. `purpose` becomes part of its name.
    pub fn create(url: &str, purpose: &str) -> anyhow::Result<Self> {
        let server = Url::parse(url)
            .context("a PostgreSQL server is named by a URL: postgres://user@host/database")?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("banyan_{purpose}_{}_{number}", std::process::id());
        let mut conn = connect(&server)?;
        diesel::sql_query(format!("CREATE DATABASE \"{name}\""))
            .execute(&mut conn)
            .context("no database can be created there")?;
        let mut url = server.clone();
        url.set_path(&name);
        Ok(Self { url, server, name })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        let dropped =
            connect(&self.server).and_then(|mut conn| Ok(diesel::sql_query(drop).execute(&mut conn)?));
        if let Err(error) = dropped {
            tracing::error!(%error, name = self.name, "the database cannot be dropped");
        }
    }
}

fn connect(server: &Url) -> anyhow::Result<PgConnection> {
    PgConnection::establish(server.as_str()).context("the PostgreSQL server cannot be reached")
}
