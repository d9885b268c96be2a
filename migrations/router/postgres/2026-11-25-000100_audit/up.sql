-- The audit log of switches. Rows are added and never changed: an intent before the config file is replaced, its outcome
-- after, a fact where there was nothing to wait for. Each row carries the hash of the one before it.
CREATE TABLE audit (
  id          BIGINT PRIMARY KEY CHECK (id >= 1),
  at          TIMESTAMP NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('intent', 'outcome', 'fact')),
  about       BIGINT UNIQUE REFERENCES audit (id),
  place       TEXT COLLATE "C" NOT NULL CHECK (length(place) <= 300),
  actor       TEXT COLLATE "C" NOT NULL CHECK (length(actor) <= 200),
  action      TEXT NOT NULL CHECK (length(action) <= 32),
  reason      TEXT NOT NULL CHECK (length(reason) <= 1000),
  forced      BOOLEAN NOT NULL,
  certificate TEXT CHECK (length(certificate) <= 65536),
  hash_before TEXT NOT NULL CHECK (length(hash_before) <= 64),
  hash_after  TEXT NOT NULL CHECK (length(hash_after) <= 64),
  moves       BIGINT NOT NULL CHECK (moves >= 0),
  outcome     TEXT CHECK (length(outcome) <= 32),
  detail      TEXT NOT NULL CHECK (length(detail) <= 2000),
  previous    TEXT NOT NULL UNIQUE CHECK (length(previous) = 64),
  hash        TEXT NOT NULL UNIQUE CHECK (length(hash) = 64),
  CHECK ((kind = 'outcome') = (about IS NOT NULL)),
  CHECK ((kind = 'intent') = (outcome IS NULL))
);
CREATE INDEX audit_by_place ON audit (place, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
-- The routes that a row concerns, in order.
CREATE TABLE audit_moves (
  entry    BIGINT NOT NULL REFERENCES audit (id),
  position BIGINT NOT NULL CHECK (position >= 0),
  route    TEXT COLLATE "C" NOT NULL CHECK (length(route) <= 64),
  module   TEXT COLLATE "C" NOT NULL CHECK (length(module) <= 64),
  before   TEXT NOT NULL CHECK (length(before) <= 64),
  after    TEXT NOT NULL CHECK (length(after) <= 64),
  PRIMARY KEY (entry, position)
);
CREATE INDEX audit_moves_by_route ON audit_moves (route, entry);
CREATE INDEX audit_moves_by_module ON audit_moves (module, entry);
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_moves_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_moves
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
-- The router takes the lock before it reads the end of the log; here it is taken once more for whoever does not.
CREATE FUNCTION continue_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(108170720864628);
  IF NEW.id <> (SELECT coalesce(max(id), 0) + 1 FROM audit)
    OR NEW.previous <> coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), repeat('0', 64)) THEN
    RAISE EXCEPTION 'audit is append-only: a row must continue the last one';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER audit_continues_its_end BEFORE INSERT ON audit
  FOR EACH ROW EXECUTE FUNCTION continue_audit();
CREATE FUNCTION continue_audit_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.entry <> (SELECT coalesce(max(id), 0) FROM audit)
    OR NEW.position >= (SELECT moves FROM audit WHERE id = NEW.entry) THEN
    RAISE EXCEPTION 'audit_moves is append-only: only the last row can be given its routes';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER audit_moves_belong_to_the_last_row BEFORE INSERT ON audit_moves
  FOR EACH ROW EXECUTE FUNCTION continue_audit_moves();
