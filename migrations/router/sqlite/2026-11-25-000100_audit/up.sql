-- The audit log of switches. Rows are added and never changed: an intent before the config file is replaced, its outcome
-- after, a fact where there was nothing to wait for. Each row carries the hash of the one before it.
CREATE TABLE audit (
  id          BIGINT PRIMARY KEY NOT NULL CHECK (id >= 1),
  at          TIMESTAMP NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('intent', 'outcome', 'fact')),
  about       BIGINT UNIQUE REFERENCES audit (id),
  place       TEXT NOT NULL CHECK (length(place) <= 300),
  actor       TEXT NOT NULL CHECK (length(actor) <= 200),
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
  route    TEXT NOT NULL CHECK (length(route) <= 64),
  module   TEXT NOT NULL CHECK (length(module) <= 64),
  before   TEXT NOT NULL CHECK (length(before) <= 64),
  after    TEXT NOT NULL CHECK (length(after) <= 64),
  PRIMARY KEY (entry, position)
) WITHOUT ROWID;
CREATE INDEX audit_moves_by_route ON audit_moves (route, entry);
CREATE INDEX audit_moves_by_module ON audit_moves (module, entry);
CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_moves_are_never_updated BEFORE UPDATE ON audit_moves
BEGIN SELECT RAISE(ABORT, 'audit_moves is append-only'); END;
CREATE TRIGGER audit_moves_are_never_deleted BEFORE DELETE ON audit_moves
BEGIN SELECT RAISE(ABORT, 'audit_moves is append-only'); END;
-- Also what keeps INSERT OR REPLACE out, which deletes without asking the triggers above.
CREATE TRIGGER audit_continues_its_end BEFORE INSERT ON audit
WHEN NEW.id <> (SELECT coalesce(max(id), 0) + 1 FROM audit)
  OR NEW.previous <> coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), hex(zeroblob(32)))
  OR EXISTS (SELECT 1 FROM audit WHERE hash = NEW.hash OR about = NEW.about)
BEGIN SELECT RAISE(ABORT, 'audit is append-only: a row must continue the last one'); END;
CREATE TRIGGER audit_moves_belong_to_the_last_row BEFORE INSERT ON audit_moves
WHEN NEW.entry <> (SELECT coalesce(max(id), 0) FROM audit)
  OR NEW.position <> (SELECT coalesce(max(position), -1) + 1 FROM audit_moves WHERE entry = NEW.entry)
  OR NEW.position >= (SELECT moves FROM audit WHERE id = NEW.entry)
BEGIN SELECT RAISE(ABORT, 'audit_moves is append-only: only the last row can be given its routes'); END;
