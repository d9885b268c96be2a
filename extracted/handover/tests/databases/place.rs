//! A database with a small schema, its pen and its triggers, gone when it is dropped.
//!
//! The schema has what is awkward: foreign keys in two steps, a unique column, a key of two texts, a text in a key whose
//! collation is that of a language, a column that does not travel, and a table whose changes are changes of another one. The
//! module's name has a hyphen, which no name of a table may have.

use std::ops::DerefMut;

use chassis::db::{Conn, Db, Error, PoolSettings};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use handover::ddl::{self, Backend, Plan};
use handover::plain::{Computed, Plain, Reference};
use handover::row::Row;
use handover::store::Store;
use handover::table::{Captured, Column, Kind, Table};

/// The tables, their pen and their feed.
pub(crate) const PLAN: Plan = Plan {
    module: "test-goods",
    captured: &[
        captured("shelves", "shelves", &["id"], &[&["slug"]]),
        captured("goods", "goods", &["id"], &[&["sku"]]),
        captured("marks", "marks", &["scope", "key"], &[]),
        // Its primary key is not the key that is captured, so it is listed.
        captured("prices", "goods", &["goods_id"], &[&["goods_id", "seq"]]),
        captured("labels", "labels", &["id"], &[]),
    ],
};

/// The rows.
pub(crate) const ROWS: Plain = Plain {
    tables: &[SHELVES, GOODS, MARKS, LABELS],
    computed: &[Computed {
        table: "goods",
        column: "words",
        value: words,
    }],
    references: &[
        refers("goods", "shelf_id", "shelves"),
        refers("labels", "goods_id", "goods"),
    ],
    numbered: &[("shelves", "id"), ("goods", "id"), ("labels", "id")],
};

pub(crate) const SHELVES: Table = Table {
    name: "shelves",
    key: &["id"],
    columns: &[column("id", Kind::Integer), column("slug", Kind::Text)],
};

pub(crate) const GOODS: Table = Table {
    name: "goods",
    key: &["id"],
    columns: &[
        column("id", Kind::Integer),
        column("sku", Kind::Text),
        column("shelf_id", Kind::Integer),
        column("amount", Kind::Integer),
        column("active", Kind::Boolean),
        column("note", Kind::Text),
        column("made_at", Kind::Time),
        column("gone_at", Kind::Time),
    ],
};

pub(crate) const MARKS: Table = Table {
    name: "marks",
    key: &["scope", "key"],
    columns: &[
        column("scope", Kind::Text),
        column("key", Kind::Text),
        column("body", Kind::Text),
    ],
};

pub(crate) const LABELS: Table = Table {
    name: "labels",
    key: &["id"],
    columns: &[column("id", Kind::Integer), column("goods_id", Kind::Integer)],
};

pub(crate) const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const fn refers(table: &'static str, column: &'static str, to: &'static str) -> Reference {
    Reference { table, column, to }
}

const fn captured(
    table: &'static str,
    of: &'static str,
    key: &'static [&'static str],
    unique: &'static [&'static [&'static str]],
) -> Captured {
    Captured {
        table,
        of,
        key,
        unique,
    }
}

fn words(row: &Row) -> String {
    row.get("sku")
        .and_then(|sku| sku.as_str())
        .unwrap_or_default()
        .to_lowercase()
}

const SCHEMA: &str = "
CREATE TABLE shelves (id SERIAL_ID, slug TEXT COLLATE BYTES NOT NULL UNIQUE);
CREATE TABLE goods (
  id SERIAL_ID, sku TEXT COLLATE BYTES NOT NULL UNIQUE, shelf_id BIGINT NOT NULL REFERENCES shelves (id), amount BIGINT NOT NULL,
  active BOOLEAN NOT NULL, note TEXT, words TEXT NOT NULL, made_at TIMESTAMP NOT NULL, gone_at TIMESTAMP
);
CREATE TABLE marks (
  scope TEXT COLLATE BYTES NOT NULL, key TEXT COLLATE WORDS NOT NULL, body TEXT NOT NULL, PRIMARY KEY (scope, key)
);
CREATE TABLE prices (
  goods_id BIGINT NOT NULL REFERENCES goods (id) ON DELETE CASCADE, seq BIGINT NOT NULL, amount BIGINT NOT NULL,
  PRIMARY KEY (goods_id, seq)
);
CREATE TABLE labels (id SERIAL_ID, goods_id BIGINT NOT NULL REFERENCES goods (id));
";

/// What a database is called in the name of a trial.
pub(crate) fn name(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
    }
}

/// A database of its own.
pub(crate) struct Place {
    pub(crate) backend: Backend,
    url: String,
    _folder: tempfile::TempDir,
    server: Option<(String, String)>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = Text)]
    text: String,
}

impl Place {
    /// Whether there is such a database to test on.
    pub(crate) fn is_there(backend: Backend) -> bool {
        backend == Backend::Sqlite || std::env::var_os("BANYAN_TEST_POSTGRES").is_some()
    }

