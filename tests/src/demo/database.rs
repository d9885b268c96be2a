//! Where the shop and the catalog keep their data: two files in the folder, or two databases made for the occasion.

use std::path::Path;

use anyhow::Context;
use diesel::{Connection, PgConnection, RunQueryDsl};
use url::Url;

/// The two databases. Dropping it drops what was created on a server.
#[derive(Debug)]
pub(super) struct Databases {
    /// The monolith's.
    pub(super) shop: String,
    /// The catalog service's.
    pub(super) catalog: String,
    _created: Option<Created>,
}

#[derive(Debug)]
struct Created {
    server: Url,
    names: Vec<String>,
}

impl Databases {
    /// Files in `folder`; they come into being when they are opened.
    pub(super) fn files(folder: &Path) -> Self {
        let file = |name: &str| format!("sqlite:{}", folder.join(name).display());
        Self {
            shop: file("shop.db"),
            catalog: file("catalog.db"),
            _created: None,
        }
    }

    /// Two new databases on the server of `url`.
    pub(super) fn create(url: &str) -> anyhow::Result<Self> {
        let server = Url::parse(url).context("--database takes a URL: postgres://user@host/database")?;
        anyhow::ensure!(
            matches!(server.scheme(), "postgres" | "postgresql"),
            "--database takes postgres://…; without it the demo runs on SQLite"
        );
        let mut created = Created {
            server: server.clone(),
            names: Vec::new(),
        };
        let mut conn = connect(&server)?;
        let mut create = |what: &str| -> anyhow::Result<String> {
            let name = format!("banyan_demo_{}_{what}", std::process::id());
            diesel::sql_query(format!("CREATE DATABASE \"{name}\""))
                .execute(&mut conn)
                .context("no database can be created there")?;
            let mut url = server.clone();
            url.set_path(&name);
            created.names.push(name);
            Ok(url.into())
        };
        let (shop, catalog) = (create("shop")?, create("catalog")?);
        Ok(Self {
            shop,
            catalog,
            _created: Some(created),
        })
    }
}

fn connect(server: &Url) -> anyhow::Result<PgConnection> {
    PgConnection::establish(server.as_str()).context("the PostgreSQL server cannot be reached")
}

impl Drop for Created {
    fn drop(&mut self) {
        let Ok(mut conn) = connect(&self.server) else {
            return tracing::error!(databases = ?self.names, "cannot be dropped: the server is gone");
        };
        for name in &self.names {
            let dropped = diesel::sql_query(format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
            if let Err(error) = dropped.execute(&mut conn) {
                tracing::error!(%error, name, "the database cannot be dropped");
            }
        }
    }
}
