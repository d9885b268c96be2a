//! Reads and writes the audit log.
//!
//! For [`crate::switch::perform`], which writes, and for the admin API and command line, which read. Times are given to
//! rows here; ids, hashes and the order come from `store`. What a start needs to know of its own
//! file is in [`super::whereabouts`].

use chassis::db::{self, Conn, Db};
use chassis::time::now;
use chrono::NaiveDateTime;
use serde_json::Value;

use super::chain::{Broken, Verified};
use super::store::{self, Row};
use super::{Action, Conclusion, Entry, MOVES_SHOWN, Outcome, Planned, cut};

/// The most entries of one page.
pub const PAGE: usize = 200;
/// Rows that are verified at a time.
const STRETCH: i64 = 50;
const PLACE_CHARS: usize = 300;
const DETAIL_CHARS: usize = 2000;

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No entry has this id.
    #[error("the audit log has no entry {0}; see `banyan audit` for those it has")]
    NotFound(i64),
    /// The log is not as it was written.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The database failed.
    #[error("audit database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// Which entries to list; what is absent is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Entries that concern this route.
    pub route: Option<String>,
    /// Entries that concern a route of this module.
    pub module: Option<String>,
    /// Entries of this actor.
    pub actor: Option<String>,
    /// Entries of this router's file.
    pub place: Option<String>,
    /// Entries of this time (UTC) or later.
    pub since: Option<NaiveDateTime>,
}

/// The log, as the router at one place writes it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(super) db: Db,
    place: String,
}

impl Ledger {
    /// The log in this database. The place (`HOST:PATH`) tells the entries of several routers apart: a start resolves
    /// what was left open at its own place only.
    pub fn new(db: Db, place: &str) -> Self {
        Self {
            db,
            place: cut(place, PLACE_CHARS),
        }
    }

    /// The place that entries are written for.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Writes down what is about to be done and gives its id.
    pub async fn intend(&self, planned: &Planned) -> Result<i64, Error> {
        self.add("intent", now(), planned, None).await
    }

    /// Writes down what has been done already.
    pub async fn note(
        &self,
        planned: &Planned,
        at: NaiveDateTime,
        outcome: Outcome,
        detail: &str,
    ) -> Result<i64, Error> {
        self.add("fact", at, planned, Some((outcome, cut(detail, DETAIL_CHARS))))
            .await
    }

    async fn add(
        &self,
        kind: &'static str,
        at: NaiveDateTime,
        planned: &Planned,
        end: Option<(Outcome, String)>,
    ) -> Result<i64, Error> {
        let planned = planned.clone().bounded();
        let (outcome, detail) =
            end.map_or((None, String::new()), |(outcome, detail)| (Some(outcome), detail));
        let row = Row {
            detail,
            ..self.blank(kind, at, &planned, outcome)
        };
        let sentence = planned.sentence();
        let added = self.db.write(move |conn| -> Result<_, Error> {
            store::take_turn(conn)?;
            Ok(store::append(conn, row.clone(), &planned.moves)?)
        });
        let (id, hash) = added.await?;
        tracing::info!(
            entry = id,
            hash,
            "audit: {}{sentence}",
            if kind == "intent" { "begin to " } else { "" }
        );
        Ok(id)
    }

    fn blank(&self, kind: &str, at: NaiveDateTime, planned: &Planned, outcome: Option<Outcome>) -> Row {
        Row {
            id: 0,
            at,
            kind: kind.to_owned(),
            about: None,
            place: self.place.clone(),
            actor: planned.actor.clone(),
            action: planned.action.word().to_owned(),
            reason: planned.reason.clone(),
            forced: planned.forced,
            certificate: planned.certificate.as_ref().map(Value::to_string),
            hash_before: planned.hash_before.clone(),
            hash_after: planned.hash_after.clone(),
            moves: 0,
            outcome: outcome.map(|outcome| outcome.words().to_owned()),
            detail: String::new(),
            previous: String::new(),
            hash: String::new(),
        }
    }