    /// Makes one with the tables and the triggers, and no pen.
    pub(crate) fn make(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, server) = match backend {
            Backend::Sqlite => (
                format!("sqlite:{}", folder.path().join("goods.db").display()),
                None,
            ),
            Backend::Postgres => {
                let server = std::env::var("BANYAN_TEST_POSTGRES").unwrap();
                let name = format!(
                    "banyan_ddl_{}",
                    folder.path().file_name().unwrap().to_string_lossy()
                );
                run_on(&server, &format!("CREATE DATABASE \"{name}\""));
                let mut url = url::Url::parse(&server).unwrap();
                url.set_path(&name);
                (url.to_string(), Some((server, name)))
            }
        };
        let place = Self {
            backend,
            url,
            _folder: folder,
            server,
        };
        let (id, bytes, words) = match backend {
            Backend::Sqlite => ("INTEGER PRIMARY KEY AUTOINCREMENT", "BINARY", "BINARY"),
            Backend::Postgres => (
                "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
                "\"C\"",
                "\"und-x-icu\"",
            ),
        };
        let schema = SCHEMA
            .replace("SERIAL_ID", id)
            .replace("BYTES", bytes)
            .replace("WORDS", words);
        let mut conn = place.connect();
        conn.batch_execute(&schema).unwrap();
        conn.batch_execute(&ddl::up(&PLAN, backend)).unwrap();
        drop(conn);
        place
    }

    /// Another connection, as a process makes them.
    pub(crate) fn connect(&self) -> impl DerefMut<Target = Conn> + use<> {
        Db::open(&self.url, &PoolSettings::default())
            .unwrap()
            .connect()
            .unwrap()
    }

    /// Another connection with an open transaction, which is what a store is always called in.
    pub(crate) fn begin(&self) -> impl DerefMut<Target = Conn> + use<> {
        let mut conn = self.connect();
        run(&mut conn, "BEGIN").unwrap();
        conn
    }

    /// Puts a pen there, or changes it: whoever holds it, in this state.
    pub(crate) fn pen(&self, holder: &str, state: &str) {
        let mut conn = self.connect();
        conn.batch_execute(&format!(
            "INSERT INTO pen_test_goods (side, holder, epoch, state, feed, since) \
             VALUES ('here', '{holder}', 1, '{state}', 'f', '2026-11-25T06:17:51.000000Z') \
             ON CONFLICT (side) DO UPDATE SET holder = excluded.holder, state = excluded.state"
        ))
        .unwrap();
    }

    /// Puts two shelves with a good each there and an empty one, with what hangs on them, and forgets that they were noted.
    pub(crate) fn stock(&self) {
        let mut conn = self.connect();
        let mark = self.mark();
        let unmark = self.unmark();
        conn.batch_execute(&format!(
            "BEGIN; {mark};
             INSERT INTO shelves (id, slug) VALUES (1, 'low'), (2, 'high'), (8, 'empty');
             INSERT INTO goods (id, sku, shelf_id, amount, active, words, made_at) VALUES
               (1, 'MUG', 1, 5, true, 'mug', '2026-11-25 06:17:51'), (2, 'TEA', 2, 7, true, 'tea', '2026-11-25 06:17:51');
             INSERT INTO marks (scope, key, body) VALUES ('a', 'b', 'x');
             INSERT INTO prices (goods_id, seq, amount) VALUES (1, 1, 5), (2, 1, 7);
             INSERT INTO labels (id, goods_id) VALUES (1, 1);
             {unmark}; COMMIT;"
        ))
        .unwrap();
        let past = ROWS
            .numbered
            .iter()
            .map(|(table, column)| (format!("{table}.{column}"), 0))
            .collect();
        ROWS.raise_sequences(&mut conn, &past).unwrap();
    }

    /// The statement that lets the open transaction write as a follower.
    pub(crate) fn mark(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite => "INSERT INTO mark_test_goods (module) VALUES ('test-goods')",
            Backend::Postgres => "SET LOCAL banyan.follower = 'test-goods'",
        }
    }

    /// The statement before a follower's commit.
    pub(crate) fn unmark(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite => "DELETE FROM mark_test_goods",
            Backend::Postgres => "SELECT 1",
        }
    }

    /// What the feed has: `table key`, in its order.
    pub(crate) fn noted(&self) -> Vec<String> {
        texts(
            &mut self.connect(),
            "SELECT tbl || ' ' || key AS text FROM outbox_test_goods ORDER BY seq",
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.server {
            run_on(server, &format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
        }
    }
}

fn run_on(server: &str, sql: &str) {
    diesel::PgConnection::establish(server)
        .unwrap()
        .batch_execute(sql)
        .unwrap();
}

/// Runs SQL, several statements at once if need be.
pub(crate) fn run(conn: &mut Conn, sql: &str) -> Result<(), Error> {
    conn.batch_execute(sql).map_err(Error::from)
}

/// The rows of a query whose one column is called `text`.
pub(crate) fn texts(conn: &mut Conn, query: &str) -> Vec<String> {
    let said: Vec<Said> = diesel::sql_query(query).load(conn).unwrap();
    said.into_iter().map(|said| said.text).collect()
}

/// The number that a query gives as `n`.
pub(crate) fn number(conn: &mut Conn, query: &str) -> i64 {
    let Number { n } = diesel::sql_query(query).get_result(conn).unwrap();
    n
}

/// Everything in the tables, as one text.
pub(crate) fn everything(conn: &mut Conn) -> String {
    let queries = [
        "SELECT id || slug AS text FROM shelves ORDER BY id",
        "SELECT id || sku || shelf_id || amount || coalesce(note, '-') AS text FROM goods ORDER BY id",
        "SELECT scope || key || body AS text FROM marks ORDER BY scope, key",
        "SELECT goods_id || '.' || seq || '.' || amount AS text FROM prices ORDER BY goods_id, seq",
        "SELECT id || '.' || goods_id AS text FROM labels ORDER BY id",
    ];
    queries.map(|query| texts(conn, query).join(" ")).join("\n")
}
