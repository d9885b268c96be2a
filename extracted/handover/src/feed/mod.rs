//! The feed of a side that holds the pen: which rows changed after a cursor, each as it is now.
//!
//! For the protocol's `changes`, `snapshot` and `verify`, which are read in one state of the database, the pen's row included.
//! Why it skips nothing and never goes back for a row is decision 25; the cursor's forms are in `cursor`, what is kept for whom in
//! `followers`.

mod cursor;
pub(crate) mod followers;
mod page;
mod prune;

use std::collections::{HashMap, HashSet};

use chassis::db::{self, Conn};
use diesel::connection::SimpleConnection;
use uuid::Uuid;

use crate::row::{Key, Row};
use crate::store::{Range, Store};
use crate::table::Table;
use crate::wire::{Change, Changes, Pen, Position, Snapshot, State};
use crate::{Error, Names, pen};

pub(crate) use cursor::Cursor;
pub(crate) use prune::{Keep, prune};

/// Bytes of rows in one answer, about; the protocol's limit is 8 MiB.
const BUDGET: usize = 4 << 20;
/// Rows of a copy in one answer, at the most: what a chunk costs whatever it holds is noticed with fewer.
pub(crate) const CHUNK: usize = 4000;
/// How many of them are read at a time.
const PAGE: usize = 1000;

/// Runs work that sees one state of the database throughout.
pub(crate) fn in_one_state<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, Error>,
) -> Result<T, Error> {
    let begin = match conn {
        Conn::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        Conn::Sqlite(_) => "BEGIN",
    };
    conn.batch_execute(begin).map_err(db::Error::from)?;
    let done = work(conn);
    let ended = conn.batch_execute("ROLLBACK").map_err(db::Error::from);
    let value = done?;
    ended?;
    Ok(value)
}

/// The cursor at the feed's present end, for whoever begins to follow.
pub(crate) fn present_cursor(conn: &mut Conn, names: &Names, feed: Uuid) -> Result<String, Error> {
    Ok(Cursor::present(conn, names)?.text(feed))
}

/// What changed after a cursor; without one, only where the feed stands. Must run in one state.
pub(crate) fn changes(
    conn: &mut Conn,
    names: &Names,
    store: &dyn Store,
    after: Option<&str>,
    limit: usize,
) -> Result<Changes, Error> {
    let pen = pen::read(conn, names)?.ok_or(Error::Module)?;
    if !is_source(&pen) {
        return Err(Error::NotTheHolder(pen.holder));
    }
    let present = Cursor::present(conn, names)?;
    let end = pen::end_of_feed(conn, names)?;
    let (mut changes, mut next) = (Vec::new(), None);
    if let Some(after) = after {
        let from = Cursor::read(conn, pen.feed, after)?;
        from.hold_against(&present)?;
        let page = page::after(conn, names, &from, &present, limit)?;
        let entries = page.entries;
        let (rows, last) = rows(conn, store, &entries)?;
        next = last
            .or(page.more)
            .map(|seq| from.beyond(&present, seq))
            .or_else(|| from.end_of_window());
        changes = rows;
    }
    let more = next.is_some();
    Ok(Changes {
        feed: pen.feed,
        cursor: next.unwrap_or_else(|| present.clone()).text(pen.feed),
        reached: (!more).then(|| reached(&pen, &present)),
        more,
        head: Position {
            epoch: epoch(&pen),
            number: end,
        },
        pen,
        changes,
    })
}

/// Whether others may follow this side: it holds the pen, or has just given it away and the end of its feed must still be read.
fn is_source(pen: &Pen) -> bool {
    pen.holder == pen.side || pen.state == State::Granted
}

/// The epoch of this feed's positions: after a grant, still the one before it.
fn epoch(pen: &Pen) -> u64 {
    pen.position.map_or(pen.epoch, |position| position.epoch)
}

