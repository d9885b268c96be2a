-- A provisional entry is not yet one of the history: it becomes the first that comes of its product.
DROP TRIGGER price_history_is_append_only ON price_history;
CREATE TRIGGER price_history_is_append_only BEFORE UPDATE ON price_history
  FOR EACH ROW WHEN (OLD.id >= 0) EXECUTE FUNCTION refuse_price_change();
