-- Which idempotency key made which product, and what was answered. The same on both sides: the rows travel with the products.
CREATE TABLE catalog_keys (
  scope      TEXT COLLATE "C" NOT NULL,
  key        TEXT COLLATE "C" NOT NULL,
  body_hash  TEXT NOT NULL,
  location   TEXT NOT NULL,
  etag       TEXT NOT NULL,
  body       TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX catalog_keys_by_age ON catalog_keys (created_at);
