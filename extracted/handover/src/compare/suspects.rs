//! The rows of a chunk whose hashes differed: which of them differ for good, and in which columns.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Column, Difference};
use crate::client::{Error, Side};
use crate::row::{Key, Row};
use crate::wire::{Chunk, Detail};

/// How often a row that moves is looked at.
const LOOKS: usize = 10;
/// How long the follower may take to what the holder has.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of the suspects of one chunk.
pub(super) struct Found {
    pub(super) differences: Vec<Difference>,
    pub(super) unsettled: u64,
}

/// The hash of a row on the holder's side and on the follower's; none where it is missing.
type Pair = (Option<String>, Option<String>);

/// Looks at a range until every row in it is equal, or different at rest.
pub(super) async fn judge(
    holder: &Side,
    follower: &Side,
    table: &str,
    after: Option<&Key>,
    through: Option<&Key>,
) -> Result<Found, Error> {
    let mut before = BTreeMap::new();
    for look in 0..LOOKS {
        let (order, pairs) = look_at(holder, follower, table, after, through).await?;
        let at_rest = pairs.iter().all(|(key, pair)| before.get(key) == Some(pair));
        if pairs.is_empty() || (look > 0 && at_rest) {
            let differences = name(holder, follower, table, (after, &order), pairs).await?;
            return Ok(Found {
                differences,
                unsettled: 0,
            });
        }
        before = pairs;
    }
    Ok(Found {
        differences: Vec::new(),
        unsettled: before.len() as u64,
    })
}

/// The rows whose hashes differ after the follower has reached what the holder's answer covers; and the holder's keys, in order.
async fn look_at(
    holder: &Side,
    follower: &Side,
    table: &str,
    after: Option<&Key>,
    through: Option<&Key>,
) -> Result<(Vec<Key>, BTreeMap<String, (Key, Pair)>), Error> {
    let theirs = holder.verify(table, after, through, None, Detail::Hashes).await?;
    if let Some(reached) = theirs.reached {
        follower.status_at(reached, PATIENCE).await?;
    }
    let ours = follower
        .verify(table, after, through, None, Detail::Hashes)
        .await?;
    let order = hashes(&theirs).map(|(key, _)| key).collect();
    let mut pairs: BTreeMap<String, (Key, Pair)> = BTreeMap::new();
    for (key, hash) in hashes(&theirs) {
        pairs.insert(key.text(), (key, (Some(hash), None)));
    }
    for (key, hash) in hashes(&ours) {
        pairs.entry(key.text()).or_insert((key, (None, None))).1.1 = Some(hash);
    }
    pairs.retain(|_, (_, (holder, follower))| holder != follower);
    Ok((order, pairs))
}

fn hashes(chunk: &Chunk) -> impl Iterator<Item = (Key, String)> {
    chunk
        .hashes
        .iter()
        .flatten()
        .map(|row| (row.key.clone(), row.sha256.clone()))
}

/// Names the columns of the rows that differ at rest.
async fn name(
    holder: &Side,
    follower: &Side,
    table: &str,
    (start, order): (Option<&Key>, &[Key]),
    pairs: BTreeMap<String, (Key, Pair)>,
) -> Result<Vec<Difference>, Error> {
    let mut found = Vec::new();
    for (key, (theirs, ours)) in pairs.into_values() {
        let before = order.iter().take_while(|known| **known != key).last().cloned();
        let after = if theirs.is_some() {
            before.or(start.cloned())
        } else {
            start.cloned()
        };
        let missing_at = match (&theirs, &ours) {
            (None, _) => Some(holder.name().to_owned()),
            (_, None) => Some(follower.name().to_owned()),
            _ => None,
        };
        let columns = if missing_at.is_none() {
            let left = one(holder, table, after.as_ref(), &key).await?;
            let right = one(follower, table, after.as_ref(), &key).await?;
            columns(&left, &right)
        } else {
            Vec::new()
        };
        found.push(Difference {
            table: table.to_owned(),
            key,
            after,
            missing_at,
            columns,
        });
    }
    Ok(found)
}

/// One row, by its key: the last of the range that ends with it.
async fn one(side: &Side, table: &str, after: Option<&Key>, key: &Key) -> Result<Row, Error> {
    let chunk = side.verify(table, after, Some(key), None, Detail::Rows).await?;
    Ok(chunk.items.into_iter().flatten().last().unwrap_or_default())
}

fn columns(holder: &Row, follower: &Row) -> Vec<Column> {
    let mut names: Vec<&String> = holder.keys().chain(follower.keys()).collect();
    names.sort();
    names.dedup();
    let column = |name: &String| Column {
        name: name.clone(),
        holder: holder.get(name).cloned(),
        follower: follower.get(name).cloned(),
    };
    names
        .into_iter()
        .filter(|name| holder.get(*name) != follower.get(*name))
        .map(column)
        .collect()
}
