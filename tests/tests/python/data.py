"""The module's tables, the database, and canonical rows: what the pages *The hand-over in SQL* and *Canonical rows* say.

For shop.py, which says what this is all about.
"""

import argparse
import contextlib
import json
import re
import sqlite3
import threading
import time
from datetime import datetime, timezone

MODULE, SIDE, PEER = "catalog", "monolith", "catalog"
REQUEST_LIMIT, ANSWER_LIMIT = 1 << 20, 8 << 20
OPTIONS = argparse.Namespace()  # What the command line says: database, peer_url, token.

INTEGER, TEXT = "integer", "text"  # A time is a text here: the database keeps it in the canonical form.
# Parents first. The types are those of the protocol, in which the database's own columns are the canonical ones.
TABLES = {
    "categories": {"id": INTEGER, "slug": TEXT, "name": TEXT},
    "products": {"id": INTEGER, "sku": TEXT, "name": TEXT, "description": TEXT, "category_id": INTEGER,
                 "price_amount": INTEGER, "price_currency": TEXT, "status": TEXT, "version": INTEGER,
                 "created_at": TEXT, "updated_at": TEXT, "deleted_at": TEXT},
    "price_history": {"id": INTEGER, "product_id": INTEGER, "amount": INTEGER, "currency": TEXT, "effective_from": TEXT},
    "catalog_keys": {"scope": TEXT, "key": TEXT, "body_hash": TEXT, "location": TEXT, "etag": TEXT, "body": TEXT,
                     "created_at": TEXT},
}
KEYS = {"categories": ["id"], "products": ["id"], "price_history": ["id"], "catalog_keys": ["scope", "key"]}
UNIQUE = {"categories": "slug", "products": "sku"}
NUMBERED = ["categories", "products", "price_history"]

PEN = """
CREATE TABLE IF NOT EXISTS pen_catalog (
  side TEXT PRIMARY KEY NOT NULL, holder TEXT NOT NULL, epoch INTEGER NOT NULL CHECK (epoch >= 1),
  state TEXT NOT NULL CHECK (state IN ('held', 'fenced', 'granted')), pass TEXT, position TEXT, feed TEXT NOT NULL,
  feed_start TEXT, expires_at TEXT, since TEXT NOT NULL, sequences TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS pen_catalog_is_one_row ON pen_catalog ((1));
CREATE TABLE IF NOT EXISTS outbox_catalog (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, epoch INTEGER NOT NULL, tbl TEXT NOT NULL, key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mark_catalog (module TEXT PRIMARY KEY NOT NULL);
CREATE TABLE IF NOT EXISTS follow_catalog (
  source TEXT PRIMARY KEY NOT NULL, feed TEXT NOT NULL, epoch INTEGER NOT NULL, cursor TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('copying', 'catching-up', 'following', 'parked', 'sealed')),
  reached TEXT, copy_table TEXT, copy_key TEXT, copied_rows INTEGER NOT NULL DEFAULT 0, parked TEXT);
CREATE TABLE IF NOT EXISTS followers_catalog (side TEXT PRIMARY KEY NOT NULL, cursor TEXT NOT NULL, seen_at TEXT NOT NULL);
"""


def triggers(table):
    """The guard, which refuses writes while the pen is elsewhere, and the capture, which notes whose row has changed."""
    old, new = ("json_array(" + ", ".join(f"CAST({row}.{name} AS TEXT)" for name in KEYS[table]) + ")" for row in ("OLD", "NEW"))
    moved = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in KEYS[table])
    note = f"INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, '{table}',"
    notes = {"insert": f"{note} {new} FROM pen_catalog;",
             "update": f"{note} {old} FROM pen_catalog; {note} {new} FROM pen_catalog WHERE {moved};",
             "delete": f"{note} {old} FROM pen_catalog;"}
    sql = ""
    for event, noted in notes.items():
        sql += f"""
CREATE TRIGGER IF NOT EXISTS a_guard_{table}_{event} BEFORE {event} ON {table} BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER IF NOT EXISTS z_capture_{table}_{event} AFTER {event} ON {table}
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN {noted} END;"""
    # What OR REPLACE removes fires no trigger of its own. This shop never says so, but whoever opens the database may.
    unique = UNIQUE.get(table)
    for event, row in (("INSERT", "NEW"), (f"UPDATE OF {unique}", "OLD")) if unique else ():
        sql += f"""
CREATE TRIGGER IF NOT EXISTS y_replaced_{table}_{event[:6]} BEFORE {event} ON {table}
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT (SELECT epoch FROM pen_catalog), '{table}', json_array(CAST(id AS TEXT))
    FROM {table} WHERE {unique} = NEW.{unique} AND id IS NOT {row}.id AND EXISTS (SELECT 1 FROM pen_catalog);
END;"""
    return sql


