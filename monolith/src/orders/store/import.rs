//! Writes invoices out of imported books.

use std::collections::BTreeSet;

use chassis::db::Conn;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::Error::NotFound;
use diesel::result::QueryResult;

use super::super::model::{Imported, ImportedInvoice, ImportedLine};
use super::super::schema::{order_lines, orders};

/// Lines per statement: SQLite takes 32,766 binds, of which a line needs six.
const BATCH: usize = 500;

/// Adds an invoice, unless its number is there already. Imported sales count as shipped: the books say they happened.
pub(in super::super) fn invoice(conn: &mut Conn, invoice: &ImportedInvoice) -> QueryResult<Imported> {
    // Asked first: an insert that meets its number on the way in has taken an id by then.
    if let Some(there) = compare(conn, invoice)? {
        return Ok(there);
    }
    let total: i64 = invoice
        .lines
        .iter()
        .map(|line| line.quantity.saturating_mul(line.unit_amount))
        .sum();
    let new = (
        orders::number.eq(&invoice.number),
        orders::kind.eq(invoice.kind.as_str()),
        orders::state.eq("shipped"),
        orders::payment.eq("none"),
        orders::customer_id.eq(invoice.customer_id),
        orders::currency.eq(&invoice.currency),
        orders::total.eq(total),
        orders::country.eq(&invoice.country),
        orders::placed_at.eq(invoice.placed_at),
        orders::updated_at.eq(invoice.placed_at),
    );
    let insert = diesel::insert_into(orders::table).values(new);
    let id: Option<i64> = match conn {
        Conn::Postgres(conn) => insert
            .on_conflict(orders::number)
            .do_nothing()
            .returning(orders::id)
            .get_result(conn)
            .optional()?,
        Conn::Sqlite(conn) => insert
            .on_conflict(orders::number)
            .do_nothing()
            .returning(orders::id)
            .get_result(conn)
            .optional()?,
    };
    let Some(id) = id else {
        // Another import was quicker.
        return compare(conn, invoice)?.ok_or(NotFound);
    };
    for (batch, lines) in invoice.lines.chunks(BATCH).enumerate() {
        insert_lines(conn, id, batch * BATCH, lines)?;
    }
    Ok(Imported::New(id))
}

/// Which of these numbers are taken.
pub(in super::super) fn known(conn: &mut Conn, numbers: &[&str]) -> QueryResult<BTreeSet<String>> {
    let taken: Vec<Option<String>> = orders::table
        .filter(orders::number.eq_any(numbers))
        .select(orders::number)
        .load(conn)?;
    Ok(taken.into_iter().flatten().collect())
}

/// Whether the invoice that has the number already, if one has, is this one. Names may differ, for they depend on the rest
/// of the books; so may the customer, who may have left since.
fn compare(conn: &mut Conn, invoice: &ImportedInvoice) -> QueryResult<Option<Imported>> {
    let found: Option<(i64, String, String, Option<String>, NaiveDateTime)> = orders::table
        .filter(orders::number.eq(&invoice.number))
        .select((
            orders::id,
            orders::kind,
            orders::currency,
            orders::country,
            orders::placed_at,
        ))
        .first(conn)
        .optional()?;
    let Some((id, kind, currency, country, placed_at)) = found else {
        return Ok(None);
    };
    let lines: Vec<(String, i64, i64)> = order_lines::table
        .filter(order_lines::order_id.eq(id))
        .order(order_lines::line_no)
        .select((order_lines::sku, order_lines::quantity, order_lines::unit_amount))
        .load(conn)?;
    let same_head = kind == invoice.kind.as_str()
        && currency == invoice.currency
        && country.as_ref() == Some(&invoice.country)
        && placed_at == invoice.placed_at;
    let given = invoice.lines.iter();
    let same_lines = given
        .map(|line| (line.sku.as_str(), line.quantity, line.unit_amount))
        .eq(lines
            .iter()
            .map(|(sku, quantity, amount)| (sku.as_str(), *quantity, *amount)));
    Ok(Some(match same_head && same_lines {
        true => Imported::AlreadyThere,
        false => Imported::Otherwise,
    }))
}

fn insert_lines(conn: &mut Conn, order: i64, before: usize, lines: &[ImportedLine]) -> QueryResult<()> {
    let rows: Vec<_> = lines
        .iter()
        .zip(1_i64..)
        .map(|(line, nth)| {
            (
                order_lines::order_id.eq(order),
                order_lines::line_no.eq(i64::try_from(before).unwrap_or(0) + nth),
                order_lines::sku.eq(&line.sku),
                order_lines::name.eq(&line.name),
                order_lines::quantity.eq(line.quantity),
                order_lines::unit_amount.eq(line.unit_amount),
            )
        })
        .collect();
    let insert = diesel::insert_into(order_lines::table).values(rows);
    match conn {
        Conn::Postgres(conn) => insert.execute(conn),
        Conn::Sqlite(conn) => insert.execute(conn),
    }
    .map(drop)
}
