-- Owned by the inventory module. The checks are the last word: whatever the code does, stock is never below what is
-- reserved, and never below nothing. AUTOINCREMENT, so that an id is never given twice.
CREATE TABLE stock_levels (
  sku        TEXT PRIMARY KEY NOT NULL,
  on_hand    BIGINT NOT NULL,
  reserved   BIGINT NOT NULL CHECK (reserved >= 0),
  updated_at TIMESTAMP NOT NULL,
  CHECK (on_hand >= reserved AND on_hand <= 1000000000000)
) WITHOUT ROWID;
CREATE INDEX stock_levels_by_available ON stock_levels ((on_hand - reserved), sku);
CREATE TABLE reservations (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  state      TEXT NOT NULL CHECK (state IN ('held', 'confirmed', 'released', 'expired')),
  reference  TEXT NOT NULL,
  expires_at TIMESTAMP NOT NULL,
  created_at TIMESTAMP NOT NULL,
  updated_at TIMESTAMP NOT NULL
);
CREATE INDEX reservations_held ON reservations (expires_at) WHERE state = 'held';
CREATE TABLE reservation_lines (
  reservation_id BIGINT NOT NULL REFERENCES reservations (id),
  position       BIGINT NOT NULL,
  sku            TEXT NOT NULL,
  quantity       BIGINT NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (reservation_id, position),
  UNIQUE (reservation_id, sku)
) WITHOUT ROWID;
CREATE TABLE movements (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  sku        TEXT NOT NULL REFERENCES stock_levels (sku),
  kind       TEXT NOT NULL CHECK (kind IN ('receipt', 'sale', 'return', 'adjustment')),
  quantity   BIGINT NOT NULL,
  reference  TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL,
  CHECK (CASE kind WHEN 'sale' THEN quantity < 0 WHEN 'adjustment' THEN quantity <> 0 ELSE quantity > 0 END)
);
CREATE INDEX movements_by_sku ON movements (sku, id);