/// What a follower has reached with everything that is visible at `present`.
fn reached(pen: &Pen, present: &Cursor) -> Position {
    pen.position.unwrap_or_else(|| Position {
        epoch: pen.epoch,
        number: present.reached(),
    })
}

/// What this side's answers cover: the holder's end, or what the follower has reached.
pub(crate) fn covered(conn: &mut Conn, names: &Names, pen: &Pen) -> Result<Option<Position>, Error> {
    if is_source(pen) {
        let number = pen::end_of_feed(conn, names)?;
        return Ok(Some(pen.position.unwrap_or(Position {
            epoch: pen.epoch,
            number,
        })));
    }
    Ok(crate::follow::record::read(conn, names)?.and_then(|follow| follow.reached))
}

/// The rows of these entries, each key once, up to the budget; and the number of the last one that found room, if not all did.
fn rows(
    conn: &mut Conn,
    store: &dyn Store,
    entries: &[page::Entry],
) -> Result<(Vec<Change>, Option<i64>), Error> {
    let mut wanted: HashMap<&str, Vec<Key>> = HashMap::new();
    let mut seen = HashSet::new();
    let distinct: Vec<&page::Entry> = entries
        .iter()
        .filter(|entry| seen.insert((entry.table.as_str(), &entry.key)))
        .collect();
    for entry in &distinct {
        wanted.entry(&entry.table).or_default().push(entry.key.clone());
    }
    let mut found: HashMap<(&str, Key), Row> = HashMap::new();
    for (name, keys) in wanted {
        let table = table(store, name)?;
        for row in store.find(conn, table, &keys)? {
            found.extend(table.key_of(&row).map(|key| ((name, key), row)));
        }
    }
    let (mut changes, mut bytes) = (Vec::with_capacity(distinct.len()), 0);
    for entry in distinct {
        let row = found.remove(&(entry.table.as_str(), entry.key.clone()));
        bytes += row.as_ref().map_or(0, weight);
        if bytes > BUDGET && !changes.is_empty() {
            // The entry before this one: what comes after it is asked for again.
            return Ok((changes, Some(entry.seq - 1)));
        }
        changes.push(Change {
            table: entry.table.clone(),
            key: entry.key.clone(),
            row,
        });
    }
    Ok((changes, None))
}

/// About how many bytes a row takes in an answer.
fn weight(row: &Row) -> usize {
    row.iter()
        .map(|(name, value)| name.len() + 8 + value.as_str().map_or(5, str::len))
        .sum()
}

/// The canonical table with this name.
pub(crate) fn table<'s>(store: &'s dyn Store, name: &str) -> Result<&'s Table, Error> {
    let mut tables = store.tables().iter();
    tables
        .find(|table| table.name == name)
        .ok_or_else(|| Error::Malformed(format!("`table`: there is no table `{name}`")))
}

/// Rows of one table after a key. Must run in one state.
pub(crate) fn snapshot(
    conn: &mut Conn,
    names: &Names,
    store: &dyn Store,
    name: &str,
    after: Option<Key>,
    limit: usize,
) -> Result<Snapshot, Error> {
    let pen = pen::read(conn, names)?.ok_or(Error::Module)?;
    if !is_source(&pen) {
        return Err(Error::NotTheHolder(pen.holder));
    }
    let table = table(store, name)?;
    let mut range = Range { after, through: None };
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let whole = 'pages: loop {
        let asked = PAGE.min(limit - rows.len());
        let page = store.page(conn, table, &range, asked)?;
        let is_last = page.len() < asked;
        for row in page {
            bytes += weight(&row);
            if bytes > BUDGET && !rows.is_empty() {
                break 'pages false;
            }
            rows.push(row);
        }
        if is_last || rows.len() >= limit {
            break is_last;
        }
        range.after = rows.last().and_then(|row| table.key_of(row));
    };
    let through = if whole {
        None
    } else {
        rows.last().and_then(|row| table.key_of(row))
    };
    Ok(Snapshot {
        table: name.to_owned(),
        rows,
        through,
        feed: pen.feed,
        pen,
    })
}
