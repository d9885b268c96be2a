CREATE TABLE price_history_without_ids (
  product_id     INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
  seq            BIGINT NOT NULL CHECK (seq >= 1),
  amount         BIGINT NOT NULL CHECK (amount >= 0),
  currency       TEXT NOT NULL,
  effective_from TIMESTAMP NOT NULL,
  PRIMARY KEY (product_id, seq)
) WITHOUT ROWID;
INSERT INTO price_history_without_ids SELECT product_id, seq, amount, currency, effective_from FROM price_history;
DROP TABLE price_history;
ALTER TABLE price_history_without_ids RENAME TO price_history;
CREATE TRIGGER price_history_is_append_only BEFORE UPDATE ON price_history
BEGIN
  SELECT RAISE(ABORT, 'price_history is append-only');
END;
