-- A first copy brings the history before the products, so that no price is written twice: an entry may come before its product. What this
-- service writes itself is held to the rules as before; a follower, as PostgreSQL's own, takes the source's word, and asks for the
-- categories of many products at once. A foreign key asks row by row and locks what it finds.
ALTER TABLE products DROP CONSTRAINT products_category_id_fkey;
CREATE FUNCTION product_has_a_category() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- As a foreign key does it: whoever removes the category waits for this transaction, and finds the product then.
  PERFORM FROM categories AS c WHERE c.id = NEW.category_id FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE foreign_key_violation USING MESSAGE = format('there is no category %s for product %s', NEW.category_id, NEW.id),
      TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER products_have_a_category AFTER INSERT OR UPDATE OF category_id ON products
  FOR EACH ROW WHEN (current_setting('banyan.follower', true) IS DISTINCT FROM 'catalog')
  EXECUTE FUNCTION product_has_a_category();
CREATE FUNCTION category_is_not_needed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM products AS p WHERE p.category_id = OLD.id;
  IF FOUND THEN
    RAISE foreign_key_violation USING MESSAGE = format('category %s has products', OLD.id), TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER category_with_products_stays AFTER DELETE OR UPDATE OF id ON categories
  FOR EACH ROW WHEN (current_setting('banyan.follower', true) IS DISTINCT FROM 'catalog')
  EXECUTE FUNCTION category_is_not_needed();
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
-- A copy that is under way goes from table to table in an order that is another one now: it begins anew, at the cursor that it has.
UPDATE follow_catalog SET copy_table = 'categories', copy_key = NULL, copied_rows = 0 WHERE phase = 'copying' AND copy_table IS NOT NULL;
