//! What a holder does with its pen: fence it, grant it, or take the fence back. Grant and abort compete for the same row in the
//! same state, so exactly one of them happens.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chassis::db::{self, Conn};
use chrono::Utc;
use diesel::prelude::*;
use diesel::result::Error as Diesel;
use diesel::sql_types::Text;

use super::{Pen, end_of_feed, lock, set};
use crate::feed::followers;
use crate::store::Store;
use crate::wire::{Abort, Fence, Grant, Position, State};
use crate::{Error, Names};

/// held → fenced: waits until every transaction that wrote to the module has ended, then lets nobody write.
pub(crate) fn fence(
    conn: &mut Conn,
    names: &Names,
    store: &dyn Store,
    command: &Fence,
    asked: Instant,
) -> Result<Pen, Error> {
    let mut pen = lock_within(conn, names, command.wait_ms)?;
    if pen.pass == Some(command.pass) {
        return Ok(pen);
    }
    if !pen.is_here() || pen.epoch != command.epoch {
        return Err(Error::lost(&pen, &format!("a fence in epoch {}", command.epoch)));
    }
    if !followers::is_known(conn, names, &command.to)? {
        return Err(Error::NotReady(format!(
            "`{}` does not follow this feed",
            command.to
        )));
    }
    // On SQLite the wait was that for the write transaction itself.
    if asked.elapsed() > Duration::from_millis(command.wait_ms) && matches!(conn, Conn::Sqlite(_)) {
        return Err(Error::Writers(command.wait_ms));
    }
    let numbers = store.sequences(conn)?;
    pen.state = State::Fenced;
    pen.pass = Some(command.pass);
    pen.position = Some(Position {
        epoch: pen.epoch,
        number: end_of_feed(conn, names)?,
    });
    pen.expires_at = Some(Utc::now() + Duration::from_millis(command.expires_ms));
    pen.sequences = Some(
        numbers
            .into_iter()
            .map(|(name, last)| (name, last.to_string()))
            .collect::<BTreeMap<_, _>>(),
    );
    set(conn, names, &pen)
}

/// Locks the pen, if every transaction that writes under it ends within `wait_ms`.
pub(crate) fn lock_within(conn: &mut Conn, names: &Names, wait_ms: u64) -> Result<Pen, Error> {
    if let Conn::Postgres(postgres) = conn {
        let settings =
            "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', '0', true)";
        diesel::sql_query(settings)
            .bind::<Text, _>(format!("{wait_ms}ms"))
            .execute(postgres)?;
    }
    lock(conn, names).map_err(|error| match error {
        Error::Database(db::Error::Query(Diesel::DatabaseError(_, info)))
            if info.message().contains("lock timeout") =>
        {
            Error::Writers(wait_ms)
        }
        error => error,
    })
}

/// fenced → granted: the point of no return of a pass.
pub(crate) fn grant(conn: &mut Conn, names: &Names, peer: &str, command: &Grant) -> Result<Pen, Error> {
    let mut pen = lock(conn, names)?;
    if pen.pass == Some(command.pass) && pen.epoch == command.epoch + 1 {
        return Ok(pen);
    }
    if pen.state != State::Fenced || pen.pass != Some(command.pass) || pen.epoch != command.epoch {
        return Err(Error::lost(&pen, &format!("a grant in epoch {}", command.epoch)));
    }
    let proof = &command.proof;
    if proof.side != peer || proof.feed != pen.feed {
        return Err(Error::Proof(format!(
            "the proof is not of `{peer}` and this feed ({})",
            pen.feed
        )));
    }
    if proof.reached < pen.position {
        let reached = proof
            .reached
            .map_or_else(|| "nothing".to_owned(), |reached| reached.to_string());
        return Err(Error::Proof(format!(
            "`{peer}` has reached {reached} and not the end of the feed"
        )));
    }
    pen.state = State::Granted;
    pen.holder = peer.to_owned();
    pen.epoch += 1;
    pen.expires_at = None;
    set(conn, names, &pen)
}

/// fenced → held: the same side goes on, two epochs later, so that no late command of the pass finds its epoch again.
pub(crate) fn abort(conn: &mut Conn, names: &Names, command: &Abort) -> Result<Pen, Error> {
    let mut pen = lock(conn, names)?;
    if pen.pass == Some(command.pass) && pen.epoch == command.epoch + 2 && pen.is_here() {
        return Ok(pen);
    }
    if pen.state != State::Fenced || pen.pass != Some(command.pass) || pen.epoch != command.epoch {
        return Err(Error::lost(&pen, &format!("an abort in epoch {}", command.epoch)));
    }
    pen.state = State::Held;
    pen.epoch += 2;
    pen.position = None;
    pen.expires_at = None;
    pen.sequences = None;
    set(conn, names, &pen)
}
