DROP TRIGGER price_history_follows;
DROP TRIGGER price_history_has_a_product;
DELETE FROM price_history WHERE product_id NOT IN (SELECT id FROM products);
CREATE TABLE price_history_again (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  product_id     INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
  seq            BIGINT NOT NULL CHECK (seq >= 1),
  amount         BIGINT NOT NULL CHECK (amount >= 0),
  currency       TEXT NOT NULL,
  effective_from TIMESTAMP NOT NULL,
  UNIQUE (product_id, seq)
);
INSERT INTO price_history_again (id, product_id, seq, amount, currency, effective_from)
  SELECT id, product_id, seq, amount, currency, effective_from FROM price_history;
-- The ids go on where they were, also where no entry is left.
DELETE FROM sqlite_sequence WHERE name = 'price_history_again';
INSERT INTO sqlite_sequence (name, seq) SELECT 'price_history_again', seq FROM sqlite_sequence WHERE name = 'price_history';
DROP TABLE price_history;
ALTER TABLE price_history_again RENAME TO price_history;
CREATE TRIGGER price_history_is_append_only BEFORE UPDATE ON price_history WHEN OLD.id >= 0
BEGIN
  SELECT RAISE(ABORT, 'price_history is append-only');
END;
CREATE TRIGGER a_guard_price_history_insert BEFORE INSERT ON price_history BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_price_history_update BEFORE UPDATE ON price_history BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_price_history_delete BEFORE DELETE ON price_history BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER z_capture_price_history_insert AFTER INSERT ON price_history
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'price_history', json_array(CAST(NEW.id AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER z_capture_price_history_update AFTER UPDATE ON price_history
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'price_history', json_array(CAST(OLD.id AS TEXT)) FROM pen_catalog;
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'price_history', json_array(CAST(NEW.id AS TEXT)) FROM pen_catalog WHERE NEW.id IS NOT OLD.id;
END;
CREATE TRIGGER z_capture_price_history_delete AFTER DELETE ON price_history
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'price_history', json_array(CAST(OLD.id AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER y_replaced_price_history_0_insert BEFORE INSERT ON price_history
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key)
    SELECT (SELECT epoch FROM pen_catalog), 'price_history', json_array(CAST(id AS TEXT)) FROM price_history
     WHERE product_id = NEW.product_id AND seq = NEW.seq AND (id IS NOT NEW.id) AND EXISTS (SELECT 1 FROM pen_catalog);
END;
CREATE TRIGGER y_replaced_price_history_0_update BEFORE UPDATE OF product_id, seq ON price_history
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key)
    SELECT (SELECT epoch FROM pen_catalog), 'price_history', json_array(CAST(id AS TEXT)) FROM price_history
     WHERE product_id = NEW.product_id AND seq = NEW.seq AND (id IS NOT OLD.id) AND EXISTS (SELECT 1 FROM pen_catalog);
END;
-- A copy that is under way goes from table to table in an order that is another one now: it begins anew, at the cursor that it has.
UPDATE follow_catalog SET copy_table = 'categories', copy_key = NULL, copied_rows = 0 WHERE phase = 'copying' AND copy_table IS NOT NULL;
