#!/usr/bin/env python3
"""A tiny shop that takes part in a hand-over of its catalog. Written from two pages, and from nothing else:
docs/src/reference/hand-over-protocol.md and docs/src/reference/hand-over-sql.md.

For whoever writes a participant in another language, to read beside those pages: it needs Python's standard library and SQLite
3.38 or later. This file is the shop and starts everything; data.py has the module's tables and canonical rows, pen.py the pen, its
moves and the feed, follow.py the follower, protocol.py the requests. Sessions are not checked, since signatures of Ed25519 are
not in the standard library: it must not be reachable for strangers. Nor does it search, or list by pages.
"""

import argparse
import base64
import hashlib
import json
import re
import sqlite3
import threading
import urllib.parse
from http.server import ThreadingHTTPServer

import follow
import pen as pens
from data import KEYS, OPTIONS, PEN, Problem, reading, stamp, triggers, writing
from pen import end_of_feed, install_pen, is_here, pen_of
from protocol import Protocol, Requests, parsed

SCHEMA = """
CREATE TABLE IF NOT EXISTS categories (
  id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS products (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sku TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT NOT NULL,
  category_id INTEGER NOT NULL REFERENCES categories (id), price_amount INTEGER NOT NULL, price_currency TEXT NOT NULL,
  status TEXT NOT NULL, version INTEGER NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE TABLE IF NOT EXISTS price_history (
  id INTEGER PRIMARY KEY AUTOINCREMENT, product_id INTEGER NOT NULL REFERENCES products (id), amount INTEGER NOT NULL,
  currency TEXT NOT NULL, effective_from TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS catalog_keys (
  scope TEXT NOT NULL, key TEXT NOT NULL, body_hash TEXT NOT NULL, location TEXT NOT NULL, etag TEXT NOT NULL,
  body TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (scope, key));
"""

# --- Writes -----------------------------------------------------------------------------------------------------------------


class NotHere(Exception):
    """The pen is elsewhere, or on its way: nothing was written."""

    def __init__(self, pen):
        super().__init__("the pen is not here")
        self.pen = pen


def write(work):
    """A write with its position. The trigger would refuse it too; but what is refused for another reason, as a SKU that is taken, comes
    to no trigger, and the side that follows must not answer that: it may not know yet."""
    with writing() as db:
        pen = pen_of(db)
        if not is_here(pen):
            raise NotHere(pen)
        return work(db), f"{pen['epoch']}-{end_of_feed(db)}"


def take(db, sku, if_match):
    """The product that a write is about, at a version that the client allows."""
    row = db.execute("SELECT * FROM products WHERE sku = ? AND deleted_at IS NULL", [sku]).fetchone()
    if row is None:
        raise Problem(404, "not-found", f"there is no product `{sku}`")
    if if_match not in (None, "*", etag(row["version"])):
        raise Problem(412, "precondition-failed", f"the product is at version {row['version']}")
    return row


def category_of(db, slug):
    """A category comes into being with its first product."""
    db.execute("INSERT INTO categories (slug, name) SELECT ?1, ?1 WHERE NOT EXISTS (SELECT 1 FROM categories WHERE slug = ?1)", [slug])
    return db.execute("SELECT id FROM categories WHERE slug = ?", [slug]).fetchone()["id"]


def create(db, body):
    sku, at = body["sku"], stamp()
    known = db.execute("SELECT id, version, deleted_at FROM products WHERE sku = ?", [sku]).fetchone()
    if known and known["deleted_at"] is None:
        raise Problem(409, "sku-taken", f"there is a product `{sku}` already")
    if known:  # A deleted SKU keeps its row as the memory of its version, which goes on.
        db.execute("UPDATE products SET deleted_at = NULL, created_at = ?, version = version + 1 WHERE id = ?", [at, known["id"]])
    else:
        db.execute("INSERT INTO products (sku, name, description, category_id, price_amount, price_currency, status, version, "
                   "created_at, updated_at) VALUES (?, '', '', ?, 0, '', 'active', 1, ?, ?)", [sku, category_of(db, body["category"]), at, at])
    return describe(db, sku, body, at, is_new=True)