    /// Writes down how an intent ended. The first to say so is right: a second outcome is not written, and no error.
    pub async fn conclude(&self, intent: i64, outcome: Outcome, detail: &str) -> Result<(), Error> {
        let detail = cut(detail, DETAIL_CHARS);
        let concluded = self.db.write(move |conn| -> Result<_, Error> {
            store::take_turn(conn)?;
            let begun = store::row(conn, intent)?.ok_or(Error::NotFound(intent))?;
            if store::outcome_of(conn, intent)?.is_some() {
                return Ok(None);
            }
            let row = Row {
                at: now(),
                kind: "outcome".to_owned(),
                about: Some(intent),
                reason: String::new(),
                certificate: None,
                outcome: Some(outcome.words().to_owned()),
                detail: detail.clone(),
                ..begun
            };
            Ok(Some(store::append(conn, row, &[])?))
        });
        if let Some((id, hash)) = concluded.await? {
            tracing::info!(entry = id, hash, "audit: entry {intent} is {}", outcome.words());
        }
        Ok(())
    }

    /// Entries, newest first, at most `limit` (and [`PAGE`]); the next page is before the last one's id. Of an entry with
    /// very many routes only the first [`MOVES_SHOWN`] are given; [`Ledger::entry`] has them all.
    pub async fn list(
        &self,
        filter: Filter,
        before_id: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let limit = limit.clamp(1, PAGE) as i64;
        let entries = self.db.read(move |conn| -> Result<_, Error> {
            let rows = store::list(conn, &filter, before_id, limit)?;
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            let mut ends = store::outcomes(conn, &ids)?;
            let mut entries = Vec::new();
            for row in rows {
                let end = ends.iter().position(|end| end.about == Some(row.id));
                let end = end.map(|at| ends.swap_remove(at));
                entries.push(entry(conn, row, end, MOVES_SHOWN)?);
            }
            Ok(entries)
        });
        entries.await
    }

    /// One entry with all its routes.
    pub async fn entry(&self, id: i64) -> Result<Entry, Error> {
        let found = self.db.read(move |conn| -> Result<_, Error> {
            let row = store::row(conn, id)?.filter(|row| row.kind != "outcome");
            let row = row.ok_or(Error::NotFound(id))?;
            let end = store::outcome_of(conn, id)?;
            entry(conn, row, end, usize::MAX)
        });
        found.await
    }

    /// Looks over the whole log. An error is [`Error::Broken`] at the first row that is not as it was written.
    pub async fn verify_chain(&self) -> Result<Verified, Error> {
        let mut verified = Verified::start();
        loop {
            let so_far = verified.clone();
            // One stretch at a time: a reader must not keep a connection for as long as a long log takes.
            let next = self.db.read(move |conn| -> Result<_, Error> {
                let mut verified = so_far;
                for row in store::from(conn, verified.rows + 1, STRETCH)? {
                    let moves = store::moves(conn, row.id, usize::MAX)?;
                    verified = verified.and(&row, &moves)?;
                }
                Ok(verified)
            });
            let next = next.await?;
            if next.rows == verified.rows {
                return Ok(next);
            }
            verified = next;
        }
    }

    /// The hash of the last row, which vouches for all of them; absent while the log is empty.
    pub async fn head(&self) -> Result<Option<String>, Error> {
        let last = self
            .db
            .read(|conn| -> Result<_, Error> { Ok(store::last(conn)?) });
        Ok(last.await?.map(|row| row.hash))
    }
}

fn entry(conn: &mut Conn, row: Row, end: Option<Row>, moves: usize) -> Result<Entry, Error> {
    let fact = row.outcome.as_deref().map(|words| Conclusion {
        outcome: Outcome::of_words(words),
        at: row.at,
        detail: row.detail.clone(),
    });
    let told = end.map(|end| Conclusion {
        outcome: Outcome::of_words(end.outcome.as_deref().unwrap_or_default()),
        at: end.at,
        detail: end.detail,
    });
    let certificate = row.certificate.as_deref().map(serde_json::from_str);
    let planned = Planned {
        actor: row.actor,
        action: Action::of_word(&row.action),
        moves: store::moves(conn, row.id, moves)?,
        moves_total: usize::try_from(row.moves).unwrap_or_default(),
        reason: row.reason,
        forced: row.forced,
        certificate: certificate.map(Result::unwrap_or_default),
        hash_before: row.hash_before,
        hash_after: row.hash_after,
    };
    Ok(Entry {
        id: row.id,
        at: row.at,
        place: row.place,
        planned,
        conclusion: fact.or(told),
        hash: row.hash,
    })
}
