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
        for trigger in ["a_guard", "b_truncate", "z_capture_new", "z_capture_old"] {
            sql += &format!("DROP TRIGGER {trigger} ON {table};\n");
        }
        for which in ["new", "old"] {
            sql += &format!("DROP FUNCTION capture_{}_{table}_{which}();\n", suffix(names));
        }
    }
    sql += &format!(
        "DROP FUNCTION guard_{0}_truncate();\nDROP FUNCTION guard_{0}();\n",
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

/// The functions that all tables share. The guard takes a share of the pen's table until the transaction ends, which every move and an
/// installation wait for, also while the table is empty. `FOR SHARE` takes that share before its snapshot is taken, whether or not there
/// is a row to lock: under READ COMMITTED, what it finds then is the last state, and while the pen is held here it finds, locks and
/// writes nothing. A snapshot of a whole transaction may be older than that, which only a lock of the row finds out.
fn guard(names: &Names) -> String {
    let (pen, module, of) = (&names.pen, names.module, suffix(names));
    format!(
        "CREATE FUNCTION guard_{of}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE pen {pen}%ROWTYPE;
BEGIN
  IF current_setting('banyan.follower', true) = '{module}' THEN RETURN NULL; END IF;
  IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    SELECT * INTO pen FROM {pen} FOR SHARE;
    -- A snapshot that is older than the pen never sees it; the size of the table's file is no matter of snapshots.
    IF NOT FOUND AND pg_relation_size('{pen}'::regclass) > 0 THEN
      RAISE EXCEPTION 'could not serialize access: the pen of {module} may be newer than this transaction; run it again'
        USING ERRCODE = 'serialization_failure', HINT = 'If there is no pen and shall be none: TRUNCATE {pen}';
    END IF;
    IF NOT FOUND OR pen.holder = pen.side AND pen.state = 'held' THEN RETURN NULL; END IF;
  ELSE
    PERFORM FROM {pen} WHERE holder <> side OR state <> 'held' FOR SHARE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    SELECT * INTO pen FROM {pen};
  END IF;
  RAISE EXCEPTION 'the pen of {module} is not here: % in epoch %, %', pen.holder, pen.epoch, pen.state
    USING ERRCODE = 'BP421', CONSTRAINT = 'pen',
          DETAIL = json_build_object('holder', pen.holder, 'epoch', pen.epoch, 'state', pen.state)::text;
END $$;
-- No row trigger fires for TRUNCATE, so its rows would stay at the follower for ever. Fires after the guard.
CREATE FUNCTION guard_{of}_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = '{module}' THEN RETURN NULL; END IF;
  IF EXISTS (SELECT FROM {pen}) THEN
    RAISE EXCEPTION 'TRUNCATE of % cannot be followed by the other side; use DELETE', TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END $$;
"
    )
}

/// A table's triggers. One function for rows that come and one for those that were there, so that each runs what it must and no more; the
/// entry is made from the pen's row, so that there is none without a pen. The follower's mark is looked at in the functions: a condition of
/// a trigger is parsed and planned anew by every statement. What comes is captured once a statement, or a first copy would pay a call for
/// each of its rows.
fn capture(names: &Names, captured: &Captured) -> String {
    let Captured { table, of, key, .. } = captured;
    let (pen, outbox, suffix, module) = (&names.pen, &names.outbox, suffix(names), names.module);
    let entry = |row: &str, from: &str| {
        let texts: Vec<String> = key.iter().map(|column| format!("{row}.{column}::text")).collect();
        let texts = texts.join(", ");
        format!(
            "INSERT INTO {outbox} (tbl, key) SELECT '{of}', json_build_array({texts})::text FROM {pen}{from};"
        )
    };
    let changed: Vec<String> = key
        .iter()
        .map(|column| format!("OLD.{column} IS DISTINCT FROM NEW.{column}"))
        .collect();
    format!(
        "CREATE TRIGGER a_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION guard_{suffix}();
CREATE TRIGGER b_truncate BEFORE TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION guard_{suffix}_truncate();
CREATE FUNCTION capture_{suffix}_{table}_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = '{module}' THEN RETURN NULL; END IF;
  {came}
  RETURN NULL;
END $$;
CREATE FUNCTION capture_{suffix}_{table}_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('banyan.follower', true) = '{module}' THEN RETURN NULL; END IF;
  {old}
  IF TG_OP = 'UPDATE' AND ({changed}) THEN
    {new}
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER z_capture_new AFTER INSERT ON {table} REFERENCING NEW TABLE AS came
  FOR EACH STATEMENT EXECUTE FUNCTION capture_{suffix}_{table}_new();
CREATE TRIGGER z_capture_old AFTER UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION capture_{suffix}_{table}_old();
-- ALWAYS, or session_replication_role = replica would pass them.
ALTER TABLE {table} ENABLE ALWAYS TRIGGER a_guard, ENABLE ALWAYS TRIGGER b_truncate,
  ENABLE ALWAYS TRIGGER z_capture_new, ENABLE ALWAYS TRIGGER z_capture_old;
",
        came = entry("came", ", came"),
        old = entry("OLD", ""),
        new = entry("NEW", ""),
        changed = changed.join(" OR "),
    )
}
