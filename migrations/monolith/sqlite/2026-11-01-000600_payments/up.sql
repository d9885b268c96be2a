-- Owned by the payments module. psp_key is what the provider knows a payment by before it has answered: one key, one charge.
CREATE TABLE payments (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id       BIGINT NOT NULL,
  customer_id    BIGINT,
  psp_key        TEXT NOT NULL UNIQUE,
  psp_reference  TEXT,
  payment_method TEXT NOT NULL,
  capture        BOOLEAN NOT NULL,
  amount         BIGINT NOT NULL CHECK (amount > 0),
  currency       TEXT NOT NULL,
  state          TEXT NOT NULL CHECK (state IN
    ('pending', 'voiding', 'authorized', 'captured', 'failed', 'voided', 'partially_refunded', 'refunded')),
  refunded       BIGINT NOT NULL CHECK (refunded BETWEEN 0 AND amount),
  failure        TEXT,
  attempts       BIGINT NOT NULL,
  next_at        TIMESTAMP NOT NULL,
  give_up_at     TIMESTAMP NOT NULL,
  created_at     TIMESTAMP NOT NULL,
  updated_at     TIMESTAMP NOT NULL
);
CREATE INDEX payments_by_order ON payments (order_id, id);
CREATE INDEX payments_by_customer ON payments (customer_id, created_at, id);
CREATE INDEX payments_due ON payments (next_at) WHERE state IN ('pending', 'voiding');
-- At most one payment of an order is under way or paid.
CREATE UNIQUE INDEX payments_one_live ON payments (order_id)
  WHERE state IN ('pending', 'voiding', 'authorized', 'captured', 'partially_refunded');
CREATE TABLE refunds (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  payment_id     BIGINT NOT NULL REFERENCES payments (id),
  psp_key        TEXT NOT NULL UNIQUE,
  request_key    TEXT,
  amount         BIGINT NOT NULL CHECK (amount > 0),
  reason         TEXT NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
  attempts       BIGINT NOT NULL,
  next_at        TIMESTAMP NOT NULL,
  created_at     TIMESTAMP NOT NULL,
  UNIQUE (payment_id, request_key)
);
CREATE INDEX refunds_due ON refunds (next_at) WHERE state = 'pending';
CREATE TABLE psp_events (
  id             TEXT PRIMARY KEY NOT NULL,
  kind           TEXT NOT NULL,
  received_at    TIMESTAMP NOT NULL
);
