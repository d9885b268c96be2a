-- The index is made from the products alone: what keeps the two together is the service, and a deletion takes both. A foreign key
-- looked each product up once more, one by one.
ALTER TABLE product_search DROP CONSTRAINT product_search_product_id_fkey;
CREATE FUNCTION product_search_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM product_search USING gone WHERE product_search.product_id = gone.id;
  RETURN NULL;
END $$;
CREATE TRIGGER product_search_follows AFTER DELETE ON products REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION product_search_follows();
