ALTER TABLE price_history DROP COLUMN id;
