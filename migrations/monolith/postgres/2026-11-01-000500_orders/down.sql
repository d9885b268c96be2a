DROP TABLE idempotency_keys;
DROP TABLE checkout_sagas;
DROP TABLE order_lines;
DROP TABLE orders;
