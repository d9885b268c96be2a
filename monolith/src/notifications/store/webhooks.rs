//! The SQL of webhooks: subscriptions and their deliveries.

use chassis::db::Conn;
use chassis::time::now;
use chrono::{Duration, NaiveDateTime};
use diesel::prelude::*;
use diesel::result::QueryResult;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::model::{MOST_ATTEMPTS, pause};
use super::super::schema::{webhook_deliveries as deliveries, webhook_subscriptions as subscriptions};

/// A subscription, without its secret.
#[derive(Clone, Debug, Queryable)]
pub(in super::super) struct Subscription {
    pub(in super::super) id: i64,
    pub(in super::super) url: String,
    /// Names of events, separated by spaces.
    pub(in super::super) events: String,
    pub(in super::super) created_at: NaiveDateTime,
}

/// A delivery that is due, with all that is needed to make it.
#[derive(Clone, Debug, Queryable)]
pub(in super::super) struct Delivery {
    pub(in super::super) id: i64,
    pub(in super::super) event: String,
    pub(in super::super) body: String,
    pub(in super::super) attempts: i64,
    pub(in super::super) url: String,
    pub(in super::super) secret: String,
}

type Columns = (
    subscriptions::id,
    subscriptions::url,
    subscriptions::events,
    subscriptions::created_at,
);

/// Adds a subscription.
pub(in super::super) fn insert(
    conn: &mut Conn,
    url: &str,
    events: &[String],
    secret: &str,
) -> QueryResult<Subscription> {
    let id: i64 = diesel::insert_into(subscriptions::table)
        .values((
            subscriptions::url.eq(url),
            subscriptions::events.eq(events.join(" ")),
            subscriptions::secret.eq(secret),
            subscriptions::created_at.eq(now()),
        ))
        .returning(subscriptions::id)
        .get_result(conn)?;
    subscriptions::table
        .find(id)
        .select(Columns::default())
        .first(conn)
}

/// The subscription with this id.
pub(in super::super) fn find(conn: &mut Conn, id: i64) -> QueryResult<Option<Subscription>> {
    subscriptions::table
        .find(id)
        .select(Columns::default())
        .first(conn)
        .optional()
}

/// Subscriptions by id, after `after`.
pub(in super::super) fn list(
    conn: &mut Conn,
    after: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<Subscription>> {
    subscriptions::table
        .filter(subscriptions::id.gt(after.unwrap_or(0)))
        .order(subscriptions::id.asc())
        .limit(limit)
        .select(Columns::default())
        .load(conn)
}

/// Ends a subscription, with all that was still to be delivered; says whether there was one.
pub(in super::super) fn delete(conn: &mut Conn, id: i64) -> QueryResult<bool> {
    Ok(diesel::delete(subscriptions::table.find(id)).execute(conn)? > 0)
}

/// Queues an event for each subscription to it; says for how many.
pub(in super::super) fn announce(conn: &mut Conn, event: &str, data: &Value) -> QueryResult<usize> {
    let all: Vec<(i64, String)> = subscriptions::table
        .select((subscriptions::id, subscriptions::events))
        .order(subscriptions::id.asc())
        .load(conn)?;
    // One id for all of them: who subscribed twice can tell that it is the same event.
    let id = format!("evt_{}", Uuid::now_v7().simple());
    let body = json!({ "id": id, "type": event, "created": now().and_utc(), "data": data }).to_string();
    let wanting = all
        .into_iter()
        .filter(|(_, events)| events.split(' ').any(|name| name == event));
    let mut queued = 0;
    for (subscription, _) in wanting {
        diesel::insert_into(deliveries::table)
            .values((
                deliveries::subscription_id.eq(subscription),
                deliveries::event.eq(event),
                deliveries::body.eq(&body),
                deliveries::state.eq("queued"),
                deliveries::attempts.eq(0),
                deliveries::next_at.eq(now()),
            ))
            .execute(conn)?;
        queued += 1;
    }
    Ok(queued)
}

/// Takes the next delivery that is due, for this process alone as long as `claim`.
pub(in super::super) fn take(conn: &mut Conn, claim: Duration) -> QueryResult<Option<Delivery>> {
    let at = now();
    let due: Option<Delivery> = deliveries::table
        .inner_join(subscriptions::table)
        .filter(deliveries::state.eq("queued"))
        .filter(deliveries::next_at.le(at))
        .order((deliveries::next_at.asc(), deliveries::id.asc()))
        .select((
            deliveries::id,
            deliveries::event,
            deliveries::body,
            deliveries::attempts,
            subscriptions::url,
            subscriptions::secret,
        ))
        .first(conn)
        .optional()?;
    let Some(due) = due else { return Ok(None) };
    let taken = diesel::update(deliveries::table)
        .filter(deliveries::id.eq(due.id))
        .filter(deliveries::state.eq("queued"))
        .filter(deliveries::attempts.eq(due.attempts))
        .set((
            deliveries::attempts.eq(due.attempts + 1),
            deliveries::next_at.eq(at + claim),
        ))
        .execute(conn)?;
    Ok((taken > 0).then_some(due))
}

/// Notes how a delivery went. A delivery that was made is not kept.
pub(in super::super) fn concluded(conn: &mut Conn, delivery: &Delivery, made: bool) -> QueryResult<()> {
    if made {
        return diesel::delete(deliveries::table.find(delivery.id))
            .execute(conn)
            .map(drop);
    }
    let attempts = delivery.attempts + 1;
    let state = if attempts >= MOST_ATTEMPTS {
        "failed"
    } else {
        "queued"
    };
    // Unless somebody else has taken it over meanwhile: what became of it then is theirs to say.
    diesel::update(deliveries::table)
        .filter(deliveries::id.eq(delivery.id))
        .filter(deliveries::attempts.eq(attempts))
        .set((
            deliveries::state.eq(state),
            deliveries::next_at.eq(now() + pause(attempts)),
        ))
        .execute(conn)
        .map(drop)
}