def describe(db, sku, body, at, is_new=False):
    """Writes what a body says of a product, and its price into the history if it is another one."""
    was, price = db.execute("SELECT * FROM products WHERE sku = ?", [sku]).fetchone(), body["price"]
    db.execute("UPDATE products SET name = ?, description = ?, category_id = ?, price_amount = ?, price_currency = ?, status = ?, "
               "updated_at = ? WHERE id = ?", [body["name"], body.get("description", ""), category_of(db, body["category"]),
                                               price["amount"], price["currency"], body.get("status", "active"), at, was["id"]])
    if is_new or (price["amount"], price["currency"]) != (was["price_amount"], was["price_currency"]):
        db.execute("INSERT INTO price_history (product_id, amount, currency, effective_from) VALUES (?, ?, ?, ?)",
                   [was["id"], price["amount"], price["currency"], at])
    return product(db, sku)


def replace(db, sku, body, if_match):
    was = take(db, sku, if_match)
    db.execute("UPDATE products SET version = version + 1 WHERE id = ?", [was["id"]])
    return describe(db, sku, body, stamp())


def set_price(db, sku, body, if_match):
    was, price = take(db, sku, if_match), body["price"]
    if (price["amount"], price["currency"]) == (was["price_amount"], was["price_currency"]):
        return product(db, sku)
    return replace(db, sku, {**product(db, sku), "price": price}, if_match)


def delete(db, sku, if_match):
    was, at = take(db, sku, if_match), stamp()
    db.execute("UPDATE products SET deleted_at = ?, updated_at = ?, version = version + 1 WHERE id = ?", [at, at, was["id"]])


def once(db, scope, key, raw, work):
    """The answer to a create: the first one, if the key was used before. The keys travel with the rows."""
    body_hash = hashlib.sha256(raw).hexdigest()
    first = db.execute("SELECT * FROM catalog_keys WHERE scope = ? AND key = ?", [scope, key]).fetchone() if key else None
    if first and first["body_hash"] != body_hash:
        raise Problem(422, "idempotency-key-reused", "the key was used with another body")
    if first:
        return first["location"], first["etag"], first["body"], True
    made = work(db)
    answer = f"/api/products/{urllib.parse.quote(made['sku'])}", etag(made["version"]), json.dumps(made, ensure_ascii=False)
    if key:
        db.execute("INSERT INTO catalog_keys VALUES (?, ?, ?, ?, ?, ?, ?)", [scope, key, body_hash, *answer, stamp()])
    return *answer, False


# --- Reads, and what clients see --------------------------------------------------------------------------------------------


def etag(version):
    return f'"v{version}"'


def product(db, sku):
    row = db.execute("SELECT p.*, c.slug FROM products p JOIN categories c ON c.id = p.category_id WHERE sku = ? AND deleted_at IS NULL",
                     [sku]).fetchone()
    if row is None:
        raise Problem(404, "not-found", f"there is no product `{sku}`")
    return {"sku": row["sku"], "name": row["name"], "description": row["description"], "category": row["slug"],
            "price": {"amount": row["price_amount"], "currency": row["price_currency"]}, "status": row["status"],
            "version": row["version"], "created_at": row["created_at"], "updated_at": row["updated_at"]}


def sound(body, *members):
    """A body in which what is needed is there and of its type. U+0000 could not travel, so it is refused at the door."""
    forms = {"sku": str, "name": str, "category": str, "price": dict, "description": str, "status": str}
    is_form = isinstance(body, dict) and set(members) <= body.keys() <= forms.keys()
    is_form = is_form and all(isinstance(value, forms[name]) and "\0" not in value for name, value in body.items())
    price = body.get("price", {}) if is_form else {}
    if type(price.get("amount")) is not int or not 0 <= price["amount"] <= 10**10 or not re.fullmatch("[A-Z]{3}", str(price.get("currency"))):
        raise Problem(422, "invalid", f"wanted are {', '.join(members)}")
    return body


