//! The catalog's tables as they are handed over: this side's form is the canonical one, so a list says it all.

#[cfg(test)]
use handover::ddl::Plan;
use handover::plain::{Computed, Plain, Reference};
use handover::row::Row;
#[cfg(test)]
use handover::table::Captured;
use handover::table::{Column, Kind, Table};

use super::model::search_words;

/// The module's name in the protocol.
pub(super) const MODULE: &str = "catalog";

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const CATEGORIES: Table = Table {
    name: "categories",
    key: &["id"],
    columns: &[
        column("id", Kind::Integer),
        column("slug", Kind::Text),
        column("name", Kind::Text),
    ],
};

const PRODUCTS: Table = Table {
    name: "products",
    key: &["id"],
    columns: &[
        column("id", Kind::Integer),
        column("sku", Kind::Text),
        column("name", Kind::Text),
        column("description", Kind::Text),
        column("category_id", Kind::Integer),
        column("price_amount", Kind::Integer),
        column("price_currency", Kind::Text),
        column("status", Kind::Text),
        column("version", Kind::Integer),
        column("created_at", Kind::Time),
        column("updated_at", Kind::Time),
        column("deleted_at", Kind::Time),
    ],
};

const PRICES: Table = Table {
    name: "price_history",
    key: &["id"],
    columns: &[
        column("id", Kind::Integer),
        column("product_id", Kind::Integer),
        column("amount", Kind::Integer),
        column("currency", Kind::Text),
        column("effective_from", Kind::Time),
    ],
};

const KEYS: Table = Table {
    name: "catalog_keys",
    key: &["scope", "key"],
    columns: &[
        column("scope", Kind::Text),
        column("key", Kind::Text),
        column("body_hash", Kind::Text),
        column("location", Kind::Text),
        column("etag", Kind::Text),
        column("body", Kind::Text),
        column("created_at", Kind::Time),
    ],
};

/// The rows, and how they are read and written.
pub(super) const ROWS: Plain = Plain {
    tables: &[CATEGORIES, PRODUCTS, PRICES, KEYS],
    computed: &[Computed {
        table: "products",
        column: "search_words",
        value: searchable,
    }],
    references: &[
        Reference {
            table: "products",
            column: "category_id",
            to: "categories",
        },
        Reference {
            table: "price_history",
            column: "product_id",
            to: "products",
        },
    ],
    numbered: &[("categories", "id"), ("products", "id"), ("price_history", "id")],
};

/// The tables whose changes are captured, and the triggers made from them.
#[cfg(test)]
const PLAN: Plan = Plan {
    module: MODULE,
    captured: &[
        Captured {
            table: "categories",
            of: "categories",
            key: &["id"],
            unique: &[&["slug"]],
        },
        Captured {
            table: "products",
            of: "products",
            key: &["id"],
            unique: &[&["sku"]],
        },
        Captured {
            table: "price_history",
            of: "price_history",
            key: &["id"],
            unique: &[],
        },
        Captured {
            table: "catalog_keys",
            of: "catalog_keys",
            key: &["scope", "key"],
            unique: &[],
        },
    ],
};

/// What follows from a product's texts, and so does not travel.
fn searchable(row: &Row) -> String {
    let text = |name: &str| row.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    search_words(text("sku"), text("name"), text("description"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use handover::ddl::{Backend, down, up};

    use super::*;

    /// The committed migrations are what the list of tables gives. After a change of the list: a new migration, and its name here; while
    /// it has not been released, `BANYAN_REWRITE=1` writes it.
    #[test]
    fn the_committed_triggers_are_those_of_the_list() {
        for (folder, backend) in [("sqlite", Backend::Sqlite), ("postgres", Backend::Postgres)] {
            let migration = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
                "../migrations/monolith/{folder}/2026-11-25-000800_pen_catalog"
            ));
            for (file, text) in [("up.sql", up(&PLAN, backend)), ("down.sql", down(&PLAN, backend))] {
                let path = migration.join(file);
                if std::env::var_os("BANYAN_REWRITE").is_some() {
                    std::fs::create_dir_all(&migration).unwrap();
                    std::fs::write(&path, &text).unwrap();
                }
                assert_eq!(
                    std::fs::read_to_string(&path).unwrap_or_default(),
                    text,
                    "{}",
                    path.display()
                );
            }
        }
    }
}
