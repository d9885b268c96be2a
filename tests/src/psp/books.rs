//! The provider's books: every change of a charge with its ledger entry and its webhook event, in one transaction.

use std::collections::BTreeMap;

use chassis::db::Conn;
use diesel::prelude::*;
use diesel::result::QueryResult;
use serde::Serialize;
use serde_json::json;

use super::model::{Charge, Error, NewCharge, Outcome};
use super::schema::{charges, dead_keys, events, hung_keys, ledger, refunds};

/// How long `tok_late` takes.
const LATE_MS: i64 = 2_000;

/// An entry of the ledger.
#[derive(Debug, Queryable, Serialize)]
pub(super) struct Entry {
    seq: i64,
    kind: String,
    charge: String,
    key: String,
    reference: String,
    amount: i64,
    currency: String,
    at: i64,
}

#[derive(Queryable)]
struct Row {
    id: String,
    key: String,
    reference: String,
    amount: i64,
    currency: String,
    payment_method: String,
    capture: bool,
    state: String,
    refunded: i64,
    created_ms: i64,
}

/// The columns of [`Row`], in its order.
type Columns = (
    charges::id,
    charges::key,
    charges::reference,
    charges::amount,
    charges::currency,
    charges::payment_method,
    charges::capture,
    charges::state,
    charges::refunded,
    charges::created_ms,
);

impl From<Row> for Charge {
    fn from(row: Row) -> Self {
        let Row {
            id,
            key,
            reference,
            amount,
            currency,
            state,
            refunded,
            created_ms: created,
            ..
        } = row;
        Self {
            id,
            key,
            reference,
            amount,
            currency,
            state,
            refunded,
            created,
        }
    }
}

/// Charges once per key.
pub(super) fn charge(conn: &mut Conn, key: &str, new: &NewCharge) -> Result<Outcome, Error> {
    let dead: i64 = dead_keys::table
        .filter(dead_keys::key.eq(key))
        .count()
        .get_result(conn)?;
    if dead > 0 {
        return Err(Error::KeyVoid);
    }
    if let Some(row) = by_key(conn, key)? {
        let same = row.amount == new.amount && row.currency == new.currency && row.reference == new.reference;
        return if same {
            Ok(Outcome::Known(row.into()))
        } else {
            Err(Error::KeyReused)
        };
    }
    let state = match new.payment_method.as_str() {
        "tok_declined" => "declined",
        "tok_late" => "pending",
        "tok_timeout_before" if hangs_first(conn, key)? => return Ok(Outcome::Silence),
        "tok_ok" | "tok_slow" | "tok_twice" | "tok_timeout_after" | "tok_timeout_before" => won(new.capture),
        other => return Err(Error::PaymentMethod(other.to_owned())),
    };
    let at = now_ms();
    let id = format!("ch_{}", uuid::Uuid::now_v7().simple());
    diesel::insert_into(charges::table)
        .values((
            charges::id.eq(&id),
            charges::key.eq(key),
            charges::reference.eq(&new.reference),
            charges::amount.eq(new.amount),
            charges::currency.eq(&new.currency),
            charges::payment_method.eq(&new.payment_method),
            charges::capture.eq(new.capture),
            charges::state.eq(state),
            charges::refunded.eq(0),
            charges::due_ms.eq((state == "pending").then_some(at + LATE_MS)),
            charges::created_ms.eq(at),
        ))
        .execute(conn)?;
    let row = by_id(conn, &id)?;
    if state != "pending" {
        book_outcome(conn, &row)?;
    }
    Ok(Outcome::Made(row.into()))
}

/// Carries out the late charges that are due.
pub(super) fn settle_late(conn: &mut Conn) -> Result<(), Error> {
    let due: Vec<String> = charges::table
        .filter(charges::state.eq("pending"))
        .filter(charges::due_ms.le(now_ms()))
        .select(charges::id)
        .load(conn)?;
    for id in due {
        let row = by_id(conn, &id)?;
        set_state(conn, &id, won(row.capture))?;
        let row = by_id(conn, &id)?;
        book_outcome(conn, &row)?;
    }
    Ok(())
}

