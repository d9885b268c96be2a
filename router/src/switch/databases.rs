//! Databases to test on: SQLite in a folder, and PostgreSQL if `BANYAN_TEST_POSTGRES` names a server.

use std::sync::atomic::{AtomicU32, Ordering};

use chassis::db::{Db, PoolSettings};
use diesel::{Connection, PgConnection, RunQueryDsl};

static MADE: AtomicU32 = AtomicU32::new(0);

/// A database that is gone when this is dropped.
pub(super) struct Database {
    pub(super) url: String,
    /// The folder of an SQLite one.
    _folder: Option<tempfile::TempDir>,
    /// The server and name of a PostgreSQL one.
    server: Option<(String, String)>,
}

impl Database {
    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite:{}", folder.path().join("router.db").display()),
            _folder: Some(folder),
            server: None,
        }
    }

    fn postgres() -> Option<Self> {
        let server = std::env::var("BANYAN_TEST_POSTGRES").ok()?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("banyan_switch_{}_{number}", std::process::id());
        let mut conn = PgConnection::establish(&server).unwrap();
        diesel::sql_query(format!("CREATE DATABASE \"{name}\""))
            .execute(&mut conn)
            .unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Some(Self {
            url: url.into(),
            _folder: None,
            server: Some((server, name)),
        })
    }

    /// One of each kind that can be had.
    pub(super) fn each() -> Vec<Self> {
        [Some(Self::sqlite()), Self::postgres()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Opens it, without a schema. Statements do not wait long for a lock.
    pub(super) fn open(&self) -> Db {
        let settings = PoolSettings {
            size: 4,
            acquire_timeout_ms: 5_000,
            statement_timeout_ms: 5_000,
        };
        Db::open(&self.url, &settings).unwrap()
    }

    /// Opens it with the router's schema.
    pub(super) fn migrated(&self) -> Db {
        let db = self.open();
        db.migrate(&crate::records::MIGRATIONS).unwrap();
        db
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.server {
            let drop = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
            let conn = PgConnection::establish(server);
            let _ = conn.map(|mut conn| diesel::sql_query(drop).execute(&mut conn));
        }
    }
}
