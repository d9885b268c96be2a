DROP TRIGGER price_history_is_append_only;
CREATE TRIGGER price_history_is_append_only BEFORE UPDATE ON price_history
BEGIN
  SELECT RAISE(ABORT, 'price_history is append-only');
END;
