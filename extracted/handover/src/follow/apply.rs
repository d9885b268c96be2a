//! The one transaction in which rows and cursor move together.
//!
//! Whatever was asked of the source is thrown away if this side holds the pen by now, or if the cursor is no longer the one from
//! before the question: that is what makes the copy right beside a running feed, and two followers by mistake harmless.

use std::collections::HashMap;

use chassis::db::Conn;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::record::{self, Follow};
use crate::feed;
use crate::row::{Key, Row};
use crate::store::{Range, Store};
use crate::table::Table;
use crate::wire::{Change, State};
use crate::{Error, Names, pen};

/// Runs `work` as a follower's, and leaves `next` as the follower's row. Says whether it was done: not if anything moved
/// since `before` was read.
pub(crate) fn as_follower(
    conn: &mut Conn,
    names: &Names,
    before: &Follow,
    next: &Follow,
    work: impl FnOnce(&mut Conn) -> Result<(), Error>,
) -> Result<bool, Error> {
    if !is_still_elsewhere(conn, names)? || !take(conn, names, before)? {
        return Ok(false);
    }
    pen::mark(conn, names)?;
    work(conn)?;
    pen::unmark(conn, names)?;
    record::put(conn, names, next)?;
    Ok(true)
}

/// Whether the other side holds the pen, and will until this transaction ends.
fn is_still_elsewhere(conn: &mut Conn, names: &Names) -> Result<bool, Error> {
    let pen = pen::read_for_write(conn, names)?;
    Ok(pen.is_some_and(|pen| pen.holder != pen.side && pen.state == State::Held))
}

/// Locks the follower's row, if it is still as it was.
fn take(conn: &mut Conn, names: &Names, before: &Follow) -> Result<bool, Error> {
    let query = format!(
        "UPDATE {} SET cursor = cursor WHERE cursor = $1 AND feed = $2 AND epoch = $3 AND phase = $4 \
         AND coalesce(copy_key, '') = $5 AND coalesce(copy_table, '') = $6",
        names.follow
    );
    let taken = diesel::sql_query(query)
        .bind::<Text, _>(&before.cursor)
        .bind::<Text, _>(before.feed.to_string())
        .bind::<BigInt, _>(before.epoch.cast_signed())
        .bind::<Text, _>(before.phase.word())
        .bind::<Text, _>(before.copy_key.as_ref().map(Key::text).unwrap_or_default())
        .bind::<Text, _>(before.copy_table.clone().unwrap_or_default())
        .execute(conn)?;
    Ok(taken == 1)
}

/// Replaces a range of a table by the rows of the source. Rows that are the same already are not written: a copy that is made again
/// mostly finds such.
pub(crate) fn replace(
    conn: &mut Conn,
    store: &dyn Store,
    table: &Table,
    mut range: Range,
    rows: &[Row],
) -> Result<(), Error> {
    let mut lacking: HashMap<Key, &Row> = rows
        .iter()
        .filter_map(|row| Some((table.key_of(row)?, row)))
        .collect();
    if lacking.len() != rows.len() {
        return Err(Error::Malformed(format!(
            "rows of `{}` lack a key, or have one twice",
            table.name
        )));
    }
    let mut is_empty = true;
    loop {
        let here = store.page(conn, table, &range, 1000)?;
        is_empty &= here.is_empty();
        let mut strangers = Vec::new();
        for row in &here {
            let Some(key) = table.key_of(row) else { continue };
            match lacking.get(&key) {
                Some(there) if *there == row => drop(lacking.remove(&key)),
                Some(_) => {}
                None => strangers.push(key),
            }
        }
        if !strangers.is_empty() {
            store.remove(conn, table, &strangers)?;
        }
        match here.last().and_then(|row| table.key_of(row)) {
            Some(last) if here.len() == 1000 => range.after = Some(last),
            _ => break,
        }
    }
    if is_empty {
        return add(conn, store, table, rows);
    }
    if lacking.len() == rows.len() {
        return put(conn, store, table, rows);
    }
    let is_lacking = |row: &&Row| table.key_of(row).is_some_and(|key| lacking.contains_key(&key));
    let rows: Vec<Row> = rows.iter().filter(is_lacking).cloned().collect();
    put(conn, store, table, &rows)
}