/// The charge with this id.
pub(super) fn find(conn: &mut Conn, id: &str) -> Result<Charge, Error> {
    Ok(by_id(conn, id)?.into())
}

/// The charge made under this key, if one was.
pub(super) fn find_by_key(conn: &mut Conn, key: &str) -> Result<Option<Charge>, Error> {
    Ok(by_key(conn, key)?.map(Charge::from))
}

/// Takes the money of an authorized charge.
pub(super) fn capture(conn: &mut Conn, id: &str) -> Result<Charge, Error> {
    let row = by_id(conn, id)?;
    match row.state.as_str() {
        "captured" => {}
        "authorized" => {
            set_state(conn, id, "captured")?;
            enter(conn, "capture", &row, &row.key, row.amount)?;
            let after = by_id(conn, id)?;
            tell(conn, "charge.captured", after)?;
        }
        _ => return Err(Error::State(row.state)),
    }
    find(conn, id)
}

/// Gives money back, once per key.
pub(super) fn refund(conn: &mut Conn, id: &str, key: &str, amount: i64) -> Result<Charge, Error> {
    let row = by_id(conn, id)?;
    let before: Option<(String, i64)> = refunds::table
        .filter(refunds::key.eq(key))
        .select((refunds::charge_id, refunds::amount))
        .first(conn)
        .optional()?;
    if let Some((charge, before)) = before {
        return if charge == id && before == amount {
            Ok(row.into())
        } else {
            Err(Error::KeyReused)
        };
    }
    if !matches!(row.state.as_str(), "captured" | "partially_refunded") {
        return Err(Error::State(row.state));
    }
    if amount > row.amount - row.refunded {
        return Err(Error::TooMuch(row.amount - row.refunded));
    }
    diesel::insert_into(refunds::table)
        .values((
            refunds::key.eq(key),
            refunds::charge_id.eq(id),
            refunds::amount.eq(amount),
        ))
        .execute(conn)?;
    give_back(conn, &row, key, amount)?;
    find(conn, id)
}

/// Makes a key useless for ever. A charge that was made under it is undone.
pub(super) fn void(conn: &mut Conn, key: &str) -> Result<Option<Charge>, Error> {
    let dead: i64 = dead_keys::table
        .filter(dead_keys::key.eq(key))
        .count()
        .get_result(conn)?;
    if dead == 0 {
        diesel::insert_into(dead_keys::table)
            .values(dead_keys::key.eq(key))
            .execute(conn)?;
    }
    let Some(row) = by_key(conn, key)? else {
        return Ok(None);
    };
    match row.state.as_str() {
        "pending" => set_state(conn, &row.id, "voided")?,
        "authorized" => {
            set_state(conn, &row.id, "voided")?;
            enter(conn, "void", &row, key, row.amount)?;
        }
        "captured" | "partially_refunded" => give_back(conn, &row, key, row.amount - row.refunded)?,
        _ => {}
    }
    Ok(Some(find(conn, &row.id)?))
}

/// The ledger, oldest entry first.
pub(super) fn entries(conn: &mut Conn) -> Result<Vec<Entry>, Error> {
    Ok(ledger::table.order(ledger::seq.asc()).load(conn)?)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    chassis::time::now().and_utc().timestamp_millis()
}

fn won(capture: bool) -> &'static str {
    if capture { "captured" } else { "authorized" }
}

/// Whether this is the first request with the key; remembers it.
fn hangs_first(conn: &mut Conn, key: &str) -> QueryResult<bool> {
    let before: i64 = hung_keys::table
        .filter(hung_keys::key.eq(key))
        .count()
        .get_result(conn)?;
    if before == 0 {
        diesel::insert_into(hung_keys::table)
            .values(hung_keys::key.eq(key))
            .execute(conn)?;
    }
    Ok(before == 0)
}

