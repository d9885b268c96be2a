-- Owned by the carts module. Prices are not kept: they are the catalog's, and live. The name is what the product was
-- last called, for when it is gone; the currency keeps a cart to one. AUTOINCREMENT, so that an id is never given twice.
CREATE TABLE carts (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  customer_id BIGINT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('open', 'ordered')),
  created_at  TIMESTAMP NOT NULL,
  updated_at  TIMESTAMP NOT NULL
);
CREATE TABLE cart_items (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  cart_id  BIGINT NOT NULL REFERENCES carts (id),
  sku      TEXT NOT NULL,
  name     TEXT NOT NULL,
  currency TEXT NOT NULL,
  quantity BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
  UNIQUE (cart_id, sku)
);
