//! The end of a link: first at the holder, which begins no pass any more; then at the follower.

use anyhow::ensure;
use handover::wire::{Abort, Phase, Seal};
use uuid::Uuid;

use crate::moves::{fence, pass};
use crate::sides::Pair;

/// The holder's word ends the way back, the follower's only follows from it; neither can come in the middle of a pass.
pub(crate) fn ends_the_link(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (id, sku) VALUES (1, 'A')")?;
    pair.follow()?;
    let (monolith, service) = (&pair.monolith.side, &pair.service.side);
    let epoch = pair.ask(monolith.status())?.pen.epoch;
    // The follower first: with a pass right behind, the pen would be granted to a side that takes nothing any more.
    let early = pair.runtime.block_on(service.seal(&Seal { epoch }));
    ensure!(
        early.as_ref().is_err_and(|error| error.is("not-ready")),
        "{early:?}"
    );
    ensure!(pair.phase()? == Some(Phase::Following), "{:?}", pair.phase()?);
    // During a pass: nowhere.
    let id = Uuid::new_v4();
    pair.ask(monolith.fence(&fence(id, epoch, "things", 20_000)))?;
    let held = pair.runtime.block_on(monolith.seal(&Seal { epoch }));
    ensure!(held.as_ref().is_err_and(|error| error.is("lost")), "{held:?}");
    let early = pair.runtime.block_on(service.seal(&Seal { epoch }));
    ensure!(
        early.as_ref().is_err_and(|error| error.is("not-ready")),
        "{early:?}"
    );
    let epoch = pair.ask(monolith.abort(&Abort { pass: id, epoch }))?.epoch;
    // Of another epoch: nowhere.
    let old = pair.runtime.block_on(monolith.seal(&Seal { epoch: epoch - 1 }));
    ensure!(old.as_ref().is_err_and(|error| error.is("lost")), "{old:?}");
    // In order.
    pair.ask(monolith.seal(&Seal { epoch }))?;
    let fenced = pair
        .runtime
        .block_on(monolith.fence(&fence(Uuid::new_v4(), epoch, "things", 20_000)));
    ensure!(
        fenced.as_ref().is_err_and(|error| error.is("not-ready")),
        "{fenced:?}"
    );
    // The follower's pen has the epoch of when it began.
    let epoch = pair.ask(monolith.status())?.pen.epoch;
    pair.ask(service.seal(&Seal { epoch }))?;
    pair.ask(service.seal(&Seal { epoch }))?;
    ensure!(pair.phase()? == Some(Phase::Sealed), "{:?}", pair.phase()?);
    let copy = pair.copy(true);
    ensure!(copy.is_err(), "a sealed link copied again");
    pair.monolith.write(pair, "UPDATE things SET note = 'goes on'")?;
    Ok(())
}

/// Broken off between the two, the link can be taken up again by a copy; then it is as if nobody had begun to seal.
pub(crate) fn broken_off(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (id, sku) VALUES (1, 'A')")?;
    pair.follow()?;
    let (monolith, service) = (&pair.monolith.side, &pair.service.side);
    let epoch = pair.ask(monolith.status())?.pen.epoch;
    pair.ask(monolith.seal(&Seal { epoch }))?;
    pair.copy(true)?;
    pair.until("the service follows", || {
        Ok((pair.phase()? == Some(Phase::Following)).then_some(()))
    })?;
    let late = pair.runtime.block_on(service.seal(&Seal { epoch }));
    ensure!(
        late.as_ref().is_err_and(|error| error.is("not-ready")),
        "{late:?}"
    );
    pass(pair, monolith, service)?;
    pair.until_equal()
}
