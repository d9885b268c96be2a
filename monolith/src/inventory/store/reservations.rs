//! Reservations: all lines or none; `held` is left once, by whoever's compare-and-set is first.

use chassis::db::Conn;
use chassis::time::now;
use chrono::{Duration, NaiveDateTime};
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::{levels, movements};
use crate::inventory::Error;
use crate::inventory::model::{Kind, Line, Reservation, State, in_lock_order};
use crate::inventory::schema::{reservation_lines, reservations};

/// Sets the lines aside and gives the id of the reservation.
pub(crate) fn hold(conn: &mut Conn, lines: &[Line], ttl: Duration, reference: &str) -> Result<i64, Error> {
    for (index, line) in in_lock_order(lines) {
        if !levels::set_aside(conn, &line.sku, line.quantity)? {
            return Err(Error::Insufficient {
                index,
                sku: line.sku.clone(),
                available: levels::available(conn, &line.sku)?,
            });
        }
    }
    let at = now();
    let id = diesel::insert_into(reservations::table)
        .values((
            reservations::state.eq(State::Held.as_str()),
            reservations::reference.eq(reference),
            reservations::expires_at.eq(at + ttl),
            reservations::created_at.eq(at),
            reservations::updated_at.eq(at),
        ))
        .returning(reservations::id)
        .get_result(conn)?;
    for (position, line) in (0_i64..).zip(lines) {
        diesel::insert_into(reservation_lines::table)
            .values((
                reservation_lines::reservation_id.eq(id),
                reservation_lines::position.eq(position),
                reservation_lines::sku.eq(&line.sku),
                reservation_lines::quantity.eq(line.quantity),
            ))
            .execute(conn)?;
    }
    Ok(id)
}

/// The units leave as a sale. Again: nothing. After they were given back: refused.
pub(crate) fn confirm(conn: &mut Conn, id: i64) -> Result<(), Error> {
    if !leave_held(conn, id, State::Confirmed)? {
        return match state(conn, id)? {
            State::Confirmed => Ok(()),
            state => Err(Error::Decided { id, state }),
        };
    }
    let (reference, lines) = (reference(conn, id)?, lines(conn, id)?);
    for (_, line) in in_lock_order(&lines) {
        levels::hand_over(conn, &line.sku, line.quantity)?;
        let sold = Kind::Sale.signed(line.quantity);
        movements::record(conn, &line.sku, Kind::Sale, sold, &reference)?;
    }
    Ok(())
}

/// The units become available again. Again: nothing. After they were sold: refused.
pub(crate) fn release(conn: &mut Conn, id: i64) -> Result<(), Error> {
    if leave_held(conn, id, State::Released)? {
        return Ok(give_back(conn, id)?);
    }
    match state(conn, id)? {
        State::Confirmed => Err(Error::Decided {
            id,
            state: State::Confirmed,
        }),
        _ => Ok(()),
    }
}

/// Gives back what nobody decided on in time; nothing if somebody has decided since. Says whether it did.
pub(crate) fn expire(conn: &mut Conn, id: i64) -> QueryResult<bool> {
    let expired = leave_held(conn, id, State::Expired)?;
    if expired {
        give_back(conn, id)?;
    }
    Ok(expired)
}

/// Reservations whose time is over, longest over first.
pub(crate) fn overdue(conn: &mut Conn, at: NaiveDateTime, limit: i64) -> QueryResult<Vec<i64>> {
    reservations::table
        .filter(reservations::state.eq(State::Held.as_str()))
        .filter(reservations::expires_at.le(at))
        .order((reservations::expires_at.asc(), reservations::id.asc()))
        .select(reservations::id)
        .limit(limit)
        .load(conn)
}

/// A reservation with its lines, in the order they were given.
pub(crate) fn find(conn: &mut Conn, id: i64) -> Result<Reservation, Error> {
    let row: Option<(String, String, NaiveDateTime, NaiveDateTime)> = reservations::table
        .find(id)
        .select((
            reservations::state,
            reservations::reference,
            reservations::expires_at,
            reservations::created_at,
        ))
        .first(conn)
        .optional()?;
    let (state, reference, expires_at, created_at) = row.ok_or(Error::NoReservation(id))?;
    Ok(Reservation {
        id,
        state: State::stored(&state),
        lines: lines(conn, id)?,
        reference,
        expires_at,
        created_at,
    })
}

/// The compare-and-set that decides a reservation: of all who try, one succeeds.
fn leave_held(conn: &mut Conn, id: i64, to: State) -> QueryResult<bool> {
    let held = reservations::table
        .find(id)
        .filter(reservations::state.eq(State::Held.as_str()));
    let changed = diesel::update(held)
        .set((
            reservations::state.eq(to.as_str()),
            reservations::updated_at.eq(now()),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}

fn give_back(conn: &mut Conn, id: i64) -> QueryResult<()> {
    let lines = lines(conn, id)?;
    for (_, line) in in_lock_order(&lines) {
        levels::give_back(conn, &line.sku, line.quantity)?;
    }
    Ok(())
}

fn state(conn: &mut Conn, id: i64) -> Result<State, Error> {
    let word: Option<String> = reservations::table
        .find(id)
        .select(reservations::state)
        .first(conn)
        .optional()?;
    word.map(|word| State::stored(&word))
        .ok_or(Error::NoReservation(id))
}

fn reference(conn: &mut Conn, id: i64) -> QueryResult<String> {
    reservations::table
        .find(id)
        .select(reservations::reference)
        .first(conn)
}

fn lines(conn: &mut Conn, id: i64) -> QueryResult<Vec<Line>> {
    let rows: Vec<(String, i64)> = reservation_lines::table
        .filter(reservation_lines::reservation_id.eq(id))
        .order(reservation_lines::position.asc())
        .select((reservation_lines::sku, reservation_lines::quantity))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(sku, quantity)| Line { sku, quantity })
        .collect())
}
