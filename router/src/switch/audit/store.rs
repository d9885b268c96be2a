//! The SQL of the audit log, and nothing else.
//!
//! For [`super::ledger`]. Adding a row reads the last one and builds on it, so writers must come one after the other: on
//! SQLite a write transaction holds the only write lock; on PostgreSQL [`append`] takes an advisory lock first, which the
//! server gives back after the commit, so the next writer sees the row. Should somebody write without it, triggers
//! refuse a row that does not continue the last one, and a unique `previous` makes a fork impossible.

use chassis::db::Conn;
use chrono::NaiveDateTime;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::{Action, Move, Outcome, chain};

diesel::table! {
    audit (id) {
        id -> BigInt,
        at -> Timestamp,
        kind -> Text,
        about -> Nullable<BigInt>,
        place -> Text,
        actor -> Text,
        action -> Text,
        reason -> Text,
        forced -> Bool,
        certificate -> Nullable<Text>,
        hash_before -> Text,
        hash_after -> Text,
        moves -> BigInt,
        outcome -> Nullable<Text>,
        detail -> Text,
        previous -> Text,
        hash -> Text,
    }
}

diesel::table! {
    audit_moves (entry, position) {
        entry -> BigInt,
        position -> BigInt,
        route -> Text,
        module -> Text,
        before -> Text,
        after -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(audit, audit_moves);

/// The key of the PostgreSQL advisory lock that keeps the chain in one line; the migration's trigger has it, too.
const LOCK: i64 = 0x6261_7564_6974;

/// Routes that are inserted at a time, well below the 32,766 values that SQLite takes.
const BATCH: usize = 1000;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = audit)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) at: NaiveDateTime,
    pub(super) kind: String,
    pub(super) about: Option<i64>,
    pub(super) place: String,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) reason: String,
    pub(super) forced: bool,
    pub(super) certificate: Option<String>,
    pub(super) hash_before: String,
    pub(super) hash_after: String,
    pub(super) moves: i64,
    pub(super) outcome: Option<String>,
    pub(super) detail: String,
    pub(super) previous: String,
    pub(super) hash: String,
}

/// Makes the adders of rows come one after the other until the transaction ends.
pub(super) fn take_turn(conn: &mut Conn) -> QueryResult<()> {
    match conn {
        Conn::Postgres(conn) => conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")),
        Conn::Sqlite(_) => Ok(()),
    }
}

/// Adds a row and its routes at the end; id, `previous` and `hash` are given to it here, and id and `hash`
/// come back. The turn must have been taken.
pub(super) fn append(conn: &mut Conn, mut row: Row, moves: &[Move]) -> QueryResult<(i64, String)> {
    let last = audit::table
        .select((audit::id, audit::hash))
        .order(audit::id.desc());
    let last: Option<(i64, String)> = last.first(conn).optional()?;
    let (id, hash) = last.unwrap_or_else(|| (0, chain::GENESIS.to_owned()));
    row.id = id + 1;
    row.previous = hash;
    row.moves = i64::try_from(moves.len()).unwrap_or(i64::MAX);
    row.hash = chain::hash(&row, moves);
    let (id, hash) = (row.id, row.hash.clone());
    diesel::insert_into(audit::table).values(row).execute(conn)?;
    let values: Vec<_> = (0_i64..)
        .zip(moves)
        .map(|(position, each)| {
            (
                audit_moves::entry.eq(id),
                audit_moves::position.eq(position),
                audit_moves::route.eq(&each.route),
                audit_moves::module.eq(&each.module),
                audit_moves::before.eq(&each.before),
                audit_moves::after.eq(&each.after),
            )
        })
        .collect();
    for batch in values.chunks(BATCH) {
        let insert = diesel::insert_into(audit_moves::table).values(batch.to_vec());
        match conn {
            Conn::Postgres(conn) => insert.execute(conn)?,
            Conn::Sqlite(conn) => insert.execute(conn)?,
        };
    }
    Ok((id, hash))
}

/// The row with this id.
pub(super) fn row(conn: &mut Conn, id: i64) -> QueryResult<Option<Row>> {
    audit::table.filter(audit::id.eq(id)).first(conn).optional()
}

/// The row that says how an intent ended.
pub(super) fn outcome_of(conn: &mut Conn, intent: i64) -> QueryResult<Option<Row>> {
    audit::table
        .filter(audit::about.eq(intent))
        .first(conn)
        .optional()
}

/// The rows that say how these intents ended.
pub(super) fn outcomes(conn: &mut Conn, intents: &[i64]) -> QueryResult<Vec<Row>> {
    let about = intents.iter().map(|id| Some(*id)).collect::<Vec<_>>();
    audit::table.filter(audit::about.eq_any(about)).load(conn)
}

