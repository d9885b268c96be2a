DROP TABLE product_search;
ALTER TABLE products DROP CONSTRAINT products_have_a_price;
DROP TABLE price_history;
DROP FUNCTION refuse_price_change;
DROP TABLE products;
DROP TABLE categories;