class Shop(Requests):
    """The first port: for clients, mostly by way of the router."""

    def do_GET(self):
        self.reply(self.read)

    def do_POST(self):
        self.reply(self.add)

    def do_PUT(self):
        self.reply(self.change)

    def do_DELETE(self):
        self.reply(self.drop)

    def reply(self, work):
        try:
            raw, path = self.body(), urllib.parse.urlsplit(self.path).path
            found = re.fullmatch(r"/api/products(?:/([^/]+))?(/price)?", path)
            if found is None:
                raise Problem(404, "not-found", "there is nothing here")
            work(raw, found[1] and urllib.parse.unquote(found[1]), bool(found[2]))
        except NotHere as error:
            self.send_away(error.pen)
        except Problem as problem:
            told = {"type": f"urn:shop:{problem.kind}", "title": problem.kind, "status": problem.status, "detail": problem.detail}
            self.answer(problem.status, told, "application/problem+json")
        except sqlite3.OperationalError as error:
            print(f"{self.path}: {error}", flush=True)
            self.answer(503, {"title": "the database is busy"}, "application/problem+json", Retry_After="1")

    def send_away(self, pen):
        """421 promises that nothing happened, so whoever asked may ask the holder."""
        self.answer(421, {"title": "another process holds the pen", "status": 421}, "application/problem+json",
                    x_pen_holder=pen["holder"], x_pen_epoch=str(pen["epoch"]), x_pen_state=pen["state"])

    def read(self, _raw, sku, _is_price):
        with reading() as db:
            if sku:
                found = product(db, sku)
                return self.answer(200, found, ETag=etag(found["version"]))
            skus = [row["sku"] for row in db.execute("SELECT sku FROM products WHERE deleted_at IS NULL ORDER BY sku")]
            self.answer(200, {"items": [product(db, sku) for sku in skus], "next": None})

    def add(self, raw, _sku, _is_price):
        body, scope = sound(parsed(raw), "sku", "name", "category", "price"), self.scope()
        key = self.headers.get("Idempotency-Key")
        (location, tag, text, is_again), position = write(lambda db: once(db, scope, key, raw, lambda db: create(db, body)))
        again = {"idempotency_replayed": "true"} if is_again else {}
        self.answer(201, text.encode(), Location=location, ETag=tag, x_data_position=position, **again)

    def change(self, raw, sku, is_price):
        body = sound(parsed(raw), *(["price"] if is_price else ["name", "category", "price"]))
        self.scope()
        work, if_match = set_price if is_price else replace, self.headers.get("If-Match")
        changed, position = write(lambda db: work(db, sku, body, if_match))
        self.answer(200, changed, ETag=etag(changed["version"]), x_data_position=position)

    def drop(self, _raw, sku, _is_price):
        self.scope()
        _, position = write(lambda db: delete(db, sku, self.headers.get("If-Match")))
        self.answer(204, x_data_position=position)

    def scope(self):
        """Whose idempotency keys these are. A shop that is more than an example checks the signature first."""
        try:
            claims = self.headers.get("Authorization", "").split(".")[1]
            return f"staff {json.loads(base64.urlsafe_b64decode(claims + '=' * (-len(claims) % 4)))['sub']}"
        except (IndexError, KeyError, ValueError) as error:
            raise Problem(401, "unauthorized", "a session is needed") from error


# --- The process ------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description="A tiny shop that takes part in a hand-over of its catalog.")
    for name, told in (("database", "file"), ("listen", "address for clients"), ("handover", "address for the protocol"),
                       ("peer-url", "where the service serves the protocol"), ("token-file", "the token of both sides")):
        parser.add_argument(f"--{name}", required=True, help=told)
    parser.parse_args(namespace=OPTIONS)
    with open(OPTIONS.token_file, encoding="ascii") as file:
        OPTIONS.token = file.read().strip()
    # Stays open, or the last of the short connections would clean up the write-ahead log each time.
    kept = sqlite3.connect(OPTIONS.database)
    kept.execute("PRAGMA journal_mode = WAL")
    kept.executescript(SCHEMA + PEN + "".join(triggers(table) for table in KEYS))
    with writing() as db:
        install_pen(db)
    servers = {name: ThreadingHTTPServer((host, int(port)), handler) for name, (host, _, port), handler in (
        ("shop", OPTIONS.listen.rpartition(":"), Shop), ("handover", OPTIONS.handover.rpartition(":"), Protocol))}
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    for work in (follow.follow_on, follow.tend, pens.prune):
        threading.Thread(target=follow.for_ever, args=[work], daemon=True).start()
    print("listening", *(f"{name}={server.server_address[0]}:{server.server_address[1]}" for name, server in servers.items()), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
