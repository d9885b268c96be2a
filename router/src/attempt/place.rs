//! Which address of an upstream a request goes to, and where it goes if that one fails.
//!
//! For [`super::once`] and [`crate::upgrade`]. A request that was never sent, since there was no connection, may go to another
//! address once, whatever it asks for. A safe one without a body may also if the address broke off, or if it was the one to
//! find out whether the address is well again: so an address that dies, and one that stays dead, costs such requests no
//! error. Each of these is paid for from the budget of second attempts and keeps to the client's limit. All else that an
//! address does wrong is passed on, as it would be from an upstream with one address.

use std::time::{Duration, Instant};

use crate::balance::{Asking, Change, Place};
use crate::events::Kind;
use crate::forward::ask::Answer;
use crate::forward::pool::Flight;
use crate::forward::{Caution, Failure};
use crate::plan::Plan;
use crate::table::is_safe;
use crate::worker::Worker;

/// Chooses the address that the plan's upstream is asked at. There is a flight if there was a choice.
pub(crate) fn choose(
    worker: &Worker,
    plan: &mut Plan,
    caution: Caution,
    avoid: Option<usize>,
) -> Option<Flight> {
    if !plan.upstream().has_several() {
        // The upstream that was asked before may have had more.
        plan.place = Place::default();
        return None;
    }
    let (places, addresses) = (
        plan.snapshot.places(plan.decision.upstream),
        &plan.upstream().addresses,
    );
    let asking = Asking {
        is_repeatable: is_repeatable(plan, caution),
        avoid,
    };
    let in_flight = |index: usize| worker.forwarder.in_flight(&addresses[index]);
    let place = places.choose(asking, &plan.snapshot.config.ejection, in_flight);
    plan.place = place.unwrap_or(plan.place);
    Some(worker.forwarder.fly(plan.address()))
}

/// How long to wait for the address. One that is only being tried must leave time to ask another.
pub(crate) fn patience(plan: &Plan, caution: Caution, limit: Duration) -> Duration {
    match plan.place.is_probe && is_repeatable(plan, caution) {
        true => plan.snapshot.config.fallback.attempt_timeout.min(limit / 2),
        false => limit,
    }
}

/// Whether another address is asked after this outcome. The budget has paid for it then, the address is noted to have
/// failed, and the plan says so.
pub(crate) fn moves_on(
    worker: &Worker,
    plan: &mut Plan,
    outcome: &Result<Answer, Failure>,
    caution: Caution,
    (began, limit): (Instant, Duration),
) -> bool {
    if !plan.upstream().has_several() {
        return false;
    }
    let may_repeat = is_repeatable(plan, caution);
    let may_try = may_repeat && plan.place.is_probe;
    let why = match outcome {
        Err(Failure::Connect { unsent: Some(_), .. }) => "unreachable",
        Err(Failure::Broken { .. }) if may_repeat => "broken",
        Err(Failure::Timeout(_)) if may_try => "timeout",
        Ok(answer) if may_try && answer.status.is_server_error() => "server-error",
        _ => return false,
    };
    let settings = &plan.snapshot.config.fallback;
    if !plan
        .snapshot
        .places(plan.decision.upstream)
        .has_other(plan.place.index)
    {
        return false;
    }
    if began.elapsed() >= limit || !worker.budget.spend(settings, &worker.clock) {
        return false;
    }
    note(worker, plan, false);
    plan.go_elsewhere(why);
    true
}

/// Takes note of how the address did, if it is one of several. Whether a failure is for the upstream's circuit to count.
pub(crate) fn note(worker: &Worker, plan: &Plan, is_well: bool) -> bool {
    if !plan.upstream().has_several() {
        return true;
    }
    let places = plan.snapshot.places(plan.decision.upstream);
    let (change, counts) = match is_well {
        true => (places.succeeded(plan.place), true),
        false => places.failed(plan.place, &plan.snapshot.config.ejection),
    };
    let (upstream, address) = (plan.upstream().name.as_str(), &plan.address().authority);
    match change {
        Change::None => {}
        Change::Ejected(millis) => {
            let pause = Duration::from_millis(millis);
            tracing::warn!(
                upstream,
                address,
                ?pause,
                "address left alone: it failed several times in a row"
            );
            let told = format!("{upstream}: {address} is left alone for {pause:?}, it keeps failing");
            super::tell(worker, upstream, Kind::AddressEjected, told);
        }
        Change::Returned => {
            tracing::info!(upstream, address, "address in use: it answers again");
            let told = format!("{upstream}: {address} is in use again, it answers");
            super::tell(worker, upstream, Kind::AddressReturned, told);
        }
    }
    counts
}

/// Whether it does no harm if two addresses are asked.
fn is_repeatable(plan: &Plan, caution: Caution) -> bool {
    caution == Caution::Repeatable && is_safe(plan.client.method.as_str())
}
