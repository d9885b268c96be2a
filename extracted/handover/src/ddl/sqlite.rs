//! The triggers on SQLite.

use super::tables;
use crate::Names;
use crate::table::Captured;

pub(super) fn up(names: &Names, captured: &[Captured]) -> String {
    let outbox = format!(
        "CREATE TABLE {} (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch INTEGER NOT NULL,
  tbl   TEXT NOT NULL,
  key   TEXT NOT NULL
);
-- Holds a row only while a follower's transaction is open; no other connection ever sees it.
CREATE TABLE {} (module TEXT PRIMARY KEY NOT NULL);
",
        names.outbox, names.mark
    );
    let mut sql = tables(names, "INTEGER", &outbox);
    for table in captured {
        sql += &guards(names, table);
        sql += &captures(names, table);
        sql += &replaced(names, table);
    }
    sql
}

pub(super) fn down(names: &Names, captured: &[Captured]) -> String {
    let mut sql = String::new();
    for Captured { table, unique, .. } in captured {
        for what in ["insert", "update", "delete"] {
            sql += &format!("DROP TRIGGER a_guard_{table}_{what};\nDROP TRIGGER z_capture_{table}_{what};\n");
        }
        for n in 0..unique.len() {
            sql += &format!(
                "DROP TRIGGER y_replaced_{table}_{n}_insert;\nDROP TRIGGER y_replaced_{table}_{n}_update;\n"
            );
        }
    }
    for table in [
        &names.followers,
        &names.follow,
        &names.mark,
        &names.outbox,
        &names.pen,
    ] {
        sql += &format!("DROP TABLE {table};\n");
    }
    sql
}

/// A write is refused while there is a pen and it is not here, unless a follower's transaction makes it.
fn guards(names: &Names, Captured { table, .. }: &Captured) -> String {
    let Names {
        pen, mark, module, ..
    } = names;
    let one = |what: &str| {
        format!(
            "CREATE TRIGGER a_guard_{table}_{lower} BEFORE {what} ON {table} BEGIN
  SELECT RAISE(ABORT, 'the pen of {module} is not here')
   WHERE EXISTS (SELECT 1 FROM {pen} WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM {mark});
END;
",
            lower = what.to_lowercase()
        )
    };
    ["INSERT", "UPDATE", "DELETE"].map(one).concat()
}

/// Every change of this side's own is noted by its canonical key. With no pen there is nothing to note: the row of the pen gives the
/// epoch, and without it nothing is selected.
fn captures(names: &Names, captured: &Captured) -> String {
    let Captured { table, key, .. } = captured;
    let changed: Vec<String> = key
        .iter()
        .map(|column| format!("NEW.{column} IS NOT OLD.{column}"))
        .collect();
    let (old, new) = (note(names, captured, "OLD", ""), note(names, captured, "NEW", ""));
    let moved = note(
        names,
        captured,
        "NEW",
        &format!(" WHERE {}", changed.join(" OR ")),
    );
    let mark = &names.mark;
    let trigger = |what: &str, body: &str| {
        format!(
            "CREATE TRIGGER z_capture_{table}_{lower} AFTER {what} ON {table}
WHEN NOT EXISTS (SELECT 1 FROM {mark}) BEGIN
{body}END;
",
            lower = what.to_lowercase()
        )
    };
    trigger("INSERT", &new) + &trigger("UPDATE", &(old.clone() + &moved)) + &trigger("DELETE", &old)
}

/// `OR REPLACE` deletes what holds a unique value already, and no delete trigger fires for it.
fn replaced(names: &Names, captured: &Captured) -> String {
    let Captured {
        table,
        of,
        key,
        unique,
    } = captured;
    let Names {
        pen, outbox, mark, ..
    } = names;
    let mut sql = String::new();
    for (n, columns) in unique.iter().enumerate() {
        for (what, known) in [("INSERT", "NEW"), ("UPDATE", "OLD")] {
            let same: Vec<String> = columns
                .iter()
                .map(|column| format!("{column} = NEW.{column}"))
                .collect();
            let other: Vec<String> = key
                .iter()
                .map(|column| format!("{column} IS NOT {known}.{column}"))
                .collect();
            sql += &format!(
                "CREATE TRIGGER y_replaced_{table}_{n}_{lower} BEFORE {what} ON {table}
WHEN NOT EXISTS (SELECT 1 FROM {mark}) BEGIN
  INSERT INTO {outbox} (epoch, tbl, key)
    SELECT (SELECT epoch FROM {pen}), '{of}', {key} FROM {table}
     WHERE {same} AND ({other}) AND EXISTS (SELECT 1 FROM {pen});
END;
",
                lower = what.to_lowercase(),
                key = key_of(captured, ""),
                same = same.join(" AND "),
                other = other.join(" OR "),
            );
        }
    }
    sql
}

fn note(names: &Names, captured: &Captured, row: &str, condition: &str) -> String {
    let Names { pen, outbox, .. } = names;
    let key = key_of(captured, &format!("{row}."));
    format!(
        "  INSERT INTO {outbox} (epoch, tbl, key) SELECT epoch, '{}', {key} FROM {pen}{condition};\n",
        captured.of
    )
}

fn key_of(captured: &Captured, row: &str) -> String {
    let texts: Vec<String> = captured
        .key
        .iter()
        .map(|column| format!("CAST({row}{column} AS TEXT)"))
        .collect();
    format!("json_array({})", texts.join(", "))
}