/// Makes the changed rows what they are at the source: deletions in the reverse of [`Store::intake`], then the others in its order.
pub(crate) fn changes(conn: &mut Conn, store: &dyn Store, changes: &[Change]) -> Result<(), Error> {
    if let Some(unknown) = changes
        .iter()
        .find(|change| feed::table(store, &change.table).is_err())
    {
        return Err(Error::Malformed(format!(
            "the feed has a table `{}`, and this side has not",
            unknown.table
        )));
    }
    for table in store.intake().iter().rev() {
        let gone: Vec<Key> = of(changes, table)
            .filter(|change| change.row.is_none())
            .map(|change| change.key.clone())
            .collect();
        for keys in gone.chunks(1000) {
            store.remove(conn, table, keys)?;
        }
    }
    for table in store.intake() {
        let rows: Vec<Row> = of(changes, table)
            .filter_map(|change| change.row.clone())
            .collect();
        put(conn, store, table, &rows)?;
    }
    Ok(())
}

fn of<'c>(changes: &'c [Change], table: &Table) -> impl Iterator<Item = &'c Change> {
    let name = table.name;
    changes.iter().filter(move |change| change.table == name)
}

fn put(conn: &mut Conn, store: &dyn Store, table: &Table, rows: &[Row]) -> Result<(), Error> {
    for rows in rows.chunks(1000) {
        store.put(conn, table, rows)?;
    }
    Ok(())
}

/// The same for rows of which none is there, as in a first copy.
fn add(conn: &mut Conn, store: &dyn Store, table: &Table, rows: &[Row]) -> Result<(), Error> {
    for rows in rows.chunks(1000) {
        conn.batch_execute("SAVEPOINT added")?;
        match store.add(conn, table, rows) {
            Err(error) if error.is_unique_violation() => {
                conn.batch_execute("ROLLBACK TO SAVEPOINT added")?;
                store.put(conn, table, rows)?;
            }
            done => done?,
        }
        conn.batch_execute("RELEASE SAVEPOINT added")?;
    }
    Ok(())
}

