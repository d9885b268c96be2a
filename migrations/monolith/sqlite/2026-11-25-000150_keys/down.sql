DROP TABLE catalog_keys;
