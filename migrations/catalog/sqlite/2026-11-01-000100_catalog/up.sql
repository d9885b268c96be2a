-- The catalog service's own database. Prices live in price_history alone: a product points at the entry in force.
CREATE TABLE categories (
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  slug TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL
);
CREATE TABLE products (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  sku         TEXT NOT NULL UNIQUE,
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  category_id INTEGER NOT NULL REFERENCES categories (id),
  status      TEXT NOT NULL CHECK (status IN ('active', 'discontinued')),
  price_seq   BIGINT NOT NULL,
  version     BIGINT NOT NULL CHECK (version >= 1),
  created_at  TIMESTAMP NOT NULL,
  updated_at  TIMESTAMP NOT NULL,
  deleted_at  TIMESTAMP,
  -- Deferred, for a product and its first price come in one transaction, one after the other.
  FOREIGN KEY (id, price_seq) REFERENCES price_history (product_id, seq) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX products_by_category ON products (category_id, sku) WHERE deleted_at IS NULL;
CREATE TABLE price_history (
  product_id     INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
  seq            BIGINT NOT NULL CHECK (seq >= 1),
  amount         BIGINT NOT NULL CHECK (amount >= 0),
  currency       TEXT NOT NULL,
  effective_from TIMESTAMP NOT NULL,
  PRIMARY KEY (product_id, seq)
) WITHOUT ROWID;
CREATE TRIGGER price_history_is_append_only BEFORE UPDATE ON price_history
BEGIN
  SELECT RAISE(ABORT, 'price_history is append-only');
END;
-- One row for each product that can be found. The words come ready from the service, so the tokeniser has only spaces
-- to cut at: `ascii` takes every other character as it is. No positions (detail), no copy of the text (content).
CREATE VIRTUAL TABLE product_search USING fts5 (
  words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii', prefix = '1 2 3'
);
CREATE TRIGGER product_search_follows AFTER DELETE ON products
BEGIN
  DELETE FROM product_search WHERE rowid = old.id;
END;
