-- Entries of the price history are known to the other side by an id; of one product's entries the last id is in force. A negative one is
-- provisional: the price of a product whose history is still on its way.
CREATE TABLE price_history_with_ids (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  product_id     INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
  seq            BIGINT NOT NULL CHECK (seq >= 1),
  amount         BIGINT NOT NULL CHECK (amount >= 0),
  currency       TEXT NOT NULL,
  effective_from TIMESTAMP NOT NULL,
  UNIQUE (product_id, seq)
);
INSERT INTO price_history_with_ids (product_id, seq, amount, currency, effective_from)
  SELECT product_id, seq, amount, currency, effective_from FROM price_history ORDER BY product_id, seq;
DROP TABLE price_history;
ALTER TABLE price_history_with_ids RENAME TO price_history;
CREATE TRIGGER price_history_is_append_only BEFORE UPDATE ON price_history
BEGIN
  SELECT RAISE(ABORT, 'price_history is append-only');
END;
