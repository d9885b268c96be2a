//! Carries payments out: at once for whoever waits for one, and by the worker for what was left open.

use std::sync::Arc;
use std::time::Duration;

use chassis::time::now;
use tokio::time::{Instant, sleep, timeout};

use super::model::{Payment, State, Verdict};
use super::{Error, Payments, refund, settle, store};

/// How long a request waits for the provider's word before it is answered without.
const WAIT: Duration = Duration::from_secs(7);
/// How often the worker looks when nobody wakes it.
const EVERY: Duration = Duration::from_millis(250);
/// How long it rests after a failure of the database.
const REST: Duration = Duration::from_secs(5);

/// Charges a payment and settles it, as far as that is possible in a request's time.
pub(super) async fn charge(port: &Payments, id: i64) -> Result<State, Error> {
    let until = Instant::now() + WAIT;
    loop {
        let payment = read(port, id).await?;
        if payment.state != State::Pending {
            return Ok(payment.state);
        }
        let mut verdict = port.psp.charge(&payment).await;
        if verdict == Verdict::Unknown {
            verdict = port.psp.find(&payment).await;
        }
        let is_late = matches!(&verdict, Verdict::Charge(charge) if charge.state == "pending");
        let state = note(port, id, verdict).await?;
        if state != State::Pending || is_late || Instant::now() >= until {
            return Ok(state);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The worker: goes on with what is open until the process ends.
pub(super) async fn run(port: Payments) {
    loop {
        match step(&port).await {
            Ok(true) => {}
            Ok(false) => drop(timeout(EVERY, port.wake.notified()).await),
            Err(error) => {
                tracing::warn!(error = ?error, "payments wait");
                sleep(REST).await;
            }
        }
    }
}

/// Goes on with one payment and one refund that are due; says whether there were any.
async fn step(port: &Payments) -> Result<bool, Error> {
    let payment = port.db.write(|conn| Ok::<_, Error>(store::take(conn)?)).await?;
    let refund = port
        .db
        .write(|conn| Ok::<_, Error>(store::take_refund(conn)?))
        .await?;
    let found = payment.is_some() || refund.is_some();
    if let Some(payment) = payment {
        resolve(port, payment).await?;
    }
    if let Some(refund) = refund {
        refund::carry_out(port, refund).await?;
    }
    Ok(found)
}

async fn resolve(port: &Payments, payment: Payment) -> Result<(), Error> {
    let id = payment.id;
    if payment.state == State::Voiding {
        return void(port, payment).await;
    }
    if now() >= payment.give_up_at {
        give_up(port, id).await?;
        return void(port, read(port, id).await?).await;
    }
    let verdict = match port.psp.find(&payment).await {
        Verdict::Nothing => port.psp.charge(&payment).await,
        verdict => verdict,
    };
    if note(port, id, verdict).await? == State::Pending {
        port.db
            .write(move |conn| Ok::<_, Error>(store::postpone(conn, &payment)?))
            .await?;
    }
    Ok(())
}

/// From here on the payment can only fail; what the provider may still charge is undone by the void that follows.
async fn give_up(port: &Payments, id: i64) -> Result<(), Error> {
    let payables = Arc::clone(&port.payables);
    port.db
        .write(move |conn| {
            let order = store::find(conn, id)?.ok_or(Error::NoPayment(id))?.order_id;
            payables.lock(conn, order)?;
            if store::lock(conn, id)?.state == State::Pending {
                store::set_state(conn, id, State::Voiding, None)?;
            }
            Ok(())
        })
        .await
}

async fn void(port: &Payments, payment: Payment) -> Result<(), Error> {
    if payment.state != State::Voiding {
        return Ok(());
    }
    let is_void = port.psp.void(&payment).await;
    let payables = Arc::clone(&port.payables);
    port.db
        .write(move |conn| {
            if is_void {
                settle::voided(conn, &*payables, payment.id)
            } else {
                Ok(store::postpone(conn, &payment)?)
            }
        })
        .await
}

/// Takes note of what the provider said.
pub(super) async fn note(port: &Payments, id: i64, verdict: Verdict) -> Result<State, Error> {
    let payables = Arc::clone(&port.payables);
    let state = port
        .db
        .write(move |conn| settle::settle(conn, &*payables, id, &verdict))
        .await?;
    // Money that is not wanted any more goes back at once.
    port.wake.notify_one();
    Ok(state)
}

async fn read(port: &Payments, id: i64) -> Result<Payment, Error> {
    let found = port
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, id)?))
        .await?;
    found.ok_or(Error::NoPayment(id))
}
