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
        for trigger in ["a_guard", "b_no_truncate", "z_capture"] {
            sql += &format!("DROP TRIGGER {trigger} ON {table};\n");
        }
        sql += &format!("DROP FUNCTION capture_{}_{table}();\n", suffix(names));
    }
    sql += &format!(
        "DROP FUNCTION guard_{0}();\nDROP FUNCTION refuse_truncate_{0}();\n",
        suffix(names)
    );
    for table in [&names.followers, &names.follow, &names.outbox, &names.pen] {
        sql += &format!("DROP TABLE {table};\n");
    }
    sql
}

/// The module's name as a part of other names.
fn suffix(names: &Names) -> String {
    names.module.replace('-', "_")
}

/// The functions that all tables share. `FOR SHARE` locks the pen's table in a mode that a fence waits for, even while the table
/// is empty; and its row until the transaction ends.
fn guard(names: &Names) -> String {
    let (pen, module, of) = (&names.pen, names.module, suffix(names));
    format!(
        "CREATE FUNCTION guard_{of}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE pen {pen}%ROWTYPE;
BEGIN
  IF current_setting('banyan.follower', true) = '{module}' THEN RETURN NULL; END IF;
  SELECT * INTO pen FROM {pen} FOR SHARE;
  IF NOT FOUND OR (pen.holder = pen.side AND pen.state = 'held') THEN RETURN NULL; END IF;
  RAISE EXCEPTION 'the pen of {module} is not here: % in epoch %, %', pen.holder, pen.epoch, pen.state
    USING ERRCODE = 'BP421', CONSTRAINT = 'pen',
          DETAIL = json_build_object('holder', pen.holder, 'epoch', pen.epoch, 'state', pen.state)::text;
END $$;
-- No row trigger fires for TRUNCATE, so its rows would stay at the follower for ever.
CREATE FUNCTION refuse_truncate_{of}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = '{module}' OR NOT EXISTS (SELECT FROM {pen}) THEN RETURN NULL; END IF;
  RAISE EXCEPTION 'TRUNCATE cannot be followed by the other side; use DELETE';
END $$;
"
    )
}

fn capture(names: &Names, captured: &Captured) -> String {
    let Captured { table, of, key, .. } = captured;
    let (pen, outbox, suffix, module) = (&names.pen, &names.outbox, suffix(names), names.module);
    let values = |row: &str| {
        let texts: Vec<String> = key.iter().map(|column| format!("{row}.{column}::text")).collect();
        format!("json_build_array({})::jsonb::text", texts.join(", "))
    };
    let changed: Vec<String> = key
        .iter()
        .map(|column| format!("OLD.{column} IS DISTINCT FROM NEW.{column}"))
        .collect();
    format!(
        "CREATE TRIGGER a_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION guard_{suffix}();
CREATE TRIGGER b_no_truncate BEFORE TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate_{suffix}();
CREATE FUNCTION capture_{suffix}_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = '{module}' OR NOT EXISTS (SELECT FROM {pen}) THEN RETURN NULL; END IF;
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO {outbox} (tbl, key) VALUES ('{of}', {old});
  END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND ({changed})) THEN
    INSERT INTO {outbox} (tbl, key) VALUES ('{of}', {new});
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_capture AFTER INSERT OR UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION capture_{suffix}_{table}();
-- ALWAYS, or session_replication_role = replica would pass them.
ALTER TABLE {table} ENABLE ALWAYS TRIGGER a_guard, ENABLE ALWAYS TRIGGER b_no_truncate, ENABLE ALWAYS TRIGGER z_capture;
",
        old = values("OLD"),
        new = values("NEW"),
        changed = changed.join(" OR "),
    )
}
