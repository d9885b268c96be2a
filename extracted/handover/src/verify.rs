//! What a range of rows holds, by hash: a side's half of a verification. Whoever compares the two halves is in `compare`.

use chassis::db::Conn;
use sha2::{Digest, Sha256};

use crate::row::{canonical, row_hash};
use crate::store::{Range, Store};
use crate::wire::{Chunk, Detail, RowHash};
use crate::{Error, Names, feed, pen};

/// Rows that one answer may list or count without saying where it ends.
const MOST: usize = 10_000;
/// Rows read at once.
const AT_ONCE: usize = 1000;

/// The hash of a range: up to its end, or where `limit` rows end. Must run in one state.
pub(crate) fn chunk(
    conn: &mut Conn,
    names: &Names,
    store: &dyn Store,
    name: &str,
    range: &Range,
    limit: Option<usize>,
    detail: Detail,
) -> Result<Chunk, Error> {
    let pen = pen::read(conn, names)?.ok_or(Error::Module)?;
    let table = feed::table(store, name)?;
    let most = limit.unwrap_or(MOST).min(MOST);
    let (mut hash, mut count, mut here) = (Sha256::new(), 0, range.clone());
    let (mut hashes, mut items, mut last) = (Vec::new(), Vec::new(), None);
    while count < most {
        let at_once = AT_ONCE.min(most - count);
        let rows = store.page(conn, table, &here, at_once)?;
        let is_end = rows.len() < at_once;
        for row in rows {
            hash.update(canonical(&row));
            hash.update(b"\n");
            count += 1;
            last = table.key_of(&row);
            match (detail, &last) {
                (Detail::Hashes, Some(key)) => hashes.push(RowHash {
                    key: key.clone(),
                    sha256: row_hash(&row),
                }),
                (Detail::Rows, _) => items.push(row),
                _ => {}
            }
        }
        if is_end {
            last = range.through.clone();
            break;
        }
        here.after.clone_from(&last);
    }
    if count == MOST && limit.is_none() && last != range.through {
        return Err(Error::Malformed(format!(
            "the range holds more than {MOST} rows; ask with `limit`"
        )));
    }
    Ok(Chunk {
        table: name.to_owned(),
        after: range.after.clone(),
        through: last,
        rows: count as u64,
        sha256: hex::encode(hash.finalize()),
        reached: feed::covered(conn, names, &pen)?,
        hashes: (detail == Detail::Hashes).then_some(hashes),
        items: (detail == Detail::Rows).then_some(items),
    })
}
