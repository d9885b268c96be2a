DROP TABLE product_search;
DROP TABLE price_history;
DROP TABLE products;
DROP TABLE categories;
