-- Owned by the notifications module. customer_id points at nothing here: another module owns customers.
CREATE TABLE notifications (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  customer_id   BIGINT NOT NULL,
  kind          TEXT NOT NULL,
  email         TEXT NOT NULL,
  subject       TEXT NOT NULL,
  body          TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
  attempts      BIGINT NOT NULL,
  resend_of     BIGINT,
  next_at       TIMESTAMP NOT NULL,
  created_at    TIMESTAMP NOT NULL,
  sent_at       TIMESTAMP
);
CREATE INDEX notifications_by_customer ON notifications (customer_id, id);
CREATE INDEX notifications_due ON notifications (state, next_at, id);
CREATE TABLE notification_preferences (
  customer_id   BIGINT PRIMARY KEY NOT NULL,
  order_updates BOOLEAN NOT NULL,
  marketing     BOOLEAN NOT NULL
);
CREATE TABLE webhook_subscriptions (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  url           TEXT NOT NULL,
  events        TEXT NOT NULL,
  secret        TEXT NOT NULL,
  created_at    TIMESTAMP NOT NULL
);
CREATE TABLE webhook_deliveries (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription_id BIGINT NOT NULL REFERENCES webhook_subscriptions (id) ON DELETE CASCADE,
  event           TEXT NOT NULL,
  body            TEXT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
  attempts        BIGINT NOT NULL,
  next_at         TIMESTAMP NOT NULL
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (state, next_at, id);
