-- The pen of the module catalog and the feed of its changes. Generated: see `handover::ddl`.
CREATE TABLE pen_catalog (
  side       TEXT PRIMARY KEY NOT NULL,
  holder     TEXT NOT NULL,
  epoch      BIGINT NOT NULL CHECK (epoch >= 1),
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
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
  tbl TEXT NOT NULL,
  key TEXT NOT NULL
);
CREATE INDEX outbox_catalog_by_transaction ON outbox_catalog (xid);
CREATE TABLE follow_catalog (
  source      TEXT PRIMARY KEY NOT NULL,
  feed        TEXT NOT NULL,
  epoch       BIGINT NOT NULL,
  cursor      TEXT NOT NULL,
  phase       TEXT NOT NULL CHECK (phase IN ('copying', 'catching-up', 'following', 'parked', 'sealed')),
  reached     TEXT,
  copy_table  TEXT,
  copy_key    TEXT,
  copied_rows BIGINT NOT NULL DEFAULT 0,
  parked      TEXT
);
CREATE TABLE followers_catalog (
  side    TEXT PRIMARY KEY NOT NULL,
  cursor  TEXT NOT NULL,
  seen_at TEXT NOT NULL
);
CREATE FUNCTION guard_catalog() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE pen pen_catalog%ROWTYPE;
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    SELECT * INTO pen FROM pen_catalog FOR SHARE;
    -- A snapshot that is older than the pen never sees it; the size of the table's file is no matter of snapshots.
    IF NOT FOUND AND pg_relation_size('pen_catalog'::regclass) > 0 THEN
      RAISE EXCEPTION 'could not serialize access: the pen of catalog may be newer than this transaction; run it again'
        USING ERRCODE = 'serialization_failure', HINT = 'If there is no pen and shall be none: TRUNCATE pen_catalog';
    END IF;
    IF NOT FOUND OR pen.holder = pen.side AND pen.state = 'held' THEN RETURN NULL; END IF;
  ELSE
    PERFORM FROM pen_catalog WHERE holder <> side OR state <> 'held' FOR SHARE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    SELECT * INTO pen FROM pen_catalog;
  END IF;
  RAISE EXCEPTION 'the pen of catalog is not here: % in epoch %, %', pen.holder, pen.epoch, pen.state
    USING ERRCODE = 'BP421', CONSTRAINT = 'pen',
          DETAIL = json_build_object('holder', pen.holder, 'epoch', pen.epoch, 'state', pen.state)::text;
END $$;
-- No row trigger fires for TRUNCATE, so its rows would stay at the follower for ever. Fires after the guard.
CREATE FUNCTION guard_catalog_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  IF EXISTS (SELECT FROM pen_catalog) THEN
    RAISE EXCEPTION 'TRUNCATE of % cannot be followed by the other side; use DELETE', TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER a_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON categories
  FOR EACH STATEMENT EXECUTE FUNCTION guard_catalog();
CREATE TRIGGER b_truncate BEFORE TRUNCATE ON categories
  FOR EACH STATEMENT EXECUTE FUNCTION guard_catalog_truncate();
CREATE FUNCTION capture_catalog_categories_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  INSERT INTO outbox_catalog (tbl, key) SELECT 'categories', json_build_array(came.id::text)::text FROM pen_catalog, came;
  RETURN NULL;
END $$;
CREATE FUNCTION capture_catalog_categories_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  INSERT INTO outbox_catalog (tbl, key) SELECT 'categories', json_build_array(OLD.id::text)::text FROM pen_catalog;
  IF TG_OP = 'UPDATE' AND (OLD.id IS DISTINCT FROM NEW.id) THEN
    INSERT INTO outbox_catalog (tbl, key) SELECT 'categories', json_build_array(NEW.id::text)::text FROM pen_catalog;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_capture_new AFTER INSERT ON categories REFERENCING NEW TABLE AS came
  FOR EACH STATEMENT EXECUTE FUNCTION capture_catalog_categories_new();
CREATE TRIGGER z_capture_old AFTER UPDATE OR DELETE ON categories
  FOR EACH ROW EXECUTE FUNCTION capture_catalog_categories_old();
-- ALWAYS, or session_replication_role = replica would pass them.
ALTER TABLE categories ENABLE ALWAYS TRIGGER a_guard, ENABLE ALWAYS TRIGGER b_truncate,
  ENABLE ALWAYS TRIGGER z_capture_new, ENABLE ALWAYS TRIGGER z_capture_old;
CREATE TRIGGER a_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON products
  FOR EACH STATEMENT EXECUTE FUNCTION guard_catalog();
CREATE TRIGGER b_truncate BEFORE TRUNCATE ON products
  FOR EACH STATEMENT EXECUTE FUNCTION guard_catalog_truncate();
CREATE FUNCTION capture_catalog_products_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  INSERT INTO outbox_catalog (tbl, key) SELECT 'products', json_build_array(came.id::text)::text FROM pen_catalog, came;
  RETURN NULL;
