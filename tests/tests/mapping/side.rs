//! One side's tables and the store that maps them, without a process around them.

use std::sync::Arc;

use anyhow::ensure;
use banyan_tests::till::{Created, Database};
use chassis::db::{Conn, Db, Error, PoolSettings, transact};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use handover::row::{Key, Row, chunk_hash};
use handover::store::{Range, Store};
use handover::table::Table;
use tempfile::TempDir;

use crate::goods::Shop;

/// Whose tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Monolith,
    Service,
}

impl Who {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Monolith => "monolith",
            Self::Service => "service",
        }
    }
}

/// A side. No pen is installed, so every write goes through.
pub(crate) struct Side {
    pub(crate) who: Who,
    pub(crate) db: Db,
    pub(crate) store: Arc<dyn Store>,
    _data: Created,
    _folder: TempDir,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Side {
    /// A new database with this side's tables.
    pub(crate) fn open(database: &Database, who: Who) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = database.create(folder.path(), "rows.db")?;
        let db = Db::open(data.url(), &PoolSettings::default())?;
        let store = match who {
            Who::Monolith => {
                db.migrate(&monolith::app::MIGRATIONS)?;
                let service = monolith::config::CatalogService {
                    url: "http://127.0.0.1:9".to_owned(),
                    deadline_ms: 1,
                    retries: 0,
                };
                let flags = monolith::flags::Sources::new(toml::Table::new(), None).follow()?;
                monolith::catalog::Catalog::new(db.clone(), &service, flags)?
                    .handed_over()
                    .store
            }
            Who::Service => {
                db.migrate(&catalog::MIGRATIONS)?;
                catalog::Catalog::new(db.clone(), catalog::config::Writes::Refuse)
                    .handed_over()
                    .store
            }
        };
        Ok(Self {
            who,
            db,
            store,
            _data: data,
            _folder: folder,
        })
    }

    /// Runs work in one transaction that is marked as a follower's, and takes it back if it fails.
    pub(crate) fn transact<T>(&self, work: impl Fn(&mut Conn) -> Result<T, Error>) -> Result<T, Error> {
        transact(&mut *self.db.connect()?, |conn| {
            let (mark, unmark) = match conn {
                Conn::Postgres(_) => ("SET LOCAL banyan.follower = 'catalog'", "RESET banyan.follower"),
                Conn::Sqlite(_) => (
                    "INSERT INTO mark_catalog VALUES ('catalog')",
                    "DELETE FROM mark_catalog",
                ),
            };
            conn.batch_execute(mark)?;
            let done = work(conn)?;
            conn.batch_execute(unmark)?;
            Ok(done)
        })
    }

    pub(crate) fn table(&self, name: &str) -> anyhow::Result<&'static Table> {
        let found = self.store.tables().iter().find(|table| table.name == name);
        found.ok_or_else(|| anyhow::anyhow!("no table {name}"))
    }

    /// Puts rows of one table, in a transaction of their own.
    pub(crate) fn put(&self, table: &str, rows: &[Row]) -> anyhow::Result<()> {
        let table = self.table(table)?;
        Ok(self.transact(|conn| self.store.put(conn, table, rows))?)
    }

    /// Puts everything that a shop has, parents first, in a transaction for each table.
    pub(crate) fn put_all(&self, shop: &Shop) -> anyhow::Result<()> {
        for table in self.store.tables() {
            for rows in shop.rows(table).chunks(1000) {
                self.put(table.name, rows)?;
            }
        }
        Ok(())
    }

    /// All rows of a table, read in pages so small that there are several.
    pub(crate) fn rows(&self, table: &Table) -> anyhow::Result<Vec<Row>> {
        let (mut all, mut range): (Vec<Row>, _) = (Vec::new(), Range::default());
        loop {
            let page = self.transact(|conn| self.store.page(conn, table, &range, 3))?;
            let Some(last) = page.last() else {
                return Ok(all);
            };
            range.after = table.key_of(last);
            all.extend(page);
        }
    }

    /// Checks that the tables hold what the shop has, to the byte, and that each row is found by its key.
    pub(crate) fn holds(&self, shop: &Shop) -> anyhow::Result<()> {
        for table in self.store.tables() {
            let (wanted, found) = (shop.rows(table), self.rows(table)?);
            ensure!(
                wanted == found,
                "{}: wanted\n{wanted:#?}\nfound\n{found:#?}",
                table.name
            );
            ensure!(chunk_hash(&wanted) == chunk_hash(&found), "{}", table.name);
            let keys: Vec<Key> = wanted.iter().filter_map(|row| table.key_of(row)).collect();
            let mut found = self.transact(|conn| self.store.find(conn, table, &keys))?;
            found.sort_by(|left, right| {
                let keys = table.key_of(left).zip(table.key_of(right));
                keys.map_or(std::cmp::Ordering::Equal, |(left, right)| {
                    table.compare(&left, &right)
                })
            });
            ensure!(wanted == found, "{}: by key: {found:#?}", table.name);
        }
        Ok(())
    }

    /// The SKUs that a search for one word gives, by the tables alone.
    pub(crate) fn found(&self, word: &str) -> anyhow::Result<Vec<String>> {
        let mut conn = self.db.connect()?;
        let which = match (self.who, &*conn) {
            (Who::Monolith, _) => format!("deleted_at IS NULL AND search_words LIKE '% {word} %'"),
            (Who::Service, Conn::Sqlite(_)) => {
                format!("id IN (SELECT rowid FROM product_search WHERE product_search MATCH '\"{word}\"')")
            }
            (Who::Service, Conn::Postgres(_)) => {
                format!("id IN (SELECT product_id FROM product_search WHERE words @@ '{word}'::tsquery)")
            }
        };
        let query = format!("SELECT sku AS line FROM products WHERE {which} ORDER BY sku");
        let lines: Vec<Line> = diesel::sql_query(query).load(&mut *conn)?;
        Ok(lines.into_iter().map(|line| line.line).collect())
    }

    /// Whether everything that the full-text index has is a product; the monolith keeps words in the product's row.
    pub(crate) fn has_no_orphans(&self) -> anyhow::Result<bool> {
        let id = match (self.who, &*self.db.connect()?) {
            (Who::Monolith, _) => return Ok(true),
            (Who::Service, Conn::Sqlite(_)) => "rowid",
            (Who::Service, Conn::Postgres(_)) => "product_id",
        };
        let orphans = format!("FROM product_search WHERE {id} NOT IN (SELECT id FROM products)");
        Ok(self.ask(&format!("SELECT CAST(count(*) AS TEXT) AS line {orphans}"))? == "0")
    }

    /// Runs a statement that gives one text.
    pub(crate) fn ask(&self, sql: &str) -> anyhow::Result<String> {
        let mut conn = self.db.connect()?;
        let line: Line = diesel::sql_query(sql).get_result(&mut *conn)?;
        Ok(line.line)
    }
}
