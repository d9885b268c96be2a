//! What changes nothing: status, the feed, rows, hashes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::{self, Json, Query};
use chrono::Utc;
use serde::Deserialize;

use super::Asked;
use crate::feed::{self, Cursor, followers};
use crate::follow::record::{self, Follow};
use crate::link::Link;
use crate::row::Key;
use crate::store::Range;
use crate::wire::{
    Changes, Chunk, Copied, Detail, FeedStatus, FollowStatus, Pen, Phase, Position, Ready, Snapshot, State,
    Status, VERSION,
};
use crate::{Error, pen, verify};

/// What an answer holds if the question does not say.
const LIMIT: usize = 500;
/// What it holds at the most.
const MOST: usize = 1000;
/// How often the database is looked at for changes of other processes, while a request waits.
const LOOK_EVERY: Duration = Duration::from_millis(40);

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/status", web::get().to(status))
        .route("/changes", web::get().to(changes))
        .route("/snapshot", web::get().to(snapshot))
        .route("/verify", web::get().to(verify_range));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusQuery {
    reached: Option<String>,
    current: Option<bool>,
    wait: Option<u64>,
}

async fn status(Asked(link): Asked, Query(query): Query<StatusQuery>) -> Result<Json<Status>, Error> {
    if let Some(reached) = query.reached {
        let position: Position = reached
            .parse()
            .map_err(|error| Error::Malformed(format!("`reached`: {error}")))?;
        link.wait_for(position, wait(query.wait)?).await;
    }
    let current = match query.current {
        Some(true) => Some(link.refresh(wait(query.wait)?).await),
        _ => None,
    };
    let told = Arc::clone(&link);
    let read = move |conn: &mut _| feed::in_one_state(conn, |conn| describe(conn, &told));
    let mut status: Status = link.db.read(read).await?;
    if let Some(follow) = &mut status.follow {
        follow.current = current;
    }
    Ok(Json(status))
}

fn describe(conn: &mut chassis::db::Conn, link: &Link) -> Result<Status, Error> {
    let names = &link.names;
    let pen = pen::read(conn, names)?.ok_or(Error::Module)?;
    let head = Position {
        epoch: pen.epoch,
        number: pen::end_of_feed(conn, names)?,
    };
    let followers = followers::all(conn, names)?;
    let follow = record::read(conn, names)?;
    let ready = ready(&pen, follow.as_ref());
    Ok(Status {
        protocol: VERSION,
        module: names.module.to_owned(),
        side: link.side.clone(),
        peer: link.peer.name().to_owned(),
        feed: FeedStatus {
            id: pen.feed,
            head,
            followers,
        },
        follow: follow.map(|follow| follow_status(follow, link)),
        ready,
        tables: link
            .store
            .tables()
            .iter()
            .map(crate::table::Table::info)
            .collect(),
        now: Utc::now(),
        pen,
    })
}

fn follow_status(follow: Follow, link: &Link) -> FollowStatus {
    let copied = follow.copy_table.map(|table| Copied {
        table,
        rows: follow.copied_rows,
    });
    FollowStatus {
        source: follow.source,
        feed: follow.feed,
        phase: follow.phase,
        reached: follow.reached,
        current: None,
        lag_seconds: link.lag().map(|lag| lag.as_secs_f64()),
        copied,
        parked: follow.parked,
    }
}

