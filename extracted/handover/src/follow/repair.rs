//! Replacing a range of a follower's rows by the holder's, when verification has found a difference.

use std::sync::Arc;

use super::apply;
use crate::link::Link;
use crate::store::Range;
use crate::wire::{Pen, Phase, Repair};
use crate::{Error, feed, pen};

/// Asks the holder for the range, chunk by chunk, and puts it in the place of what is here.
pub(crate) async fn repair(link: &Arc<Link>, command: Repair) -> Result<Pen, Error> {
    feed::table(&*link.store, &command.table)?;
    let mut after = command.after.clone();
    loop {
        // One page of the feed between two chunks, and not in the middle of one.
        let _turn = link.turn.lock().await;
        let (pen, before) = link.both().await?;
        let Some(before) = before.filter(|follow| follow.phase == Phase::Following) else {
            return Err(Error::lost(&pen, "a repair of a side that follows"));
        };
        let mut chunk = link.peer.snapshot(&command.table, after.as_ref(), 1000).await?;
        let table = feed::table(&*link.store, &command.table)?;
        let ends = within(table, &command, &mut chunk);
        let (names, store, from) = (Arc::clone(&link.names), Arc::clone(&link.store), after.clone());
        let (name, through) = (command.table.clone(), chunk.through.clone());
        let work = move |conn: &mut _| {
            apply::as_follower(conn, &names, &before, &before, |conn| {
                let table = feed::table(&*store, &name)?;
                let range = Range {
                    after: from.clone(),
                    through: chunk.through.clone(),
                };
                apply::replace(conn, &*store, table, range, &chunk.rows)
            })
        };
        // The cursor has moved all the same (a copy of the process, say): what was asked is thrown away and asked again.
        if !link.db.write(work).await? {
            continue;
        }
        if ends {
            let names = Arc::clone(&link.names);
            return link
                .db
                .read(move |conn| pen::read(conn, &names)?.ok_or(Error::Module))
                .await;
        }
        after = through;
    }
}

/// Cuts a chunk at the end of the range that is to be repaired. Says whether that end is reached.
fn within(table: &crate::table::Table, command: &Repair, chunk: &mut crate::wire::Snapshot) -> bool {
    let Some(through) = &command.through else {
        return chunk.through.is_none();
    };
    let beyond = |key: &crate::row::Key| table.compare(key, through).is_gt();
    if chunk
        .through
        .as_ref()
        .is_some_and(|last| table.compare(last, through).is_lt())
    {
        return false;
    }
    chunk
        .rows
        .retain(|row| table.key_of(row).is_some_and(|key| !beyond(&key)));
    chunk.through = Some(through.clone());
    true
}