class Problem(Exception):
    """What was not done, and why. Nothing has changed."""

    def __init__(self, status, kind, detail):
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail


def table_of(query):
    if query["table"] not in TABLES:
        raise Problem(400, "malformed", f"there is no table `{query['table']}`")
    return query["table"]


CHANGED = threading.Condition()  # Whoever waits for something in the database looks again when this is notified.


def now():
    return datetime.now(timezone.utc)


def stamp(moment=None):
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@contextlib.contextmanager
def reading():
    """One read transaction: everything in it is read in one state of the database."""
    db = sqlite3.connect(OPTIONS.database, isolation_level=None, timeout=5)
    try:
        db.row_factory = sqlite3.Row
        db.execute("BEGIN")
        yield db
    finally:
        db.close()


@contextlib.contextmanager
def writing(seconds=5.0, as_follower=False):
    """One write transaction. The one writer is waited for. As a follower its rows pass the guard and are not captured.

    A follower's transaction enforces no foreign keys: its rows come from where they are enforced, and a copy goes through states in
    which a parent is gone and its children are not yet."""
    db = sqlite3.connect(OPTIONS.database, isolation_level=None, timeout=seconds)
    try:
        db.row_factory = sqlite3.Row
        db.execute(f"PRAGMA foreign_keys = {'OFF' if as_follower else 'ON'}")
        db.execute("BEGIN IMMEDIATE")
        if as_follower:
            db.execute("INSERT INTO mark_catalog (module) VALUES (?)", [MODULE])
        yield db
        if as_follower:
            db.execute("DELETE FROM mark_catalog")
        db.execute("COMMIT")
    finally:
        db.close()  # What was not committed is undone.
    with CHANGED:
        CHANGED.notify_all()


def wait_until(look, seconds):
    """Looks until there is something, or the time is over. The pause is for what other processes write."""
    deadline = time.monotonic() + seconds
    while True:
        found, left = look(), deadline - time.monotonic()
        if found or left <= 0:
            return found
        with CHANGED:
            CHANGED.wait(min(left, 0.04))


def row_out(table, row):
    """A row as both sides know it. There are no numbers in it, so that nobody rounds them."""
    return {name: str(row[name]) if kind == INTEGER and row[name] is not None else row[name] for name, kind in TABLES[table].items()}


def row_in(table, row):
    if row.keys() != TABLES[table].keys():
        raise ValueError(f"the row has the columns {sorted(row)}")
    return [int(row[name]) if kind == INTEGER and row[name] is not None else row[name] for name, kind in TABLES[table].items()]


def canonical(row):
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def key_of(table, row):
    return [row[name] for name in KEYS[table]]


def key_in(table, key):
    """A key as the database compares it."""
    is_key = isinstance(key, list) and len(key) == len(KEYS[table]) and all(isinstance(part, str) for part in key)
    kinds = [TABLES[table][name] for name in KEYS[table]]
    if not is_key or any(kind == INTEGER and not re.fullmatch("0|-?[1-9][0-9]{0,18}", part) for kind, part in zip(kinds, key)):
        raise Problem(400, "malformed", f"`{json.dumps(key)}` is no key of `{table}`")
    return [int(part) if kind == INTEGER else part for kind, part in zip(kinds, key)]


def between(table, after, through):
    """The range (after, through] of a table as a condition, with what is bound to it."""
    names, places = ", ".join(KEYS[table]), ", ".join("?" for _ in KEYS[table])
    parts, values = ["true"], []
    for comparison, key in ((">", after), ("<=", through)):
        if key is not None:
            parts.append(f"({names}) {comparison} ({places})")
            values += key_in(table, key)
    return " AND ".join(parts), values


def rows_of(db, table, after=None, through=None, limit=-1):
    condition, values = between(table, after, through)
    order = ", ".join(KEYS[table])
    found = db.execute(f"SELECT * FROM {table} WHERE {condition} ORDER BY {order} LIMIT ?", [*values, limit])
    return [row_out(table, row) for row in found]


def fitting(items, limit):
    """As many as an answer may hold, by number and by size; and whether that leaves any over."""
    size = 0
    for count, item in enumerate(items[:limit]):
        size += len(canonical(item)) + 1
        if size > ANSWER_LIMIT - REQUEST_LIMIT and count > 0:
            return items[:count], True
    return items[:limit], len(items) > limit
