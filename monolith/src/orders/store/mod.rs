//! The SQL of the orders module.

pub(super) mod history;
pub(super) mod import;
pub(super) mod keys;
pub(super) mod sagas;
pub(super) mod sales;

use std::collections::HashMap;

use chassis::db::Conn;
use chassis::time::now;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::model::{NewOrder, Order, OrderLine, State};
use super::schema::{order_lines, orders};
use crate::money::Money;

#[derive(Queryable)]
struct Row {
    id: i64,
    number: Option<String>,
    kind: String,
    state: String,
    payment: String,
    customer_id: Option<i64>,
    currency: String,
    total: i64,
    cancel_reason: Option<String>,
    country: Option<String>,
    placed_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

impl Row {
    fn with(self, lines: Vec<OrderLine>) -> Order {
        Order {
            id: self.id,
            number: number(self.id, self.number),
            kind: self.kind,
            state: State::stored(&self.state),
            payment: self.payment,
            customer_id: self.customer_id,
            total: Money::new(self.total, self.currency),
            cancel_reason: self.cancel_reason,
            country: self.country,
            placed_at: self.placed_at,
            updated_at: self.updated_at,
            lines,
        }
    }
}

/// What an order is called. Orders placed here are called after their id; imported ones keep the number of their books.
fn number(id: i64, imported: Option<String>) -> String {
    imported.unwrap_or_else(|| format!("B{id}"))
}

/// Which orders a list shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) customer: Option<i64>,
    pub(super) state: Option<State>,
}

/// Adds an order and gives its id.
pub(super) fn insert(conn: &mut Conn, new: &NewOrder) -> QueryResult<i64> {
    let at = now();
    let id: i64 = diesel::insert_into(orders::table)
        .values((
            orders::kind.eq("sale"),
            orders::state.eq(State::Pending.as_str()),
            orders::payment.eq(if new.awaits_payment { "none" } else { "pending" }),
            orders::customer_id.eq(Some(new.customer_id)),
            orders::currency.eq(&new.total.currency),
            orders::total.eq(new.total.amount),
            orders::placed_at.eq(at),
            orders::updated_at.eq(at),
        ))
        .returning(orders::id)
        .get_result(conn)?;
    for (line, line_no) in new.lines.iter().zip(1_i64..) {
        diesel::insert_into(order_lines::table)
            .values((
                order_lines::order_id.eq(id),
                order_lines::line_no.eq(line_no),
                order_lines::sku.eq(&line.sku),
                order_lines::name.eq(&line.name),
                order_lines::quantity.eq(line.quantity),
                order_lines::unit_amount.eq(line.unit_amount),
            ))
            .execute(conn)?;
    }
    Ok(id)
}

/// The order with this id.
pub(super) fn find(conn: &mut Conn, id: i64) -> QueryResult<Option<Order>> {
    let row: Option<Row> = orders::table.find(id).first(conn).optional()?;
    let Some(row) = row else { return Ok(None) };
    let mut lines = lines_of(conn, &[id])?;
    Ok(Some(row.with(lines.remove(&id).unwrap_or_default())))
}

/// The order with this id, locked until the transaction ends. On SQLite the transaction itself is the lock.
pub(super) fn lock(conn: &mut Conn, id: i64) -> QueryResult<Option<Order>> {
    if let Conn::Postgres(postgres) = conn {
        orders::table
            .find(id)
            .select(orders::id)
            .for_update()
            .first::<i64>(postgres)
            .optional()?;
    }
    find(conn, id)
}

/// Orders, newest first, before the id `before`.
pub(super) fn list(
    conn: &mut Conn,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<Order>> {
    let mut query = orders::table
        .filter(orders::id.lt(before.unwrap_or(i64::MAX)))
        .order(orders::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(customer) = filter.customer {
        query = query.filter(orders::customer_id.eq(customer));
    }
    if let Some(state) = filter.state {
        query = query.filter(orders::state.eq(state.as_str()));
    }
    let rows: Vec<Row> = query.load(conn)?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut lines = lines_of(conn, &ids)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let lines = lines.remove(&row.id).unwrap_or_default();
            row.with(lines)
        })
        .collect())
}

/// Moves an order on. Whoever calls holds it locked and has checked that the step is allowed.
pub(super) fn set_state(
    conn: &mut Conn,
    id: i64,
    state: State,
    payment: &str,
    cancel_reason: Option<&str>,
) -> QueryResult<()> {
    diesel::update(orders::table.find(id))
        .set((
            orders::state.eq(state.as_str()),
            orders::payment.eq(payment),
            orders::cancel_reason.eq(cancel_reason),
            orders::updated_at.eq(now()),
        ))
        .execute(conn)
        .map(drop)
}

/// Notes where the payment of an order stands.
pub(super) fn set_payment(conn: &mut Conn, id: i64, payment: &str) -> QueryResult<()> {
    diesel::update(orders::table.find(id))
        .set((orders::payment.eq(payment), orders::updated_at.eq(now())))
        .execute(conn)
        .map(drop)
}

fn lines_of(conn: &mut Conn, ids: &[i64]) -> QueryResult<HashMap<i64, Vec<OrderLine>>> {
    let rows: Vec<(i64, String, String, i64, i64)> = order_lines::table
        .filter(order_lines::order_id.eq_any(ids))
        .order((order_lines::order_id.asc(), order_lines::line_no.asc()))
        .select((
            order_lines::order_id,
            order_lines::sku,
            order_lines::name,
            order_lines::quantity,
            order_lines::unit_amount,
        ))
        .load(conn)?;
    let mut lines: HashMap<i64, Vec<OrderLine>> = HashMap::new();
    for (order, sku, name, quantity, unit_amount) in rows {
        lines.entry(order).or_default().push(OrderLine {
            sku,
            name,
            quantity,
            unit_amount,
        });
    }
    Ok(lines)
}
