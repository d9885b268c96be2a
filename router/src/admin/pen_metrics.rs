//! The numbers of the modules that are handed over, for `/metrics`.
//!
//! For [`super::metrics`]. Labels are a module's name, a side and a reason: as many as the config has modules.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::metrics::{counters, gauges};
use crate::report::pen::PenStatus;
use crate::snapshot::Snapshot;

/// Who holds each pen, how far behind the other side is, and what has become of writes.
pub(super) fn encode_pens(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let pens: Vec<PenStatus> = snapshot.pens().map(|pen| PenStatus::of(pen)).collect();
    if pens.is_empty() {
        return Ok(());
    }
    let module = |pen: &'_ PenStatus| pen.module.clone();
    let names: Vec<String> = pens.iter().map(module).collect();
    let named = || names.iter().map(String::as_str).zip(&pens);
    let bit = |is_so: bool| f64::from(u8::from(is_so));
    let holders = named().flat_map(|(name, pen)| {
        let holds = |side: &'static str| ([("module", name), ("side", side)], bit(pen.holder == Some(side)));
        [holds("monolith"), holds("service")]
    });
    let help = "1 for the side that accepts a module's writes, by the highest epoch seen";
    gauges(encoder, "pen_holder", help, holders)?;
    let epochs = named().map(|(name, pen)| ([("module", name)], pen.epoch as f64));
    gauges(encoder, "pen_epoch", "How often a module's pen has moved", epochs)?;
    let follows = named().map(|(name, pen)| ([("module", name)], bit(pen.follows)));
    let help = "1 while the side that does not hold the pen follows the other closely";
    gauges(encoder, "pen_followed", help, follows)?;
    let lags = named().filter_map(|(name, pen)| Some(([("module", name)], pen.lag_seconds()?)));
    let help = "Seconds since the follower last was at the end of the feed, as it says itself";
    gauges(encoder, "pen_lag_seconds", help, lags)?;
    let held = named().map(|(name, pen)| ([("module", name)], bit(pen.held)));
    gauges(encoder, "writes_held", "1 while a module's writes wait", held)?;
    let waiting = named().map(|(name, pen)| ([("module", name)], pen.waiting as f64));
    gauges(encoder, "writes_waiting", "Writes that wait for the pen", waiting)?;
    encode_writes(encoder, snapshot)
}

fn encode_writes(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let pens = || snapshot.pens().map(|pen| (pen.module.as_str(), &pen.counts));
    let waited = pens().map(|(name, counts)| ([("module", name)], counts.waited_and_replayed().0));
    counters(
        encoder,
        "writes_waited",
        "Writes that have waited for the pen",
        waited,
    )?;
    let replayed = pens().map(|(name, counts)| ([("module", name)], counts.waited_and_replayed().1));
    let help = "Writes that were refused by one side and sent once more";
    counters(encoder, "writes_replayed", help, replayed)?;
    let turned_away = pens().flat_map(|(name, counts)| {
        let reasons = counts.all_turned_away().into_iter();
        reasons.map(move |(reason, count)| ([("module", name), ("reason", reason)], count))
    });
    let help = "Writes that were answered 503 because of the pen, with which nothing has happened";
    counters(encoder, "writes_turned_away", help, turned_away)
}
