-- Owned by the catalog module. AUTOINCREMENT, so that an id is never given twice.
CREATE TABLE categories (
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  slug TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL
);
CREATE TABLE products (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  sku            TEXT NOT NULL UNIQUE,
  name           TEXT NOT NULL,
  description    TEXT NOT NULL,
  category_id    INTEGER NOT NULL REFERENCES categories (id),
  price_amount   BIGINT NOT NULL CHECK (price_amount >= 0),
  price_currency TEXT NOT NULL,
  status         TEXT NOT NULL CHECK (status IN ('active', 'discontinued')),
  search_words   TEXT NOT NULL,
  version        BIGINT NOT NULL,
  created_at     TIMESTAMP NOT NULL,
  updated_at     TIMESTAMP NOT NULL,
  deleted_at     TIMESTAMP
);
CREATE INDEX products_by_category ON products (category_id);
CREATE TABLE price_history (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  product_id     INTEGER NOT NULL REFERENCES products (id),
  amount         BIGINT NOT NULL,
  currency       TEXT NOT NULL,
  effective_from TIMESTAMP NOT NULL
);
CREATE INDEX price_history_by_product ON price_history (product_id, effective_from);
