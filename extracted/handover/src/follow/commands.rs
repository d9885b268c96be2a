//! What the protocol can ask of a follower, and of a feed: begin to copy, keep less, show that it could follow.

use chassis::db::Conn;
use diesel::prelude::*;
use diesel::sql_types::Text;
use uuid::Uuid;

use super::record::{self, Follow};
use crate::feed::followers;
use crate::store::Store;
use crate::wire::{Copy, Pen, Phase, Retention, State};
use crate::{Error, Names, pen};

/// How long a command that is no move may wait for open transactions at the holder, and let later ones wait behind it.
pub(super) const WRITERS_WAIT_MS: u64 = 1000;

/// Begins to copy and follow. The first time the module's rows here are removed: they came from elsewhere, with other ids.
pub(crate) fn copy(conn: &mut Conn, names: &Names, store: &dyn Store, command: &Copy) -> Result<Pen, Error> {
    let pen = pen::lock(conn, names)?;
    if pen.holder == pen.side || pen.state != State::Held {
        return Err(Error::lost(&pen, "a copy of the other side's rows"));
    }
    match record::read(conn, names)? {
        Some(follow) if follow.phase == Phase::Sealed => {
            return Err(Error::NotReady(
                "the link has been sealed, which is for good".to_owned(),
            ));
        }
        Some(_) if !command.again => return Ok(pen),
        Some(_) => {}
        None => {
            pen::mark(conn, names)?;
            store.clear(conn)?;
            pen::unmark(conn, names)?;
        }
    }
    let follow = Follow::begin(&pen.holder, Uuid::nil(), pen.epoch, String::new());
    record::put(conn, names, &follow)?;
    Ok(pen)
}

/// Forgets a follower, or begins a new feed.
pub(crate) fn retention(conn: &mut Conn, names: &Names, command: &Retention) -> Result<Pen, Error> {
    pen::lock_within(conn, names, WRITERS_WAIT_MS)?;
    if let Some(side) = &command.forget {
        followers::forget(conn, names, side)?;
    }
    if command.new_feed {
        for follower in followers::all(conn, names)? {
            followers::forget(conn, names, &follower.side)?;
        }
        diesel::sql_query(format!("UPDATE {} SET feed = $1", names.pen))
            .bind::<Text, _>(Uuid::new_v4().to_string())
            .execute(conn)?;
    }
    pen::read(conn, names)?.ok_or(Error::Module)
}

/// Tries, and takes back, what this side does when it follows: writes rows under the mark, one of each table. So a side that could
/// not follow says so before anything depends on it.
pub(crate) fn rehearse(conn: &mut Conn, names: &Names, store: &dyn Store) -> Result<(), Error> {
    pen::mark(conn, names)?;
    for table in store.tables() {
        let range = crate::store::Range::default();
        let rows = store.page(conn, table, &range, 1)?;
        store
            .put(conn, table, &rows)
            .map_err(|error| cannot(table.name, &error))?;
    }
    let numbers = store.sequences(conn)?;
    store
        .raise_sequences(conn, &numbers)
        .map_err(|error| cannot("the sequences", &error))?;
    pen::unmark(conn, names)?;
    Ok(())
}

fn cannot(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let told = chassis::error::chain(error);
    Error::NotReady(format!("this side cannot follow: {what}: {told}"))
}
