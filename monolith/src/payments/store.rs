//! The SQL of the payments module.

use chassis::db::Conn;
use chassis::time::now;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;
use uuid::Uuid;

use super::Error;
use super::model::{NewPayment, Paid, Payment, Refund, State, claim, pause};
use super::schema::{payments, psp_events, refunds};
use crate::money::Money;

#[derive(Queryable, Selectable)]
#[diesel(table_name = payments)]
struct Row {
    id: i64,
    order_id: i64,
    customer_id: Option<i64>,
    psp_key: String,
    psp_reference: Option<String>,
    payment_method: String,
    capture: bool,
    amount: i64,
    currency: String,
    state: String,
    refunded: i64,
    failure: Option<String>,
    attempts: i64,
    give_up_at: NaiveDateTime,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

type RefundColumns = (
    refunds::id,
    refunds::payment_id,
    refunds::psp_key,
    refunds::amount,
    refunds::state,
    refunds::attempts,
    refunds::created_at,
);

impl From<Row> for Payment {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            order_id: row.order_id,
            customer_id: row.customer_id,
            psp_key: row.psp_key,
            psp_reference: row.psp_reference,
            payment_method: row.payment_method,
            capture: row.capture,
            amount: Money::new(row.amount, row.currency),
            state: State::stored(&row.state),
            refunded: row.refunded,
            failure: row.failure,
            attempts: row.attempts,
            give_up_at: row.give_up_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Adds a payment under a new key. It belongs to the caller for a while, and to the worker after that.
pub(super) fn insert(conn: &mut Conn, new: &NewPayment<'_>) -> Result<i64, Error> {
    let at = now();
    let inserted = diesel::insert_into(payments::table)
        .values((
            payments::order_id.eq(new.order),
            payments::customer_id.eq(new.customer),
            payments::psp_key.eq(format!("pay-{}", Uuid::new_v4().simple())),
            payments::payment_method.eq(new.payment_method),
            payments::capture.eq(new.capture),
            payments::amount.eq(new.amount.amount),
            payments::currency.eq(&new.amount.currency),
            payments::state.eq(State::Pending.as_str()),
            payments::refunded.eq(0),
            payments::attempts.eq(0),
            payments::next_at.eq(at + claim()),
            payments::give_up_at.eq(at + new.patience),
            payments::created_at.eq(at),
            payments::updated_at.eq(at),
        ))
        .returning(payments::id)
        .get_result(conn);
    inserted.map_err(|error| {
        let error = chassis::db::Error::from(error);
        if error.is_unique_violation() {
            Error::HasPayment(new.order)
        } else {
            error.into()
        }
    })
}

/// The payment with this id.
pub(super) fn find(conn: &mut Conn, id: i64) -> QueryResult<Option<Payment>> {
    let row: Option<Row> = payments::table
        .find(id)
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(Payment::from))
}

/// The payment that the provider knows by this key.
pub(super) fn find_by_key(conn: &mut Conn, key: &str) -> QueryResult<Option<Payment>> {
    let row: Option<Row> = payments::table
        .filter(payments::psp_key.eq(key))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(Payment::from))
}

/// The payment with this id, locked until the transaction ends. On SQLite the transaction itself is the lock.
pub(super) fn lock(conn: &mut Conn, id: i64) -> Result<Payment, Error> {
    if let Conn::Postgres(postgres) = conn {
        payments::table
            .find(id)
            .select(payments::id)
            .for_update()
            .first::<i64>(postgres)
            .optional()?;
    }
    find(conn, id)?.ok_or(Error::NoPayment(id))
}

/// The payments of an order by id, after `after`.
pub(super) fn of_order(
    conn: &mut Conn,
    order: i64,
    after: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<Payment>> {
    let rows: Vec<Row> = payments::table
        .filter(payments::order_id.eq(order))
        .filter(payments::id.gt(after.unwrap_or(0)))
        .order(payments::id.asc())
        .limit(limit)
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Payment::from).collect())
}

/// Payments of a customer, latest first, before the moment and id `before`.
pub(super) fn history(
    conn: &mut Conn,
    customer: i64,
    before: Option<(NaiveDateTime, i64)>,
    limit: i64,
) -> QueryResult<Vec<Paid>> {
    let mut query = payments::table
        .filter(payments::customer_id.eq(customer))
        .order((payments::created_at.desc(), payments::id.desc()))
        .limit(limit)
        .select(Row::as_select())
        .into_boxed();
    if let Some((at, id)) = before {
        let same = payments::created_at.eq(at).and(payments::id.lt(id));
        query = query.filter(payments::created_at.lt(at).or(same));
    }
    let rows: Vec<Row> = query.load(conn)?;
    let paid = |payment: Payment| Paid {
        id: payment.id,
        at: payment.created_at,
        order_id: payment.order_id,
        amount: payment.amount,
        state: payment.state,
    };
    Ok(rows.into_iter().map(|row| paid(row.into())).collect())
}

/// Moves a payment on. Whoever calls holds it locked.
pub(super) fn set_state(conn: &mut Conn, id: i64, state: State, failure: Option<&str>) -> QueryResult<()> {
    diesel::update(payments::table.find(id))
        .set((
            payments::state.eq(state.as_str()),
            payments::failure.eq(failure),
            payments::next_at.eq(now()),
            payments::updated_at.eq(now()),
        ))
        .execute(conn)
        .map(drop)
}

/// Notes what the provider calls the charge.
pub(super) fn set_reference(conn: &mut Conn, id: i64, reference: &str) -> QueryResult<()> {
    diesel::update(payments::table.find(id))
        .set(payments::psp_reference.eq(Some(reference)))
        .execute(conn)
        .map(drop)
}

