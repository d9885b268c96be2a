-- A provisional entry is not yet one of the history: it becomes the first that comes of its product.
DROP TRIGGER price_history_is_append_only;
CREATE TRIGGER price_history_is_append_only BEFORE UPDATE ON price_history WHEN OLD.id >= 0
BEGIN
  SELECT RAISE(ABORT, 'price_history is append-only');
END;
