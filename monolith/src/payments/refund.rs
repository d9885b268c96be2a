//! Gives money back: asked for here, carried out by the provider, noted here.

use chassis::db::Conn;
use chassis::time::now;

use super::model::{Payment, Refund, State, claim};
use super::psp::RefundVerdict;
use super::{Error, Payables, Payments, store};
use crate::money::Money;

/// Asks for a refund; the money counts as gone from here on, so that two refunds cannot give more than was paid.
/// With a key that was used before, gives the refund of that time.
pub(super) fn ask(
    conn: &mut Conn,
    payables: &dyn Payables,
    id: i64,
    amount: &Money,
    reason: &str,
    request_key: Option<&str>,
) -> Result<Refund, Error> {
    let order = store::find(conn, id)?.ok_or(Error::NoPayment(id))?.order_id;
    payables.lock(conn, order)?;
    let payment = store::lock(conn, id)?;
    if amount.currency != payment.amount.currency {
        return Err(Error::Currency(payment.amount.currency));
    }
    if let Some(before) = request_key
        .map(|key| store::refund_by_request(conn, id, key))
        .transpose()?
        .flatten()
    {
        return if before.amount == amount.amount {
            Ok(before)
        } else {
            Err(Error::KeyReused)
        };
    }
    if !matches!(
        payment.state,
        State::Captured | State::PartiallyRefunded | State::Refunded
    ) {
        return Err(Error::State(payment.state));
    }
    let left = payment.amount.amount - payment.refunded;
    if amount.amount > left {
        return Err(Error::RefundExceedsPayment(left));
    }
    let refund = store::insert_refund(conn, id, amount.amount, reason, request_key, now() + claim())?;
    store::set_refunded(conn, id, payment.refunded + amount.amount, payment.state)?;
    store::find_refund(conn, refund)?.ok_or(Error::NoPayment(id))
}

/// Asks back whatever is left of an order's payments, and lets authorized ones go. The worker carries it out.
pub(super) fn give_back(conn: &mut Conn, order: i64, reason: &str) -> Result<(), Error> {
    for payment in store::of_order(conn, order, None, i64::MAX)? {
        let payment = store::lock(conn, payment.id)?;
        match payment.state {
            State::Authorized => store::set_state(conn, payment.id, State::Voiding, None)?,
            State::Captured | State::PartiallyRefunded => give_back_rest(conn, &payment, reason)?,
            _ => {}
        }
    }
    Ok(())
}

fn give_back_rest(conn: &mut Conn, payment: &Payment, reason: &str) -> Result<(), Error> {
    let left = payment.amount.amount - payment.refunded;
    if left > 0 {
        store::insert_refund(conn, payment.id, left, reason, None, now())?;
        store::set_refunded(conn, payment.id, payment.amount.amount, payment.state)?;
    }
    Ok(())
}

/// Has the provider carry out a refund, and notes how it went.
pub(super) async fn carry_out(port: &Payments, refund: Refund) -> Result<Refund, Error> {
    let id = refund.payment_id;
    let payment = port
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, id)?))
        .await?;
    let reference = payment
        .and_then(|payment| payment.psp_reference)
        .ok_or(Error::NoPayment(id))?;
    let verdict = port.psp.refund(&reference, &refund).await;
    let payables = std::sync::Arc::clone(&port.payables);
    port.db
        .write(move |conn| conclude(conn, &*payables, &refund, verdict))
        .await
}

fn conclude(
    conn: &mut Conn,
    payables: &dyn Payables,
    refund: &Refund,
    verdict: RefundVerdict,
) -> Result<Refund, Error> {
    let order = store::find(conn, refund.payment_id)?
        .ok_or(Error::NoPayment(refund.payment_id))?
        .order_id;
    payables.lock(conn, order)?;
    let payment = store::lock(conn, refund.payment_id)?;
    match verdict {
        RefundVerdict::Done if store::conclude_refund(conn, refund.id, "succeeded")? => {
            let in_full = store::returned(conn, payment.id)? == payment.amount.amount;
            let state = if in_full {
                State::Refunded
            } else {
                State::PartiallyRefunded
            };
            store::set_refunded(conn, payment.id, payment.refunded, state)?;
            let amount = Money::new(refund.amount, payment.amount.currency);
            payables.refunded(conn, payment.order_id, &amount, in_full)?;
        }
        RefundVerdict::Refused if store::conclude_refund(conn, refund.id, "failed")? => {
            tracing::error!(
                refund = refund.id,
                payment = payment.id,
                "the provider refused a refund"
            );
            store::set_refunded(conn, payment.id, payment.refunded - refund.amount, payment.state)?;
        }
        RefundVerdict::Unknown => store::postpone_refund(conn, refund)?,
        _ => {}
    }
    store::find_refund(conn, refund.id)?.ok_or(Error::NoPayment(payment.id))
}
