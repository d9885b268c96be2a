//! The rows of a chunk whose hashes differed: which of them differ for good, and in which columns.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Column, Difference, Unsettled};
use crate::client::{Error, Side};
use crate::row::{Key, Row};
use crate::wire::{Chunk, Detail};

/// How often a row that moves is looked at.
const LOOKS: u32 = 20;
/// How long the follower may take to what the holder has. In vain, the looks that follow will tell.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many rows of a chunk are looked at one by one; more are looked at together first.
const FEW: usize = 50;
/// So many of those are looked at beside each other. Each takes a connection of a side's pool (of 8, unless it is set), which serves its
/// clients too.
const BESIDE: usize = 3;

/// What became of the suspects of one chunk.
pub(super) struct Found {
    pub(super) differences: Vec<Difference>,
    pub(super) unsettled: Vec<Unsettled>,
}

/// The hash of a row on the holder's side and on the follower's; none where it is missing.
type Pair = (Option<String>, Option<String>);

/// The rows of a range whose hashes differ, by the text of their keys.
type Suspects = BTreeMap<String, (Key, Pair)>;

/// Two sides and the table that is looked at.
#[derive(Clone, Copy)]
pub(super) struct Looked<'s> {
    pub(super) holder: &'s Side,
    pub(super) follower: &'s Side,
    pub(super) table: &'s str,
}

/// What is to be said of one row.
enum Verdict {
    Equal,
    Differs(Pair),
    Moves,
}

/// Looks at a range until every row in it is equal, or different at rest, or has moved too often.
pub(super) async fn judge(
    looked: Looked<'_>,
    after: Option<&Key>,
    through: Option<&Key>,
) -> Result<Found, Error> {
    let (mut order, mut suspects) = look_at(looked, after, through).await?;
    let mut at_rest: Vec<(Key, Pair)> = Vec::new();
    if suspects.len() > FEW {
        // Hundreds that differ are not late twice: those that have not moved meanwhile are settled together.
        let (now, again) = look_at(looked, after, through).await?;
        let (settled, left): (Suspects, Suspects) = again
            .into_iter()
            .partition(|(key, seen)| suspects.get(key) == Some(seen));
        at_rest.extend(settled.into_values());
        (order, suspects) = (now, left);
    }
    let looks = suspects.into_values().map(|(key, pair)| {
        let before = before(&order, after, &key);
        async move {
            let verdict = one_by_one(looked, before.as_ref(), &key, pair).await?;
            Ok::<_, Error>((key, before, verdict))
        }
    });
    // Those that never rest would else keep each other waiting, twenty looks each.
    let mut judged = stream::iter(looks).buffered(BESIDE);
    let mut unsettled = Vec::new();
    while let Some((key, before, verdict)) = judged.try_next().await? {
        match verdict {
            Verdict::Equal => {}
            Verdict::Differs(pair) => at_rest.push((key, pair)),
            Verdict::Moves => unsettled.push(Unsettled {
                table: looked.table.to_owned(),
                key,
                after: before,
            }),
        }
    }
    let mut differences = Vec::new();
    for (key, pair) in at_rest {
        differences.push(name(looked, before(&order, after, &key), key, pair).await?);
    }
    Ok(Found {
        differences,
        unsettled,
    })
}

/// Looks at one row alone: what is busy in a chunk of a thousand is at rest most of the time.
async fn one_by_one(
    looked: Looked<'_>,
    after: Option<&Key>,
    key: &Key,
    mut before: Pair,
) -> Result<Verdict, Error> {
    for look in 0..LOOKS {
        let (_, mut suspects) = look_at(looked, after, Some(key)).await?;
        let Some((_, now)) = suspects.remove(&key.text()) else {
            return Ok(Verdict::Equal);
        };
        if now == before {
            return Ok(Verdict::Differs(now));
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(u64::from(look) * 5)).await;
    }
    Ok(Verdict::Moves)
}

/// The holder's key before this one, with which a range begins that holds it alone.
fn before(order: &[Key], start: Option<&Key>, key: &Key) -> Option<Key> {
    let at = order.iter().position(|known| known == key);
    let previous = at.and_then(|at| at.checked_sub(1)).and_then(|at| order.get(at));
    previous.or(start).cloned()
}

/// The rows whose hashes differ after the follower has reached what the holder's answer covers; and the holder's keys, in order.
async fn look_at(
    looked: Looked<'_>,
    after: Option<&Key>,
    through: Option<&Key>,
) -> Result<(Vec<Key>, Suspects), Error> {
    let Looked {
        holder,
        follower,
        table,
    } = looked;
    let theirs = holder.verify(table, after, through, None, Detail::Hashes).await?;
    follower.status_now(PATIENCE).await?;
    let ours = follower
        .verify(table, after, through, None, Detail::Hashes)
        .await?;
    let order = hashes(&theirs).map(|(key, _)| key).collect();
    let mut pairs = Suspects::new();
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

/// Names the columns of a row that differs at rest.
async fn name(
    looked: Looked<'_>,
    after: Option<Key>,
    key: Key,
    (theirs, ours): Pair,
) -> Result<Difference, Error> {
    let Looked {
        holder,
        follower,
        table,
    } = looked;
    let missing_at = match (&theirs, &ours) {
        (None, _) => Some(holder.name().to_owned()),
        (_, None) => Some(follower.name().to_owned()),
        _ => None,
    };
    let columns = match missing_at {
        Some(_) => Vec::new(),
        None => {
            let left = one(holder, table, after.as_ref(), &key).await?;
            let right = one(follower, table, after.as_ref(), &key).await?;
            columns(&left, &right)
        }
    };
    Ok(Difference {
        table: table.to_owned(),
        key,
        after,
        missing_at,
        columns,
    })
}

/// One row, by its key: the last of the range that ends with it.
async fn one(side: &Side, table: &str, after: Option<&Key>, key: &Key) -> Result<Row, Error> {
    let chunk = side.verify(table, after, Some(key), None, Detail::Rows).await?;
    Ok(chunk.items.into_iter().flatten().last().unwrap_or_default())
}

fn columns(holder: &Row, follower: &Row) -> Vec<Column> {
    let both = holder.iter().chain(follower.iter());
    let mut names: Vec<&str> = both.map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let column = |name: &str| Column {
        name: name.to_owned(),
        holder: holder.get(name).cloned(),
        follower: follower.get(name).cloned(),
    };
    names
        .into_iter()
        .filter(|name| holder.get(name) != follower.get(name))
        .map(column)
        .collect()
}
