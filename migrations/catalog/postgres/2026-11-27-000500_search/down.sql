DROP TRIGGER product_search_follows ON products;
DROP FUNCTION product_search_follows();
DELETE FROM product_search WHERE product_id NOT IN (SELECT id FROM products);
ALTER TABLE product_search ADD CONSTRAINT product_search_product_id_fkey
  FOREIGN KEY (product_id) REFERENCES products (id) ON DELETE CASCADE;
