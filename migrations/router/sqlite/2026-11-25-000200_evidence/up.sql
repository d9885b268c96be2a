-- What routers know of their routes, by spans of some minutes. Each run of a router writes its own rows and no other's, always
-- whole, so writing one twice changes nothing; reading adds up over runs. Times are milliseconds since the Unix epoch. A
-- build that is not known is ''.
CREATE TABLE evidence (
  route              TEXT NOT NULL,
  subject            TEXT NOT NULL,
  began_at           BIGINT NOT NULL,
  monolith_build     TEXT NOT NULL,
  service_build      TEXT NOT NULL,
  run                TEXT NOT NULL,
  -- How often the writer had changed the span when it wrote the row.
  revision           BIGINT NOT NULL,
  first_at           BIGINT NOT NULL,
  last_at            BIGINT NOT NULL,
  -- Answers by class of status, and comparisons, as JSON.
  counts             TEXT NOT NULL,
  -- Pairs of microseconds and count (router/src/evidence/latency.rs says how).
  monolith_latencies BLOB NOT NULL,
  service_latencies  BLOB NOT NULL,
  PRIMARY KEY (route, subject, began_at, monolith_build, service_build, run)
) WITHOUT ROWID;
CREATE INDEX evidence_by_age ON evidence (began_at);