fn book_outcome(conn: &mut Conn, row: &Row) -> QueryResult<()> {
    let event = match row.state.as_str() {
        "declined" => "charge.failed",
        _ => {
            enter(conn, "charge", row, &row.key, row.amount)?;
            if row.state == "captured" {
                enter(conn, "capture", row, &row.key, row.amount)?;
            }
            "charge.succeeded"
        }
    };
    let times = if row.payment_method == "tok_twice" { 2 } else { 1 };
    let body = event_body(event, &by_id_query(conn, &row.id)?.into());
    (0..times).try_for_each(|_| queue(conn, &body))
}

fn give_back(conn: &mut Conn, row: &Row, key: &str, amount: i64) -> QueryResult<()> {
    let refunded = row.refunded + amount;
    let state = if refunded == row.amount {
        "refunded"
    } else {
        "partially_refunded"
    };
    diesel::update(charges::table.filter(charges::id.eq(&row.id)))
        .set((charges::refunded.eq(refunded), charges::state.eq(state)))
        .execute(conn)?;
    enter(conn, "refund", row, key, amount)?;
    let after = by_id_query(conn, &row.id)?;
    tell(conn, "refund.succeeded", after)
}

fn enter(conn: &mut Conn, kind: &str, row: &Row, key: &str, amount: i64) -> QueryResult<()> {
    diesel::insert_into(ledger::table)
        .values((
            ledger::kind.eq(kind),
            ledger::charge_id.eq(&row.id),
            ledger::key.eq(key),
            ledger::reference.eq(&row.reference),
            ledger::amount.eq(amount),
            ledger::currency.eq(&row.currency),
            ledger::at_ms.eq(now_ms()),
        ))
        .execute(conn)
        .map(drop)
}

fn tell(conn: &mut Conn, event: &str, row: Row) -> QueryResult<()> {
    queue(conn, &event_body(event, &row.into()))
}

fn event_body(event: &str, charge: &Charge) -> String {
    let id = format!("evt_{}", uuid::Uuid::now_v7().simple());
    json!({ "id": id, "type": event, "created": now_ms() / 1000, "data": { "charge": charge } }).to_string()
}

fn queue(conn: &mut Conn, body: &str) -> QueryResult<()> {
    diesel::insert_into(events::table)
        .values((
            events::body.eq(body),
            events::due_ms.eq(now_ms()),
            events::attempts.eq(0),
            events::sent.eq(false),
        ))
        .execute(conn)
        .map(drop)
}

fn set_state(conn: &mut Conn, id: &str, state: &str) -> QueryResult<()> {
    diesel::update(charges::table.filter(charges::id.eq(id)))
        .set(charges::state.eq(state))
        .execute(conn)
        .map(drop)
}

fn by_id(conn: &mut Conn, id: &str) -> Result<Row, Error> {
    let row: Option<Row> = charges::table
        .filter(charges::id.eq(id))
        .select(Columns::default())
        .first(conn)
        .optional()?;
    row.ok_or(Error::NotFound)
}

fn by_id_query(conn: &mut Conn, id: &str) -> QueryResult<Row> {
    charges::table
        .filter(charges::id.eq(id))
        .select(Columns::default())
        .first(conn)
}

fn by_key(conn: &mut Conn, key: &str) -> QueryResult<Option<Row>> {
    charges::table
        .filter(charges::key.eq(key))
        .select(Columns::default())
        .first(conn)
        .optional()
}

/// What was captured and refunded, per currency.
#[derive(Debug, Default, Serialize)]
pub(super) struct Sums {
    captures: i64,
    captured: BTreeMap<String, i64>,
    refunded: BTreeMap<String, i64>,
}

/// Adds up the ledger.
pub(super) fn sums(conn: &mut Conn) -> Result<Sums, Error> {
    let mut sums = Sums::default();
    for entry in entries(conn)? {
        match entry.kind.as_str() {
            "capture" => {
                sums.captures += 1;
                *sums.captured.entry(entry.currency).or_default() += entry.amount;
            }
            "refund" => *sums.refunded.entry(entry.currency).or_default() += entry.amount,
            _ => {}
        }
    }
    Ok(sums)
}