/// The first change that does not fit after those before it. For naming it: the caller takes everything back.
pub(crate) fn first_misfit(
    conn: &mut Conn,
    store: &dyn Store,
    list: &[Change],
) -> Result<Option<Change>, Error> {
    for change in list {
        conn.batch_execute("SAVEPOINT one")?;
        if changes(conn, store, std::slice::from_ref(change)).is_err() {
            return Ok(Some(change.clone()));
        }
        conn.batch_execute("RELEASE SAVEPOINT one")?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chassis::db::Error as Failure;
    use diesel::{Connection, QueryableByName, SqliteConnection};

    use super::*;
    use crate::plain::Plain;
    use crate::table::{Column, Kind};

    const COLUMNS: &[Column] = &[
        Column {
            name: "id",
            kind: Kind::Integer,
        },
        Column {
            name: "name",
            kind: Kind::Text,
        },
    ];
    const THINGS: Table = Table {
        name: "things",
        key: &["id"],
        columns: COLUMNS,
    };
    const PLAIN: Plain = Plain {
        tables: &[THINGS],
        computed: &[],
        references: &[],
        numbered: &[],
    };

    #[derive(QueryableByName)]
    struct Written {
        #[diesel(sql_type = Text)]
        what: String,
    }

    #[test]
    fn rows_that_are_the_same_are_not_written_again() {
        let mut conn = Conn::Sqlite(SqliteConnection::establish(":memory:").unwrap());
        conn.batch_execute(
            "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT);
             INSERT INTO things VALUES (1, 'same'), (2, 'old'), (3, 'stranger'), (9, 'behind');
             CREATE TABLE written (what TEXT);
             CREATE TRIGGER added AFTER INSERT ON things BEGIN INSERT INTO written VALUES ('add ' || NEW.id); END;
             CREATE TRIGGER changed AFTER UPDATE ON things BEGIN INSERT INTO written VALUES ('change ' || NEW.id); END;
             CREATE TRIGGER removed AFTER DELETE ON things BEGIN INSERT INTO written VALUES ('remove ' || OLD.id); END;",
        )
        .unwrap();
        let row = |id: &str, name: &str| -> Row {
            [("id", id), ("name", name)]
                .map(|(column, value)| (column.to_owned(), value.into()))
                .into_iter()
                .collect()
        };
        let rows = [row("1", "same"), row("2", "new"), row("4", "more")];
        let range = Range {
            after: None,
            through: Some(Key(vec!["4".to_owned()])),
        };
        for _ in 0..2 {
            replace(&mut conn, &PLAIN, &THINGS, range.clone(), &rows).unwrap();
        }
        let written: Vec<Written> = diesel::sql_query("SELECT what FROM written ORDER BY what")
            .load(&mut conn)
            .unwrap();
        let written: Vec<String> = written.into_iter().map(|written| written.what).collect();
        assert_eq!(written, ["add 4", "change 2", "remove 3"]);
        assert_eq!(PLAIN.page(&mut conn, &THINGS, &range, 10).unwrap(), rows);
    }

    /// Finds the name `taken` in the way when it adds, half done, and notes what is asked of it.
    #[derive(Debug, Default)]
    struct Hasty(std::sync::Mutex<Vec<&'static str>>);

    impl Store for Hasty {
        fn tables(&self) -> &'static [Table] {
            PLAIN.tables
        }
        fn find(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Failure> {
            PLAIN.find(conn, table, keys)
        }
        fn page(
            &self,
            conn: &mut Conn,
            table: &Table,
            range: &Range,
            limit: usize,
        ) -> Result<Vec<Row>, Failure> {
            PLAIN.page(conn, table, range, limit)
        }
        fn put(&self, conn: &mut Conn, table: &Table, rows: &[Row]) -> Result<(), Failure> {
            self.0.lock().unwrap().push("put");
            PLAIN.put(conn, table, rows)
        }
        fn add(&self, conn: &mut Conn, _: &Table, rows: &[Row]) -> Result<(), Failure> {
            self.0.lock().unwrap().push("add");
            if rows.iter().any(|row| row["name"] == "taken") {
                conn.batch_execute("INSERT INTO things VALUES (1, 'half of it')")?;
                let why = Box::new("things.name".to_owned());
                let kind = diesel::result::DatabaseErrorKind::UniqueViolation;
                return Err(diesel::result::Error::DatabaseError(kind, why).into());
            }
            PLAIN.put(conn, &THINGS, rows)
        }
        fn remove(&self, conn: &mut Conn, table: &Table, keys: &[Key]) -> Result<(), Failure> {
            PLAIN.remove(conn, table, keys)
        }
        fn clear(&self, conn: &mut Conn) -> Result<(), Failure> {
            PLAIN.clear(conn)
        }
        fn sequences(&self, conn: &mut Conn) -> Result<BTreeMap<String, i64>, Failure> {
            PLAIN.sequences(conn)
        }
        fn raise_sequences(&self, conn: &mut Conn, past: &BTreeMap<String, i64>) -> Result<(), Failure> {
            PLAIN.raise_sequences(conn, past)
        }
    }

    /// What cannot be added is taken back whole and put; a range where something is gets its rows put at once.
    #[test]
    fn rows_are_added_where_nothing_is_and_put_if_that_fails() {
        let mut conn = Conn::Sqlite(SqliteConnection::establish(":memory:").unwrap());
        conn.batch_execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
            .unwrap();
        let rows = |of: &[(&str, &str)]| -> Vec<Row> {
            let row = |(id, name): &(&str, &str)| -> Row {
                [("id", *id), ("name", *name)]
                    .map(|(column, value)| (column.to_owned(), value.into()))
                    .into_iter()
                    .collect()
            };
            of.iter().map(row).collect()
        };
        let store = Hasty::default();
        for (after, through, rows, asked) in [
            ("4", "6", rows(&[("5", "five")]), &["add"][..]),
            ("4", "6", rows(&[("5", "fifth"), ("6", "six")]), &["put"]),
            ("0", "4", rows(&[("2", "two"), ("3", "taken")]), &["add", "put"]),
        ] {
            let key = |id: &str| Some(Key(vec![id.to_owned()]));
            let range = Range {
                after: key(after),
                through: key(through),
            };
            replace(&mut conn, &store, &THINGS, range.clone(), &rows).unwrap();
            assert_eq!(std::mem::take(&mut *store.0.lock().unwrap()), asked);
            assert_eq!(PLAIN.page(&mut conn, &THINGS, &range, 10).unwrap(), rows);
        }
    }
}
