//! Takes note of what the provider says of a charge. Everything that learns something goes through here.

use chassis::db::Conn;
use chassis::time::now;

use super::model::{Charge, Payment, State, Verdict};
use super::{Error, Payables, store};

/// Settles a payment by what was learnt, and gives the state it is in then. What is settled stays as it is, except that
/// money which turns up where none is wanted is given back.
pub(super) fn settle(
    conn: &mut Conn,
    payables: &dyn Payables,
    id: i64,
    verdict: &Verdict,
) -> Result<State, Error> {
    let order = store::find(conn, id)?.ok_or(Error::NoPayment(id))?.order_id;
    payables.lock(conn, order)?;
    let payment = store::lock(conn, id)?;
    match verdict {
        Verdict::Charge(charge) if !belongs(charge, &payment) => {
            tracing::error!(
                payment = id,
                charge = charge.id,
                "the provider's charge is not what was asked for"
            );
        }
        Verdict::Charge(charge) => settle_by(conn, payables, &payment, charge)?,
        Verdict::Refused(reason) => fail(conn, payables, &payment, reason)?,
        Verdict::Nothing | Verdict::Unknown => {}
    }
    Ok(store::find(conn, id)?.ok_or(Error::NoPayment(id))?.state)
}

/// The provider's key is void: nothing was charged that was not undone, and nothing will be.
pub(super) fn voided(conn: &mut Conn, payables: &dyn Payables, id: i64) -> Result<(), Error> {
    let order = store::find(conn, id)?.ok_or(Error::NoPayment(id))?.order_id;
    payables.lock(conn, order)?;
    let payment = store::lock(conn, id)?;
    if payment.state != State::Voiding {
        return Ok(());
    }
    // With a reference it was authorized, and let go because the order was; without, the provider never answered.
    if payment.psp_reference.is_some() {
        return Ok(store::set_state(conn, id, State::Voided, None)?);
    }
    let reason = "the payment provider did not answer in time";
    store::set_state(conn, id, State::Failed, Some(reason))?;
    payables.failed(conn, order, reason)
}

fn belongs(charge: &Charge, payment: &Payment) -> bool {
    charge.key == payment.psp_key
        && charge.amount == payment.amount.amount
        && charge.currency == payment.amount.currency
}

fn settle_by(
    conn: &mut Conn,
    payables: &dyn Payables,
    payment: &Payment,
    charge: &Charge,
) -> Result<(), Error> {
    match (payment.state, charge.state.as_str()) {
        (State::Pending, "authorized") => {
            store::set_reference(conn, payment.id, &charge.id)?;
            Ok(store::set_state(conn, payment.id, State::Authorized, None)?)
        }
        (State::Pending | State::Authorized, "captured" | "partially_refunded") => {
            store::set_reference(conn, payment.id, &charge.id)?;
            store::set_state(conn, payment.id, State::Captured, None)?;
            if payables.paid(conn, payment.order_id)? {
                return Ok(());
            }
            give_back_unwanted(conn, payment)
        }
        (State::Pending, "declined") => fail(conn, payables, payment, "the payment was declined"),
        (State::Pending, "voided" | "refunded") => fail(conn, payables, payment, "the payment was undone"),
        // A payment that is being voided waits for the void, which undoes whatever was charged; the rest is known.
        _ => Ok(()),
    }
}

fn fail(conn: &mut Conn, payables: &dyn Payables, payment: &Payment, reason: &str) -> Result<(), Error> {
    if payment.state != State::Pending {
        return Ok(());
    }
    store::set_state(conn, payment.id, State::Failed, Some(reason))?;
    payables.failed(conn, payment.order_id, reason)
}

fn give_back_unwanted(conn: &mut Conn, payment: &Payment) -> Result<(), Error> {
    store::insert_refund(
        conn,
        payment.id,
        payment.amount.amount,
        "the order was given up",
        None,
        now(),
    )?;
    Ok(store::set_refunded(
        conn,
        payment.id,
        payment.amount.amount,
        State::Captured,
    )?)
}
