-- Owned by the orders module. customer_id, cart_id, reservation_id and payment_id point at other modules' rows, and so
-- are numbers here, not foreign keys.
CREATE TABLE orders (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  number         TEXT UNIQUE,
  kind           TEXT NOT NULL CHECK (kind IN ('sale', 'credit_note')),
  state          TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'cancelled', 'shipped')),
  payment        TEXT NOT NULL CHECK (payment IN ('none', 'pending', 'paid', 'failed', 'refunded')),
  customer_id    BIGINT,
  currency       TEXT NOT NULL,
  total          BIGINT NOT NULL,
  cancel_reason  TEXT,
  country        TEXT,
  placed_at      TIMESTAMP NOT NULL,
  updated_at     TIMESTAMP NOT NULL
);
CREATE INDEX orders_by_customer ON orders (customer_id, id);
CREATE INDEX orders_by_time ON orders (placed_at);
CREATE TABLE order_lines (
  order_id       BIGINT NOT NULL REFERENCES orders (id),
  line_no        BIGINT NOT NULL,
  sku            TEXT NOT NULL,
  name           TEXT NOT NULL,
  quantity       BIGINT NOT NULL,
  unit_amount    BIGINT NOT NULL,
  PRIMARY KEY (order_id, line_no)
);
CREATE INDEX order_lines_by_sku ON order_lines (sku);
-- What a checkout has done so far in other modules, and until when it may stay undecided.
CREATE TABLE checkout_sagas (
  order_id       BIGINT PRIMARY KEY NOT NULL REFERENCES orders (id),
  step           TEXT NOT NULL CHECK (step IN ('charging', 'awaiting', 'done')),
  cart_id        BIGINT NOT NULL,
  reservation_id BIGINT NOT NULL,
  expires_at     TIMESTAMP NOT NULL
);
CREATE INDEX checkout_sagas_open ON checkout_sagas (expires_at) WHERE step = 'awaiting';
CREATE TABLE idempotency_keys (
  scope          TEXT NOT NULL,
  key            TEXT NOT NULL,
  body_hash      TEXT NOT NULL,
  order_id       BIGINT NOT NULL,
  status         BIGINT,
  body           TEXT,
  created_at     TIMESTAMP NOT NULL,
  PRIMARY KEY (scope, key)
);
