//! Where the shop and the catalog keep their data: two files in the folder, or two databases made for the occasion.

use std::path::Path;

use crate::postgres::Database;

/// The two databases. Dropping it drops what was created on a server.
#[derive(Debug)]
pub(super) struct Databases {
    /// The monolith's.
    pub(super) shop: String,
    /// The catalog service's.
    pub(super) catalog: String,
    _created: Vec<Database>,
}

impl Databases {
    /// Files in `folder`; they come into being when they are opened.
    pub(super) fn files(folder: &Path) -> Self {
        let file = |name: &str| format!("sqlite:{}", folder.join(name).display());
        Self {
            shop: file("shop.db"),
            catalog: file("catalog.db"),
            _created: Vec::new(),
        }
    }

    /// Two new databases on the server of `url`.
    pub(super) fn create(url: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(
            url.starts_with("postgres://") || url.starts_with("postgresql://"),
            "--database takes postgres://…; without it the demo runs on SQLite"
        );
        let (shop, catalog) = (Database::create(url, "shop")?, Database::create(url, "catalog")?);
        Ok(Self {
            shop: shop.url().to_owned(),
            catalog: catalog.url().to_owned(),
            _created: vec![shop, catalog],
        })
    }
}
