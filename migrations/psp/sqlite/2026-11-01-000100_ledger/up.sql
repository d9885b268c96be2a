-- The provider's own books. The ledger is only ever appended to.
CREATE TABLE charges (
  id             TEXT PRIMARY KEY NOT NULL,
  key            TEXT NOT NULL UNIQUE,
  reference      TEXT NOT NULL,
  amount         BIGINT NOT NULL CHECK (amount > 0),
  currency       TEXT NOT NULL,
  payment_method TEXT NOT NULL,
  capture        BOOLEAN NOT NULL,
  state          TEXT NOT NULL,
  refunded       BIGINT NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount),
  due_ms         BIGINT,
  created_ms     BIGINT NOT NULL
);
CREATE TABLE refunds (
  key       TEXT PRIMARY KEY NOT NULL,
  charge_id TEXT NOT NULL REFERENCES charges (id),
  amount    BIGINT NOT NULL CHECK (amount > 0)
);
CREATE TABLE dead_keys (key TEXT PRIMARY KEY NOT NULL);
CREATE TABLE hung_keys (key TEXT PRIMARY KEY NOT NULL);
CREATE TABLE ledger (
  seq       INTEGER PRIMARY KEY AUTOINCREMENT,
  kind      TEXT NOT NULL CHECK (kind IN ('charge', 'capture', 'refund', 'void')),
  charge_id TEXT NOT NULL REFERENCES charges (id),
  key       TEXT NOT NULL,
  reference TEXT NOT NULL,
  amount    BIGINT NOT NULL,
  currency  TEXT NOT NULL,
  at_ms     BIGINT NOT NULL
);
CREATE TABLE events (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  body     TEXT NOT NULL,
  due_ms   BIGINT NOT NULL,
  attempts BIGINT NOT NULL DEFAULT 0,
  sent     BOOLEAN NOT NULL DEFAULT FALSE
);