/// Whether this side could take the pen.
fn ready(pen: &Pen, follow: Option<&Follow>) -> Ready {
    let missing = match follow.map(|follow| follow.phase) {
        _ if pen.holder == pen.side => Some("It has the pen.".to_owned()),
        _ if pen.state == State::Granted => {
            Some("It has given the pen away and has not turned yet.".to_owned())
        }
        None => Some("It does not follow; ask it to `copy`.".to_owned()),
        Some(Phase::Following) => None,
        Some(Phase::Parked) => Some("A change could not be applied; see `parked`.".to_owned()),
        Some(phase) => Some(format!("It is {} and not following yet.", phase.word())),
    };
    Ready {
        take: missing.is_none(),
        missing: missing.into_iter().collect(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangesQuery {
    after: Option<String>,
    limit: Option<usize>,
    wait: Option<u64>,
    #[serde(default)]
    peek: bool,
}

async fn changes(Asked(link): Asked, Query(query): Query<ChangesQuery>) -> Result<Json<Changes>, Error> {
    let (limit, deadline) = (limit(query.limit, MOST)?, Instant::now() + wait(query.wait)?);
    let Some(after) = query.after else {
        return begin(&link).await;
    };
    let place = link.may_wait.try_acquire();
    let mut known: Option<Pen> = None;
    loop {
        // Registered before the look, or a change between the two would be slept through.
        let changed = link.changed.notified();
        let answer = look(&link, after.clone(), limit, query.peek).await?;
        let has_news =
            !answer.changes.is_empty() || answer.more || known.as_ref().is_some_and(|pen| *pen != answer.pen);
        // What is granted is told at once: the follower may not have seen it.
        if has_news || answer.pen.state == State::Granted || place.is_err() || Instant::now() >= deadline {
            return Ok(Json(answer));
        }
        // A fence is told once, when it comes: the follower has applied everything if this answer is empty.
        if answer.pen.state == State::Fenced && known.is_none() {
            return Ok(Json(answer));
        }
        known = Some(answer.pen);
        let pause = LOOK_EVERY.min(deadline.saturating_duration_since(Instant::now()));
        let _ = tokio::time::timeout(pause, changed).await;
    }
}

/// One look at the feed. The cursor is also the follower's acknowledgement, unless it only peeks.
async fn look(link: &Arc<Link>, after: String, limit: usize, peek: bool) -> Result<Changes, Error> {
    let told = Arc::clone(link);
    let cursor = after.clone();
    let read = move |conn: &mut _| {
        feed::in_one_state(conn, |conn| {
            let answer = feed::changes(conn, &told.names, &*told.store, Some(&cursor), limit)?;
            may_go_on(conn, &told, &cursor, &answer.pen)?;
            Ok(answer)
        })
    };
    let answer = link.db.read(read).await?;
    if !peek {
        link.acknowledge(link.peer.name(), &after);
    }
    Ok(answer)
}

/// Refuses a follower that was forgotten, or has gone back behind what it acknowledged: what it needs may be gone.
fn may_go_on(conn: &mut chassis::db::Conn, link: &Link, cursor: &str, pen: &Pen) -> Result<(), Error> {
    let known = followers::all(conn, &link.names)?;
    let Some(follower) = known.iter().find(|follower| follower.side == link.peer.name()) else {
        return Err(Error::BehindTheFloor("this follower was forgotten"));
    };
    let acknowledged = Cursor::read(conn, pen.feed, &follower.cursor)?.reached();
    if Cursor::read(conn, pen.feed, cursor)?.reached() < acknowledged {
        return Err(Error::BehindTheFloor(
            "it lies before what this follower has acknowledged",
        ));
    }
    Ok(())
}

/// Where the feed stands, for whoever begins to follow: from here on everything is kept for it.
async fn begin(link: &Arc<Link>) -> Result<Json<Changes>, Error> {
    let told = Arc::clone(link);
    let work = move |conn: &mut _| {
        let answer = feed::changes(conn, &told.names, &*told.store, None, 1)?;
        followers::register(conn, &told.names, told.peer.name(), &answer.cursor)?;
        Ok(answer)
    };
    let answer: Result<Changes, Error> = link.db.write(work).await;
    let answer = answer?;
    link.acknowledge(link.peer.name(), &answer.cursor);
    Ok(Json(answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotQuery {
    table: String,
    after: Option<String>,
    limit: Option<usize>,
}

async fn snapshot(Asked(link): Asked, Query(query): Query<SnapshotQuery>) -> Result<Json<Snapshot>, Error> {
    let (limit, after) = (
        limit(query.limit, feed::CHUNK)?,
        key(&link, &query.table, "after", query.after)?,
    );
    let told = Arc::clone(&link);
    let read = move |conn: &mut _| {
        feed::in_one_state(conn, |conn| {
            feed::snapshot(conn, &told.names, &*told.store, &query.table, after, limit)
        })
    };
    Ok(Json(link.db.read(read).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyQuery {
    table: String,
    after: Option<String>,
    through: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    detail: Detail,
}

async fn verify_range(Asked(link): Asked, Query(query): Query<VerifyQuery>) -> Result<Json<Chunk>, Error> {
    let limit = query.limit.map(|asked| limit(Some(asked), MOST)).transpose()?;
    let range = Range {
        after: key(&link, &query.table, "after", query.after)?,
        through: key(&link, &query.table, "through", query.through)?,
    };
    let told = Arc::clone(&link);
    let read = move |conn: &mut _| {
        feed::in_one_state(conn, |conn| {
            verify::chunk(
                conn,
                &told.names,
                &*told.store,
                &query.table,
                &range,
                limit,
                query.detail,
            )
        })
    };
    Ok(Json(link.db.read(read).await?))
}

fn limit(asked: Option<usize>, most: usize) -> Result<usize, Error> {
    match asked.unwrap_or(LIMIT) {
        0 => Err(Error::Malformed("`limit` must be at least 1".to_owned())),
        limit => Ok(limit.min(most)),
    }
}

fn wait(asked: Option<u64>) -> Result<Duration, Error> {
    match asked.unwrap_or(0) {
        seconds @ 0..=30 => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::Malformed("`wait` must be 0 to 30 seconds".to_owned())),
    }
}

/// A key as it stands in a query: a JSON array of the table's key columns.
fn key(link: &Link, table: &str, parameter: &str, text: Option<String>) -> Result<Option<Key>, Error> {
    let table = feed::table(&*link.store, table)?;
    let Some(text) = text else {
        return Ok(None);
    };
    let key: Option<Key> = serde_json::from_str(&text).ok().filter(|key| table.is_key(key));
    key.map(Some).ok_or_else(|| {
        Error::Malformed(format!(
            "`{parameter}` must be a JSON array of texts for {:?}, as in `[\"17\"]`",
            table.key
        ))
    })
}