/// The routes of a row, at most `limit`, in order.
pub(super) fn moves(conn: &mut Conn, entry: i64, limit: usize) -> QueryResult<Vec<Move>> {
    let rows: Vec<(String, String, String, String)> = audit_moves::table
        .filter(audit_moves::entry.eq(entry))
        .order(audit_moves::position)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((
            audit_moves::route,
            audit_moves::module,
            audit_moves::before,
            audit_moves::after,
        ))
        .load(conn)?;
    let moved = |(route, module, before, after)| Move {
        route,
        module,
        before,
        after,
    };
    Ok(rows.into_iter().map(moved).collect())
}

/// Rows from `first` on, at most `limit`, by id.
pub(super) fn from(conn: &mut Conn, first: i64, limit: i64) -> QueryResult<Vec<Row>> {
    audit::table
        .filter(audit::id.ge(first))
        .order(audit::id)
        .limit(limit)
        .load(conn)
}

/// The last row.
pub(super) fn last(conn: &mut Conn) -> QueryResult<Option<Row>> {
    audit::table.order(audit::id.desc()).first(conn).optional()
}

/// Rows that are entries (intents and facts), newest first.
pub(super) fn list(
    conn: &mut Conn,
    filter: &super::Filter,
    before: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<Row>> {
    let mut query = audit::table
        .filter(audit::kind.ne("outcome"))
        .order(audit::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(audit::id.lt(before));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(audit::actor.eq(actor));
    }
    if let Some(since) = filter.since {
        query = query.filter(audit::at.ge(since));
    }
    if let Some(place) = &filter.place {
        query = query.filter(audit::place.eq(place));
    }
    if let Some(route) = &filter.route {
        let entries = audit_moves::table.filter(audit_moves::route.eq(route));
        query = query.filter(audit::id.eq_any(entries.select(audit_moves::entry)));
    }
    if let Some(module) = &filter.module {
        let entries = audit_moves::table.filter(audit_moves::module.eq(module));
        query = query.filter(audit::id.eq_any(entries.select(audit_moves::entry)));
    }
    query.load(conn)
}

/// The intents of a place that have no outcome, oldest first. Bounded: there is at most one per crash.
pub(super) fn open(conn: &mut Conn, place: &str, limit: i64) -> QueryResult<Vec<Row>> {
    let ends = diesel::alias!(audit as ends);
    let end = ends.filter(ends.field(audit::about).eq(audit::id.nullable()));
    audit::table
        .filter(audit::place.eq(place))
        .filter(audit::kind.eq("intent"))
        .filter(diesel::dsl::not(diesel::dsl::exists(end)))
        .order(audit::id)
        .limit(limit)
        .load(conn)
}

/// The mode that each route of a place was last put into, by route, as far as the log knows.
pub(super) fn last_modes(conn: &mut Conn, place: &str) -> QueryResult<Vec<(String, String)>> {
    let ends = diesel::alias!(audit as ends);
    let not_done = [Outcome::NotDone, Outcome::RecoveredNotDone].map(|outcome| Some(outcome.words()));
    let undone = ends
        .filter(ends.field(audit::about).eq(audit::id.nullable()))
        .filter(ends.field(audit::outcome).eq_any(not_done));
    let lasts: Vec<(String, Option<i64>)> = audit_moves::table
        .inner_join(audit::table.on(audit::id.eq(audit_moves::entry)))
        .filter(audit::place.eq(place))
        .filter(diesel::dsl::not(diesel::dsl::exists(undone)))
        .group_by(audit_moves::route)
        .select((audit_moves::route, diesel::dsl::max(audit_moves::entry)))
        .load(conn)?;
    let mut modes = Vec::new();
    for batch in lasts.chunks(BATCH) {
        let entries = batch.iter().filter_map(|(_, entry)| *entry).collect::<Vec<_>>();
        let moves: Vec<(i64, String, String)> = audit_moves::table
            .filter(audit_moves::entry.eq_any(entries))
            .select((audit_moves::entry, audit_moves::route, audit_moves::after))
            .load(conn)?;
        let is_last =
            |entry: i64, route: &str| batch.iter().any(|last| last.0 == route && last.1 == Some(entry));
        let last = moves
            .into_iter()
            .filter(|(entry, route, _)| is_last(*entry, route));
        modes.extend(last.map(|(_, route, after)| (route, after)));
    }
    Ok(modes)
}

/// The first entry of a place after a row that tells how the file was found.
pub(super) fn next(conn: &mut Conn, place: &str, after: i64) -> QueryResult<Option<Row>> {
    audit::table
        .filter(audit::place.eq(place))
        .filter(audit::id.gt(after))
        .filter(audit::kind.ne("outcome"))
        .filter(audit::action.ne(Action::RefusedReload.word()))
        .order(audit::id)
        .first(conn)
        .optional()
}

/// The newest entry of a place that tells what the file is now.
pub(super) fn newest(conn: &mut Conn, place: &str) -> QueryResult<Option<Row>> {
    audit::table
        .filter(audit::place.eq(place))
        .filter(audit::kind.ne("outcome"))
        .filter(audit::action.ne(Action::RefusedReload.word()))
        .order(audit::id.desc())
        .first(conn)
        .optional()
}