END $$;
CREATE FUNCTION capture_catalog_products_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  INSERT INTO outbox_catalog (tbl, key) SELECT 'products', json_build_array(OLD.id::text)::text FROM pen_catalog;
  IF TG_OP = 'UPDATE' AND (OLD.id IS DISTINCT FROM NEW.id) THEN
    INSERT INTO outbox_catalog (tbl, key) SELECT 'products', json_build_array(NEW.id::text)::text FROM pen_catalog;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_capture_new AFTER INSERT ON products REFERENCING NEW TABLE AS came
  FOR EACH STATEMENT EXECUTE FUNCTION capture_catalog_products_new();
CREATE TRIGGER z_capture_old AFTER UPDATE OR DELETE ON products
  FOR EACH ROW EXECUTE FUNCTION capture_catalog_products_old();
-- ALWAYS, or session_replication_role = replica would pass them.
ALTER TABLE products ENABLE ALWAYS TRIGGER a_guard, ENABLE ALWAYS TRIGGER b_truncate,
  ENABLE ALWAYS TRIGGER z_capture_new, ENABLE ALWAYS TRIGGER z_capture_old;
CREATE TRIGGER a_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON price_history
  FOR EACH STATEMENT EXECUTE FUNCTION guard_catalog();
CREATE TRIGGER b_truncate BEFORE TRUNCATE ON price_history
  FOR EACH STATEMENT EXECUTE FUNCTION guard_catalog_truncate();
CREATE FUNCTION capture_catalog_price_history_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  INSERT INTO outbox_catalog (tbl, key) SELECT 'price_history', json_build_array(came.id::text)::text FROM pen_catalog, came;
  RETURN NULL;
END $$;
CREATE FUNCTION capture_catalog_price_history_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  INSERT INTO outbox_catalog (tbl, key) SELECT 'price_history', json_build_array(OLD.id::text)::text FROM pen_catalog;
  IF TG_OP = 'UPDATE' AND (OLD.id IS DISTINCT FROM NEW.id) THEN
    INSERT INTO outbox_catalog (tbl, key) SELECT 'price_history', json_build_array(NEW.id::text)::text FROM pen_catalog;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_capture_new AFTER INSERT ON price_history REFERENCING NEW TABLE AS came
  FOR EACH STATEMENT EXECUTE FUNCTION capture_catalog_price_history_new();
CREATE TRIGGER z_capture_old AFTER UPDATE OR DELETE ON price_history
  FOR EACH ROW EXECUTE FUNCTION capture_catalog_price_history_old();
-- ALWAYS, or session_replication_role = replica would pass them.
ALTER TABLE price_history ENABLE ALWAYS TRIGGER a_guard, ENABLE ALWAYS TRIGGER b_truncate,
  ENABLE ALWAYS TRIGGER z_capture_new, ENABLE ALWAYS TRIGGER z_capture_old;
CREATE TRIGGER a_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON catalog_keys
  FOR EACH STATEMENT EXECUTE FUNCTION guard_catalog();
CREATE TRIGGER b_truncate BEFORE TRUNCATE ON catalog_keys
  FOR EACH STATEMENT EXECUTE FUNCTION guard_catalog_truncate();
CREATE FUNCTION capture_catalog_catalog_keys_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  INSERT INTO outbox_catalog (tbl, key) SELECT 'catalog_keys', json_build_array(came.scope::text, came.key::text)::text FROM pen_catalog, came;
  RETURN NULL;
END $$;
CREATE FUNCTION capture_catalog_catalog_keys_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = 'catalog' THEN RETURN NULL; END IF;
  INSERT INTO outbox_catalog (tbl, key) SELECT 'catalog_keys', json_build_array(OLD.scope::text, OLD.key::text)::text FROM pen_catalog;
  IF TG_OP = 'UPDATE' AND (OLD.scope IS DISTINCT FROM NEW.scope OR OLD.key IS DISTINCT FROM NEW.key) THEN
    INSERT INTO outbox_catalog (tbl, key) SELECT 'catalog_keys', json_build_array(NEW.scope::text, NEW.key::text)::text FROM pen_catalog;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_capture_new AFTER INSERT ON catalog_keys REFERENCING NEW TABLE AS came
  FOR EACH STATEMENT EXECUTE FUNCTION capture_catalog_catalog_keys_new();
CREATE TRIGGER z_capture_old AFTER UPDATE OR DELETE ON catalog_keys
  FOR EACH ROW EXECUTE FUNCTION capture_catalog_catalog_keys_old();
-- ALWAYS, or session_replication_role = replica would pass them.
ALTER TABLE catalog_keys ENABLE ALWAYS TRIGGER a_guard, ENABLE ALWAYS TRIGGER b_truncate,
  ENABLE ALWAYS TRIGGER z_capture_new, ENABLE ALWAYS TRIGGER z_capture_old;
