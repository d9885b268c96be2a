//! The two moves after a grant: the follower becomes the holder, and the old holder follows. Both are checked against what
//! this database has, in the transaction that makes them true.

use std::collections::BTreeMap;

use chassis::db::Conn;

use super::{Pen, lock, set};
use crate::feed::{self, followers};
use crate::follow::record::{self, Follow};
use crate::store::Store;
use crate::wire::{Phase, State};
use crate::{Error, Names};

/// The follower becomes the holder, if it has everything up to the receipt's position.
pub(crate) fn accept(
    conn: &mut Conn,
    names: &Names,
    store: &dyn Store,
    peer: &str,
    receipt: &Pen,
) -> Result<Pen, Error> {
    let mut pen = lock(conn, names)?;
    if receipt.state != State::Granted || receipt.holder != pen.side {
        return Err(Error::Proof(
            "the receipt is not that of a pen granted to this side".to_owned(),
        ));
    }
    if pen.epoch == receipt.epoch {
        return Ok(pen);
    }
    if pen.epoch > receipt.epoch || pen.holder == pen.side || pen.state != State::Held {
        return Err(Error::lost(
            &pen,
            &format!("an acceptance of epoch {}", receipt.epoch),
        ));
    }
    let follow = record::read(conn, names)?;
    if !follow.is_some_and(|follow| has_everything(&follow, receipt)) {
        let told = "this side has not applied everything up to the receipt's position; it goes on, ask again";
        return Err(Error::Proof(told.to_owned()));
    }
    store.raise_sequences(conn, &numbers(receipt)?)?;
    let start = feed::present_cursor(conn, names, pen.feed)?;
    record::delete(conn, names)?;
    followers::register(conn, names, peer, &start)?;
    pen.holder.clone_from(&pen.side);
    pen.state = State::Held;
    pen.epoch = receipt.epoch;
    pen.pass = receipt.pass;
    pen.position = None;
    pen.feed_start = Some(start);
    pen.expires_at = None;
    pen.sequences = None;
    set(conn, names, &pen)
}

/// Whether a follower stands at the end of the feed that the receipt speaks of.
pub(crate) fn has_everything(follow: &Follow, receipt: &Pen) -> bool {
    follow.feed == receipt.feed
        && follow.phase == Phase::Following
        && receipt.position.is_some()
        && follow.reached >= receipt.position
}

fn numbers(receipt: &Pen) -> Result<BTreeMap<String, i64>, Error> {
    let number = |(name, last): (&String, &String)| {
        let last = last
            .parse()
            .map_err(|_| Error::Malformed(format!("`sequences.{name}` is no number")))?;
        Ok((name.clone(), last))
    };
    receipt.sequences.iter().flatten().map(number).collect()
}

/// The old holder follows the new one's feed from where that began: at the end of the old feed both had the same rows.
pub(crate) fn turn(conn: &mut Conn, names: &Names, receipt: &Pen) -> Result<Pen, Error> {
    let mut pen = lock(conn, names)?;
    if pen.state == State::Held && pen.holder == receipt.side && pen.epoch == receipt.epoch {
        return Ok(pen);
    }
    let is_its = receipt.state != State::Granted
        && receipt.side == pen.holder
        && receipt.holder == pen.holder
        && receipt.epoch == pen.epoch;
    if pen.state != State::Granted || !is_its {
        return Err(Error::lost(&pen, &format!("a turn in epoch {}", receipt.epoch)));
    }
    let Some(start) = receipt.feed_start.clone() else {
        return Err(Error::Proof(
            "the receipt does not say where the new feed begins".to_owned(),
        ));
    };
    let follow = Follow {
        phase: Phase::Following,
        reached: pen.position,
        ..Follow::begin(&receipt.side, receipt.feed, receipt.epoch, start)
    };
    record::put(conn, names, &follow)?;
    pen.state = State::Held;
    pen.position = None;
    pen.sequences = None;
    pen.feed_start = None;
    set(conn, names, &pen)
}
