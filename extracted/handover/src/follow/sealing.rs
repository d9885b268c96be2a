//! The end of a link, for good: the holder forgets its follower, and then the follower stands still (decision 31).
//!
//! The holder comes first. Its word is given under the pen's lock and there is no fence without a follower, so from there on no
//! pass can begin. A follower that was sealed first could be granted a pen that it takes no more.

use std::sync::Arc;

use chassis::db::Conn;

use super::apply;
use super::commands::WRITERS_WAIT_MS;
use super::record::Follow;
use crate::feed::followers;
use crate::link::Link;
use crate::wire::{Pen, Phase, Seal, State};
use crate::{Error, Names, pen};

/// How often the follower looks again because an answer that was under way has moved its cursor.
const TRIES: u32 = 10;

/// Ends the link on this side.
pub(crate) async fn seal(link: &Link, command: Seal) -> Result<Pen, Error> {
    if link.both().await?.0.holder == link.side {
        let (names, peer) = (Arc::clone(&link.names), link.peer.name().to_owned());
        let work = move |conn: &mut _| forget(conn, &names, &peer, &command);
        return link.db.write(work).await;
    }
    for _ in 0..TRIES {
        let (pen, follow) = link.both().await?;
        if pen.holder == pen.side || pen.state != State::Held {
            return Err(Error::lost(&pen, "a seal of a follower"));
        }
        let follow = follow.ok_or_else(|| Error::NotReady("this side follows nobody".to_owned()))?;
        if follow.phase == Phase::Sealed {
            return Ok(pen);
        }
        // While the first cursor is asked for, the holder notes this side as a follower once more.
        if follow.cursor.is_empty() {
            return Err(Error::NotReady("this side begins a copy".to_owned()));
        }
        is_forgotten(link, &command).await?;
        let names = Arc::clone(&link.names);
        let work = move |conn: &mut _| stand_still(conn, &names, &follow);
        if link.db.write(work).await? {
            return Ok(link.both().await?.0);
        }
    }
    Err(Error::NotReady(
        "this side still applies what it had asked for; ask again".to_owned(),
    ))
}

/// The holder keeps nothing for its follower any more, and fences for nobody.
fn forget(conn: &mut Conn, names: &Names, peer: &str, command: &Seal) -> Result<Pen, Error> {
    let pen = pen::lock_within(conn, names, WRITERS_WAIT_MS)?;
    if !pen.is_here() || pen.epoch != command.epoch {
        return Err(Error::lost(&pen, &format!("a seal in epoch {}", command.epoch)));
    }
    followers::forget(conn, names, peer)?;
    Ok(pen)
}

/// Whether the holder has sealed: it holds in that epoch, and this side is not among its followers.
async fn is_forgotten(link: &Link, command: &Seal) -> Result<(), Error> {
    let theirs = link.peer.status().await?;
    let told = |why: String| Err(Error::NotReady(format!("the holder comes first: {why}")));
    if !theirs.pen.is_here() || theirs.pen.epoch != command.epoch {
        return told(format!(
            "`{}` does not hold the pen in epoch {}",
            theirs.side, command.epoch
        ));
    }
    if theirs.feed.followers.iter().any(|known| known.side == link.side) {
        return told(format!("`{}` still keeps its feed for this side", theirs.side));
    }
    Ok(())
}

/// The follower applies nothing any more, if nothing has moved since `before` was read.
fn stand_still(conn: &mut Conn, names: &Names, before: &Follow) -> Result<bool, Error> {
    let sealed = Follow {
        phase: Phase::Sealed,
        ..before.clone()
    };
    apply::as_follower(conn, names, before, &sealed, |_| Ok(()))
}
