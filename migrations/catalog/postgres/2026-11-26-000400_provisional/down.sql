DROP TRIGGER price_history_is_append_only ON price_history;
CREATE TRIGGER price_history_is_append_only BEFORE UPDATE ON price_history
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_price_change();
