//! The triggers on PostgreSQL.

use super::tables;
use crate::Names;
use crate::table::Captured;

pub(super) fn up(names: &Names, captured: &[Captured]) -> String {
    let outbox = format!(
        "CREATE TABLE {0} (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
  tbl TEXT NOT NULL,
  key TEXT NOT NULL
);
CREATE INDEX {0}_by_transaction ON {0} (xid);
",
        names.outbox
    );
    let mut sql = tables(names, "BIGINT", &outbox);
    sql += &guard(names);
    for table in captured {
        sql += &capture(names, table);
    }
    sql
}

pub(super) fn down(names: &Names, captured: &[Captured]) -> String {
    let mut sql = String::new();
    for Captured { table, .. } in captured {
        for trigger in ["a_guard", "z_capture"] {
            sql += &format!("DROP TRIGGER {trigger} ON {table};\n");
        }
        sql += &format!("DROP FUNCTION capture_{}_{table}();\n", suffix(names));
    }
    sql += &format!("DROP FUNCTION guard_{}();\n", suffix(names));
    for table in [&names.followers, &names.follow, &names.outbox, &names.pen] {
        sql += &format!("DROP TABLE {table};\n");
    }
    sql
}

/// The module's name as a part of other names.
fn suffix(names: &Names) -> String {
    names.module.replace('-', "_")
}

/// The function that all tables share. It takes a share of the pen's table until the transaction ends, which every move and an
/// installation wait for, also while the table is empty. Under READ COMMITTED the row that is read then is the last one; a snapshot of a
/// whole transaction may be older than that, which only a lock of the row finds out.
fn guard(names: &Names) -> String {
    let (pen, module, of) = (&names.pen, names.module, suffix(names));
    format!(
        "CREATE FUNCTION guard_{of}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE pen {pen}%ROWTYPE;
BEGIN
  IF current_setting('banyan.follower', true) = '{module}' THEN RETURN NULL; END IF;
  IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    SELECT * INTO pen FROM {pen} FOR SHARE;
  ELSE
    LOCK TABLE {pen} IN ROW SHARE MODE;
    SELECT * INTO pen FROM {pen};
  END IF;
  IF NOT FOUND THEN
    -- A snapshot that is older than the pen never sees it; the size of the table's file is no matter of snapshots.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
       AND pg_relation_size('{pen}'::regclass) > 0 THEN
      RAISE EXCEPTION 'could not serialize access: the pen of {module} may be newer than this transaction; run it again'
        USING ERRCODE = 'serialization_failure', HINT = 'If there is no pen and shall be none: TRUNCATE {pen}';
    END IF;
    RETURN NULL;
  END IF;
  IF pen.holder <> pen.side OR pen.state <> 'held' THEN
    RAISE EXCEPTION 'the pen of {module} is not here: % in epoch %, %', pen.holder, pen.epoch, pen.state
      USING ERRCODE = 'BP421', CONSTRAINT = 'pen',
            DETAIL = json_build_object('holder', pen.holder, 'epoch', pen.epoch, 'state', pen.state)::text;
  END IF;
  -- No row trigger fires for TRUNCATE, so its rows would stay at the follower for ever.
  IF TG_OP = 'TRUNCATE' THEN
    RAISE EXCEPTION 'TRUNCATE of % cannot be followed by the other side; use DELETE', TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END $$;
"
    )
}

fn capture(names: &Names, captured: &Captured) -> String {
    let Captured { table, of, key, .. } = captured;
    let (pen, outbox, suffix, module) = (&names.pen, &names.outbox, suffix(names), names.module);
    let values = |row: &str| {
        let texts: Vec<String> = key.iter().map(|column| format!("{row}.{column}::text")).collect();
        format!("json_build_array({})::text", texts.join(", "))
    };
    let changed: Vec<String> = key
        .iter()
        .map(|column| format!("OLD.{column} IS DISTINCT FROM NEW.{column}"))
        .collect();
    format!(
        "CREATE TRIGGER a_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION guard_{suffix}();
CREATE FUNCTION capture_{suffix}_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM {pen}) THEN RETURN NULL; END IF;
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO {outbox} (tbl, key) VALUES ('{of}', {old});
  END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND ({changed})) THEN
    INSERT INTO {outbox} (tbl, key) VALUES ('{of}', {new});
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_capture AFTER INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH ROW WHEN (current_setting('banyan.follower', true) IS DISTINCT FROM '{module}')
  EXECUTE FUNCTION capture_{suffix}_{table}();
-- ALWAYS, or session_replication_role = replica would pass them.
ALTER TABLE {table} ENABLE ALWAYS TRIGGER a_guard, ENABLE ALWAYS TRIGGER z_capture;
",
        old = values("OLD"),
        new = values("NEW"),
        changed = changed.join(" OR "),
    )
}
