//! A customer's orders by time, for the report on its history.

use chassis::db::Conn;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use crate::money::Money;
use crate::orders::model::State;
use crate::orders::schema::orders;

/// An order as its customer's history tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which.
    pub id: i64,
    /// What it is called in letters and books.
    pub number: String,
    /// When it was placed.
    pub at: NaiveDateTime,
    /// `pending`, `confirmed`, `cancelled` or `shipped`.
    pub state: &'static str,
    /// What it costs altogether; negative when goods came back.
    pub total: Money,
}

/// Orders of a customer, latest first, before the moment and id `before`.
pub(in super::super) fn of_customer(
    conn: &mut Conn,
    customer: i64,
    before: Option<(NaiveDateTime, i64)>,
    limit: i64,
) -> QueryResult<Vec<Placed>> {
    let mut query = orders::table
        .filter(orders::customer_id.eq(customer))
        .order((orders::placed_at.desc(), orders::id.desc()))
        .limit(limit)
        .select((
            orders::id,
            orders::number,
            orders::placed_at,
            orders::state,
            orders::total,
            orders::currency,
        ))
        .into_boxed();
    if let Some((at, id)) = before {
        let same = orders::placed_at.eq(at).and(orders::id.lt(id));
        query = query.filter(orders::placed_at.lt(at).or(same));
    }
    let rows: Vec<(i64, Option<String>, NaiveDateTime, String, i64, String)> = query.load(conn)?;
    let placed = |(id, number, at, state, total, currency): (_, Option<_>, _, String, _, String)| Placed {
        id,
        number: super::number(id, number),
        at,
        state: State::stored(&state).as_str(),
        total: Money::new(total, currency),
    };
    Ok(rows.into_iter().map(placed).collect())
}
