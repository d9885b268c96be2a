//! The SQL of the notifications module.

pub(super) mod webhooks;

use chassis::db::Conn;
use chassis::time::now;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::model::{MOST_ATTEMPTS, Notice, Notification, Preferences, Told, claim, pause};
use super::schema::{notification_preferences as preferences_table, notifications};

/// The columns of [`Notification`], in its order.
type Columns = (
    notifications::id,
    notifications::customer_id,
    notifications::kind,
    notifications::email,
    notifications::subject,
    notifications::body,
    notifications::state,
    notifications::attempts,
    notifications::resend_of,
    notifications::created_at,
    notifications::sent_at,
);

/// Adds a notification to the queue and gives its id.
pub(super) fn insert(conn: &mut Conn, notice: &Notice, resend_of: Option<i64>) -> QueryResult<i64> {
    let at = now();
    diesel::insert_into(notifications::table)
        .values((
            notifications::customer_id.eq(notice.customer_id),
            notifications::kind.eq(notice.kind.as_str()),
            notifications::email.eq(&notice.email),
            notifications::subject.eq(&notice.subject),
            notifications::body.eq(&notice.body),
            notifications::state.eq("queued"),
            notifications::attempts.eq(0),
            notifications::resend_of.eq(resend_of),
            notifications::next_at.eq(at),
            notifications::created_at.eq(at),
        ))
        .returning(notifications::id)
        .get_result(conn)
}

/// Queues a copy of a notification.
pub(super) fn resend(conn: &mut Conn, original: &Notification) -> QueryResult<i64> {
    let at = now();
    diesel::insert_into(notifications::table)
        .values((
            notifications::customer_id.eq(original.customer_id),
            notifications::kind.eq(&original.kind),
            notifications::email.eq(&original.email),
            notifications::subject.eq(&original.subject),
            notifications::body.eq(&original.body),
            notifications::state.eq("queued"),
            notifications::attempts.eq(0),
            notifications::resend_of.eq(Some(original.id)),
            notifications::next_at.eq(at),
            notifications::created_at.eq(at),
        ))
        .returning(notifications::id)
        .get_result(conn)
}

/// The notification with this id.
pub(super) fn find(conn: &mut Conn, id: i64) -> QueryResult<Option<Notification>> {
    notifications::table
        .find(id)
        .select(Columns::default())
        .first(conn)
        .optional()
}

/// A customer's notifications, newest first, before the id `before`.
pub(super) fn of_customer(
    conn: &mut Conn,
    customer: i64,
    before: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<Notification>> {
    notifications::table
        .filter(notifications::customer_id.eq(customer))
        .filter(notifications::id.lt(before.unwrap_or(i64::MAX)))
        .order(notifications::id.desc())
        .limit(limit)
        .select(Columns::default())
        .load(conn)
}

/// What a customer was told, latest first, before the moment and id `before`.
pub(super) fn history(
    conn: &mut Conn,
    customer: i64,
    before: Option<(NaiveDateTime, i64)>,
    limit: i64,
) -> QueryResult<Vec<Told>> {
    let mut query = notifications::table
        .filter(notifications::customer_id.eq(customer))
        .order((notifications::created_at.desc(), notifications::id.desc()))
        .limit(limit)
        .select((
            notifications::id,
            notifications::created_at,
            notifications::subject,
            notifications::state,
        ))
        .into_boxed();
    if let Some((at, id)) = before {
        let same = notifications::created_at.eq(at).and(notifications::id.lt(id));
        query = query.filter(notifications::created_at.lt(at).or(same));
    }
    query.load(conn)
}

/// What a customer wants; the defaults until it said something.
pub(super) fn preferences(conn: &mut Conn, customer: i64) -> QueryResult<Preferences> {
    let said: Option<(bool, bool)> = preferences_table::table
        .find(customer)
        .select((preferences_table::order_updates, preferences_table::marketing))
        .first(conn)
        .optional()?;
    Ok(
        said.map_or_else(Preferences::default, |(order_updates, marketing)| Preferences {
            order_updates,
            marketing,
        }),
    )
}

/// Remembers what a customer wants.
pub(super) fn set_preferences(conn: &mut Conn, customer: i64, wanted: Preferences) -> QueryResult<()> {
    let values = (
        preferences_table::customer_id.eq(customer),
        preferences_table::order_updates.eq(wanted.order_updates),
        preferences_table::marketing.eq(wanted.marketing),
    );
    let change = (
        preferences_table::order_updates.eq(wanted.order_updates),
        preferences_table::marketing.eq(wanted.marketing),
    );
    let insert = diesel::insert_into(preferences_table::table).values(values);
    match conn {
        Conn::Postgres(conn) => insert
            .on_conflict(preferences_table::customer_id)
            .do_update()
            .set(change)
            .execute(conn),
        Conn::Sqlite(conn) => insert
            .on_conflict(preferences_table::customer_id)
            .do_update()
            .set(change)
            .execute(conn),
    }
    .map(drop)
}

/// Takes the next message that is due, for this process alone, and counts the attempt before it is made.
pub(super) fn take(conn: &mut Conn) -> QueryResult<Option<Notification>> {
    let at = now();
    let due: Option<(i64, i64)> = notifications::table
        .filter(notifications::state.eq("queued"))
        .filter(notifications::next_at.le(at))
        .order((notifications::next_at.asc(), notifications::id.asc()))
        .select((notifications::id, notifications::attempts))
        .first(conn)
        .optional()?;
    let Some((id, attempts)) = due else {
        return Ok(None);
    };
    // A compare-and-set: of two processes that saw the same message, one gets it.
    let taken = diesel::update(notifications::table)
        .filter(notifications::id.eq(id))
        .filter(notifications::state.eq("queued"))
        .filter(notifications::attempts.eq(attempts))
        .set((
            notifications::attempts.eq(attempts + 1),
            notifications::next_at.eq(at + claim()),
        ))
        .execute(conn)?;
    // Whoever lost finds the next message with the next look.
    if taken == 0 { Ok(None) } else { find(conn, id) }
}

/// Notes that a message was sent.
pub(super) fn sent(conn: &mut Conn, id: i64) -> QueryResult<()> {
    diesel::update(notifications::table.find(id))
        .set((
            notifications::state.eq("sent"),
            notifications::sent_at.eq(Some(now())),
        ))
        .execute(conn)
        .map(drop)
}

/// Notes that an attempt failed, and gives up after the last.
pub(super) fn failed(conn: &mut Conn, id: i64, attempts: i64) -> QueryResult<()> {
    let state = if attempts >= MOST_ATTEMPTS {
        "failed"
    } else {
        "queued"
    };
    diesel::update(notifications::table.find(id))
        .set((
            notifications::state.eq(state),
            notifications::next_at.eq(now() + pause(attempts)),
        ))
        .execute(conn)
        .map(drop)
}