/// Notes how much was asked back, and the state that follows.
pub(super) fn set_refunded(conn: &mut Conn, id: i64, refunded: i64, state: State) -> QueryResult<()> {
    diesel::update(payments::table.find(id))
        .set((
            payments::refunded.eq(refunded),
            payments::state.eq(state.as_str()),
            payments::updated_at.eq(now()),
        ))
        .execute(conn)
        .map(drop)
}

/// Takes the next open payment that is due, for this process alone.
pub(super) fn take(conn: &mut Conn) -> QueryResult<Option<Payment>> {
    let at = now();
    let due: Option<(i64, i64)> = payments::table
        .filter(payments::state.eq_any([State::Pending.as_str(), State::Voiding.as_str()]))
        .filter(payments::next_at.le(at))
        .order((payments::next_at.asc(), payments::id.asc()))
        .select((payments::id, payments::attempts))
        .first(conn)
        .optional()?;
    let Some((id, attempts)) = due else {
        return Ok(None);
    };
    let taken = diesel::update(payments::table.find(id).filter(payments::attempts.eq(attempts)))
        .set((
            payments::attempts.eq(attempts + 1),
            payments::next_at.eq(at + claim()),
        ))
        .execute(conn)?;
    if taken == 0 { Ok(None) } else { find(conn, id) }
}

/// Leaves an open payment for the next attempt.
pub(super) fn postpone(conn: &mut Conn, payment: &Payment) -> QueryResult<()> {
    diesel::update(payments::table.find(payment.id))
        .set(payments::next_at.eq(now() + pause(payment.attempts)))
        .execute(conn)
        .map(drop)
}

/// Adds a refund under a new key.
pub(super) fn insert_refund(
    conn: &mut Conn,
    payment: i64,
    amount: i64,
    reason: &str,
    request_key: Option<&str>,
    due_at: NaiveDateTime,
) -> QueryResult<i64> {
    diesel::insert_into(refunds::table)
        .values((
            refunds::payment_id.eq(payment),
            refunds::psp_key.eq(format!("refund-{}", Uuid::new_v4().simple())),
            refunds::request_key.eq(request_key),
            refunds::amount.eq(amount),
            refunds::reason.eq(reason),
            refunds::state.eq("pending"),
            refunds::attempts.eq(0),
            refunds::next_at.eq(due_at),
            refunds::created_at.eq(now()),
        ))
        .returning(refunds::id)
        .get_result(conn)
}

/// The refund with this id.
pub(super) fn find_refund(conn: &mut Conn, id: i64) -> QueryResult<Option<Refund>> {
    refunds::table
        .find(id)
        .select(RefundColumns::default())
        .first(conn)
        .optional()
}

/// The refund of this payment that was asked for under this key.
pub(super) fn refund_by_request(conn: &mut Conn, payment: i64, key: &str) -> QueryResult<Option<Refund>> {
    refunds::table
        .filter(refunds::payment_id.eq(payment))
        .filter(refunds::request_key.eq(key))
        .select(RefundColumns::default())
        .first(conn)
        .optional()
}

/// Notes how a refund went; says whether that was news.
pub(super) fn conclude_refund(conn: &mut Conn, id: i64, state: &str) -> QueryResult<bool> {
    let open = refunds::table.find(id).filter(refunds::state.eq("pending"));
    Ok(diesel::update(open).set(refunds::state.eq(state)).execute(conn)? > 0)
}

/// What of a payment has gone back already, in minor units.
pub(super) fn returned(conn: &mut Conn, payment: i64) -> QueryResult<i64> {
    let amounts: Vec<i64> = refunds::table
        .filter(refunds::payment_id.eq(payment))
        .filter(refunds::state.eq("succeeded"))
        .select(refunds::amount)
        .load(conn)?;
    Ok(amounts.into_iter().sum())
}

/// Takes the next refund that is due, for this process alone.
pub(super) fn take_refund(conn: &mut Conn) -> QueryResult<Option<Refund>> {
    let at = now();
    let due: Option<Refund> = refunds::table
        .filter(refunds::state.eq("pending"))
        .filter(refunds::next_at.le(at))
        .order((refunds::next_at.asc(), refunds::id.asc()))
        .select(RefundColumns::default())
        .first(conn)
        .optional()?;
    let Some(refund) = due else { return Ok(None) };
    let taken = diesel::update(
        refunds::table
            .find(refund.id)
            .filter(refunds::attempts.eq(refund.attempts)),
    )
    .set((
        refunds::attempts.eq(refund.attempts + 1),
        refunds::next_at.eq(at + claim()),
    ))
    .execute(conn)?;
    Ok((taken > 0).then_some(refund))
}

/// Leaves a refund for the next attempt.
pub(super) fn postpone_refund(conn: &mut Conn, refund: &Refund) -> QueryResult<()> {
    diesel::update(refunds::table.find(refund.id))
        .set(refunds::next_at.eq(now() + pause(refund.attempts + 1)))
        .execute(conn)
        .map(drop)
}

/// Remembers an event of the provider; says whether it is new.
pub(super) fn remember_event(conn: &mut Conn, id: &str, kind: &str) -> QueryResult<bool> {
    let insert = diesel::insert_into(psp_events::table)
        .values((
            psp_events::id.eq(id),
            psp_events::kind.eq(kind),
            psp_events::received_at.eq(now()),
        ))
        .on_conflict_do_nothing();
    let inserted = match conn {
        Conn::Postgres(conn) => insert.execute(conn)?,
        Conn::Sqlite(conn) => insert.execute(conn)?,
    };
    Ok(inserted > 0)
}
