-- The pen of the module catalog and the feed of its changes. Generated: see `handover::ddl`.
CREATE TABLE pen_catalog (
  side       TEXT PRIMARY KEY NOT NULL,
  holder     TEXT NOT NULL,
  epoch      INTEGER NOT NULL CHECK (epoch >= 1),
  state      TEXT NOT NULL CHECK (state IN ('held', 'fenced', 'granted')),
  pass       TEXT,
  position   TEXT,
  feed       TEXT NOT NULL,
  feed_start TEXT,
  expires_at TEXT,
  since      TEXT NOT NULL,
  sequences  TEXT
);
CREATE UNIQUE INDEX pen_catalog_is_one_row ON pen_catalog ((1));
CREATE TABLE outbox_catalog (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch INTEGER NOT NULL,
  tbl   TEXT NOT NULL,
  key   TEXT NOT NULL
);
-- Holds a row only while a follower's transaction is open; no other connection ever sees it.
CREATE TABLE mark_catalog (module TEXT PRIMARY KEY NOT NULL);
CREATE TABLE follow_catalog (
  source      TEXT PRIMARY KEY NOT NULL,
  feed        TEXT NOT NULL,
  epoch       INTEGER NOT NULL,
  cursor      TEXT NOT NULL,
  phase       TEXT NOT NULL CHECK (phase IN ('copying', 'catching-up', 'following', 'parked', 'sealed')),
  reached     TEXT,
  copy_table  TEXT,
  copy_key    TEXT,
  copied_rows INTEGER NOT NULL DEFAULT 0,
  parked      TEXT
);
CREATE TABLE followers_catalog (
  side    TEXT PRIMARY KEY NOT NULL,
  cursor  TEXT NOT NULL,
  seen_at TEXT NOT NULL
);
CREATE TRIGGER a_guard_categories_insert BEFORE INSERT ON categories BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_categories_update BEFORE UPDATE ON categories BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_categories_delete BEFORE DELETE ON categories BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER z_capture_categories_insert AFTER INSERT ON categories
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'categories', json_array(CAST(NEW.id AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER z_capture_categories_update AFTER UPDATE ON categories
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'categories', json_array(CAST(OLD.id AS TEXT)) FROM pen_catalog;
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'categories', json_array(CAST(NEW.id AS TEXT)) FROM pen_catalog WHERE NEW.id IS NOT OLD.id;
END;
CREATE TRIGGER z_capture_categories_delete AFTER DELETE ON categories
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'categories', json_array(CAST(OLD.id AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER y_replaced_categories_0_insert BEFORE INSERT ON categories
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key)
    SELECT (SELECT epoch FROM pen_catalog), 'categories', json_array(CAST(id AS TEXT)) FROM categories
     WHERE slug = NEW.slug AND (id IS NOT NEW.id) AND EXISTS (SELECT 1 FROM pen_catalog);
END;
CREATE TRIGGER y_replaced_categories_0_update BEFORE UPDATE ON categories
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key)
    SELECT (SELECT epoch FROM pen_catalog), 'categories', json_array(CAST(id AS TEXT)) FROM categories
     WHERE slug = NEW.slug AND (id IS NOT OLD.id) AND EXISTS (SELECT 1 FROM pen_catalog);
END;
CREATE TRIGGER a_guard_products_insert BEFORE INSERT ON products BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_products_update BEFORE UPDATE ON products BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_products_delete BEFORE DELETE ON products BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER z_capture_products_insert AFTER INSERT ON products
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'products', json_array(CAST(NEW.id AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER z_capture_products_update AFTER UPDATE ON products
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'products', json_array(CAST(OLD.id AS TEXT)) FROM pen_catalog;
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'products', json_array(CAST(NEW.id AS TEXT)) FROM pen_catalog WHERE NEW.id IS NOT OLD.id;
END;
CREATE TRIGGER z_capture_products_delete AFTER DELETE ON products
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'products', json_array(CAST(OLD.id AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER y_replaced_products_0_insert BEFORE INSERT ON products
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key)
    SELECT (SELECT epoch FROM pen_catalog), 'products', json_array(CAST(id AS TEXT)) FROM products
     WHERE sku = NEW.sku AND (id IS NOT NEW.id) AND EXISTS (SELECT 1 FROM pen_catalog);
END;
CREATE TRIGGER y_replaced_products_0_update BEFORE UPDATE ON products
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key)
    SELECT (SELECT epoch FROM pen_catalog), 'products', json_array(CAST(id AS TEXT)) FROM products
     WHERE sku = NEW.sku AND (id IS NOT OLD.id) AND EXISTS (SELECT 1 FROM pen_catalog);
END;
CREATE TRIGGER a_guard_price_history_insert BEFORE INSERT ON price_history BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_price_history_update BEFORE UPDATE ON price_history BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_price_history_delete BEFORE DELETE ON price_history BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER z_capture_price_history_insert AFTER INSERT ON price_history
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'price_history', json_array(CAST(NEW.id AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER z_capture_price_history_update AFTER UPDATE ON price_history
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'price_history', json_array(CAST(OLD.id AS TEXT)) FROM pen_catalog;
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'price_history', json_array(CAST(NEW.id AS TEXT)) FROM pen_catalog WHERE NEW.id IS NOT OLD.id;
END;
CREATE TRIGGER z_capture_price_history_delete AFTER DELETE ON price_history
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'price_history', json_array(CAST(OLD.id AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER a_guard_catalog_keys_insert BEFORE INSERT ON catalog_keys BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_catalog_keys_update BEFORE UPDATE ON catalog_keys BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER a_guard_catalog_keys_delete BEFORE DELETE ON catalog_keys BEGIN
  SELECT RAISE(ABORT, 'the pen of catalog is not here')
   WHERE EXISTS (SELECT 1 FROM pen_catalog WHERE holder <> side OR state <> 'held') AND NOT EXISTS (SELECT 1 FROM mark_catalog);
END;
CREATE TRIGGER z_capture_catalog_keys_insert AFTER INSERT ON catalog_keys
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'catalog_keys', json_array(CAST(NEW.scope AS TEXT), CAST(NEW.key AS TEXT)) FROM pen_catalog;
END;
CREATE TRIGGER z_capture_catalog_keys_update AFTER UPDATE ON catalog_keys
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'catalog_keys', json_array(CAST(OLD.scope AS TEXT), CAST(OLD.key AS TEXT)) FROM pen_catalog;
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'catalog_keys', json_array(CAST(NEW.scope AS TEXT), CAST(NEW.key AS TEXT)) FROM pen_catalog WHERE NEW.scope IS NOT OLD.scope OR NEW.key IS NOT OLD.key;
END;
CREATE TRIGGER z_capture_catalog_keys_delete AFTER DELETE ON catalog_keys
WHEN NOT EXISTS (SELECT 1 FROM mark_catalog) BEGIN
  INSERT INTO outbox_catalog (epoch, tbl, key) SELECT epoch, 'catalog_keys', json_array(CAST(OLD.scope AS TEXT), CAST(OLD.key AS TEXT)) FROM pen_catalog;
END;
