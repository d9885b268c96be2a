//! The SQL of the notifications module.

pub(super) mod webhooks;

use chassis::db::Conn;
use chassis::time::now;
use chrono::{Duration, NaiveDateTime};
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::model::{MOST_ATTEMPTS, Notice, Notification, Preferences, Told, pause};
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
    notifications::next_at,
);

/// A message to queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct New<'a> {
    pub(super) customer_id: i64,
    pub(super) kind: &'a str,
    pub(super) email: &'a str,
    pub(super) subject: &'a str,
    pub(super) body: &'a str,
    pub(super) resend_of: Option<i64>,
}

impl<'a> From<&'a Notice> for New<'a> {
    fn from(notice: &'a Notice) -> Self {
        Self {
            customer_id: notice.customer_id,
            kind: notice.kind.as_str(),
            email: &notice.email,
            subject: &notice.subject,
            body: &notice.body,
            resend_of: None,
        }
    }
}

impl<'a> New<'a> {
    /// The same once more.
    pub(super) fn again(original: &'a Notification) -> Self {
        Self {
            customer_id: original.customer_id,
            kind: &original.kind,
            email: &original.email,
            subject: &original.subject,
            body: &original.body,
            resend_of: Some(original.id),
        }
    }
}

/// Adds a message to the queue and gives its id.
pub(super) fn insert(conn: &mut Conn, new: New<'_>) -> QueryResult<i64> {
    let at = now();
    diesel::insert_into(notifications::table)
        .values((
            notifications::customer_id.eq(new.customer_id),
            notifications::kind.eq(new.kind),
            notifications::email.eq(new.email),
            notifications::subject.eq(new.subject),
            notifications::body.eq(new.body),
            notifications::state.eq("queued"),
            notifications::attempts.eq(0),
            notifications::resend_of.eq(new.resend_of),
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

/// Forgets what a customer was told and wants to be told. What is still queued will not be sent.
pub(super) fn forget(conn: &mut Conn, customer: i64) -> QueryResult<()> {
    diesel::delete(notifications::table.filter(notifications::customer_id.eq(customer))).execute(conn)?;
    diesel::delete(preferences_table::table.find(customer)).execute(conn)?;
    Ok(())
}

/// Takes the next message that is due, for this process alone as long as `claim`, and counts the attempt before it is made.
pub(super) fn take(conn: &mut Conn, claim: Duration) -> QueryResult<Option<Notification>> {
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
    let taken = diesel::update(taken(id, attempts))
        .set((
            notifications::attempts.eq(attempts + 1),
            notifications::next_at.eq(at + claim),
        ))
        .execute(conn)?;
    // Whoever lost finds the next message with the next look.
    if taken == 0 { Ok(None) } else { find(conn, id) }
}

/// Notes that a message was sent. That holds even if somebody else has taken it over meanwhile.
pub(super) fn sent(conn: &mut Conn, id: i64) -> QueryResult<()> {
    diesel::update(notifications::table.find(id))
        .set((
            notifications::state.eq("sent"),
            notifications::sent_at.eq(Some(now())),
        ))
        .execute(conn)
        .map(drop)
}

/// Notes that an attempt failed; gives up after the last, or if `for_good`. Does nothing if somebody else has taken the
/// message over meanwhile: what became of it then is theirs to say.
pub(super) fn failed(conn: &mut Conn, id: i64, attempts: i64, for_good: bool) -> QueryResult<()> {
    let state = if for_good || attempts >= MOST_ATTEMPTS {
        "failed"
    } else {
        "queued"
    };
    diesel::update(taken(id, attempts))
        .set((
            notifications::state.eq(state),
            notifications::next_at.eq(now() + pause(attempts)),
        ))
        .execute(conn)
        .map(drop)
}

/// The message as it is after so many attempts, if it still waits.
#[diesel::dsl::auto_type]
fn taken(id: i64, attempts: i64) -> _ {
    notifications::table
        .filter(notifications::id.eq(id))
        .filter(notifications::state.eq("queued"))
        .filter(notifications::attempts.eq(attempts))
}
