-- Owned by the accounts module. login is the e-mail in lower case; a deleted customer and one known only from imported
-- books have none, and so cannot log in.
CREATE TABLE customers (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  email         TEXT NOT NULL,
  login         TEXT UNIQUE,
  name          TEXT NOT NULL,
  password_hash TEXT,
  reference     TEXT UNIQUE,
  version       BIGINT NOT NULL,
  created_at    TIMESTAMP NOT NULL,
  deleted_at    TIMESTAMP
);
CREATE TABLE addresses (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  customer_id   BIGINT NOT NULL REFERENCES customers (id),
  line1         TEXT NOT NULL,
  line2         TEXT,
  city          TEXT NOT NULL,
  postcode      TEXT,
  country       TEXT NOT NULL
);
CREATE INDEX addresses_by_customer ON addresses (customer_id, id);
CREATE TABLE sessions (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  customer_id   BIGINT NOT NULL REFERENCES customers (id),
  expires_at    TIMESTAMP NOT NULL,
  ended_at      TIMESTAMP
);
CREATE INDEX sessions_by_customer ON sessions (customer_id);
