//! The tables and triggers by which a database keeps a module's pen and notes what changes, made from the one list of its tables.
//!
//! For the migrations of a process: a test of the process compares the committed files with what comes out here. Why the triggers
//! are as they are: decisions 24 and 25, and `docs/src/reference/hand-over-sql.md`.

mod postgres;
mod sqlite;

use crate::Names;
use crate::table::Captured;

/// Which database a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The embedded one.
    Sqlite,
    /// The real one.
    Postgres,
}

/// What is kept and captured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The module.
    pub module: &'static str,
    /// Its tables in this side's database.
    pub captured: &'static [Captured],
}

/// The SQL that installs tables and triggers. No pen is there yet: until a process puts it there, every write goes through and
/// nothing is captured.
pub fn up(plan: &Plan, backend: Backend) -> String {
    let names = Names::of(plan.module);
    let head = format!(
        "-- The pen of the module {} and the feed of its changes. Generated: see `handover::ddl`.\n",
        plan.module
    );
    match backend {
        Backend::Postgres => head + &postgres::up(&names, plan.captured),
        Backend::Sqlite => head + &sqlite::up(&names, plan.captured),
    }
}

/// The SQL that takes them away again.
pub fn down(plan: &Plan, backend: Backend) -> String {
    let names = Names::of(plan.module);
    match backend {
        Backend::Postgres => postgres::down(&names, plan.captured),
        Backend::Sqlite => sqlite::down(&names, plan.captured),
    }
}

/// The tables of the pen, which are the same on both databases but for the outbox.
fn tables(names: &Names, integer: &str, outbox: &str) -> String {
    let Names {
        pen,
        follow,
        followers,
        ..
    } = names;
    format!(
        "CREATE TABLE {pen} (
  side       TEXT PRIMARY KEY NOT NULL,
  holder     TEXT NOT NULL,
  epoch      {integer} NOT NULL CHECK (epoch >= 1),
  state      TEXT NOT NULL CHECK (state IN ('held', 'fenced', 'granted')),
  pass       TEXT,
  position   TEXT,
  feed       TEXT NOT NULL,
  feed_start TEXT,
  expires_at TEXT,
  since      TEXT NOT NULL,
  sequences  TEXT
);
CREATE UNIQUE INDEX {pen}_is_one_row ON {pen} ((1));
{outbox}CREATE TABLE {follow} (
  source      TEXT PRIMARY KEY NOT NULL,
  feed        TEXT NOT NULL,
  epoch       {integer} NOT NULL,
  cursor      TEXT NOT NULL,
  phase       TEXT NOT NULL CHECK (phase IN ('copying', 'catching-up', 'following', 'parked', 'sealed')),
  reached     TEXT,
  copy_table  TEXT,
  copy_key    TEXT,
  copied_rows {integer} NOT NULL DEFAULT 0,
  parked      TEXT
);
CREATE TABLE {followers} (
  side    TEXT PRIMARY KEY NOT NULL,
  cursor  TEXT NOT NULL,
  seen_at TEXT NOT NULL
);
"
    )
}
