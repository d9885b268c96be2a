-- A first copy brings the history before the products, so that no price is written twice: an entry may come before its product. What this
-- service writes itself is held to the rules as before, at its end; a follower, as PostgreSQL's own, takes the source's word. A foreign key
-- asks row by row, and locks what it finds.
ALTER TABLE price_history DROP CONSTRAINT price_history_product_id_fkey;
ALTER TABLE products DROP CONSTRAINT products_have_a_price;
CREATE FUNCTION price_history_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM price_history USING gone WHERE price_history.product_id = gone.id;
  RETURN NULL;
END $$;
CREATE TRIGGER price_history_follows AFTER DELETE ON products REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION price_history_follows();
-- What is asked is how things are when the transaction ends, not how the row was.
CREATE FUNCTION product_has_a_price() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE product BIGINT;
BEGIN
  IF TG_TABLE_NAME = 'products' THEN product := NEW.id; ELSE product := OLD.product_id; END IF;
  PERFORM FROM products AS p WHERE p.id = product
    AND NOT EXISTS (SELECT FROM price_history AS h WHERE h.product_id = p.id AND h.seq = p.price_seq);
  IF FOUND THEN
    RAISE foreign_key_violation USING MESSAGE = format('the price in force of product %s is not in its history', product),
      TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER products_have_a_price AFTER INSERT OR UPDATE OF id, price_seq ON products
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (current_setting('banyan.follower', true) IS DISTINCT FROM 'catalog')
  EXECUTE FUNCTION product_has_a_price();
CREATE CONSTRAINT TRIGGER price_in_force_stays AFTER DELETE ON price_history
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (current_setting('banyan.follower', true) IS DISTINCT FROM 'catalog')
  EXECUTE FUNCTION product_has_a_price();
CREATE FUNCTION price_history_has_a_product() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM price_history AS h WHERE h.id = NEW.id AND NOT EXISTS (SELECT FROM products AS p WHERE p.id = h.product_id);
  IF FOUND THEN
    RAISE foreign_key_violation USING MESSAGE = format('there is no product %s for an entry of the price history', NEW.product_id),
      TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER price_history_has_a_product AFTER INSERT ON price_history
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (current_setting('banyan.follower', true) IS DISTINCT FROM 'catalog')
  EXECUTE FUNCTION price_history_has_a_product();
