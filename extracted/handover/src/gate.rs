//! The gate that a module's writes pass: the database refuses what it may not let through, and this says so.
//!
//! For the module's handlers. A write that the triggers refuse becomes [`NotHere`], with the pen as it is, and so the 421 of
//! RFC 9110, section 15.5.20, which promises that nothing happened. A write that goes through learns its position.
//! While no pen has been installed (no row), every write goes through and has no position: a process that takes part in no
//! hand-over notices nothing of all this.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use chassis::db::{self, Conn, Db, Failure};
use chassis::problem::Problem;
use diesel::result::Error as Diesel;
use tokio::sync::{Notify, watch};

use crate::Names;
use crate::pen;
use crate::wire::{PEN_EPOCH, PEN_HOLDER, PEN_STATE, Pen, Phase, Position, State};

/// A write came to a side that does not hold the pen.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the data of `{}` is owned by `{}` (epoch {}, {})", .0.module, .0.holder, .0.epoch, .0.state.word())]
pub struct NotHere(pub Box<Pen>);

/// What a write came to, and where it stands in the history of the module's data.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// What the work gave.
    pub value: T,
    /// Its position; none while no pen is installed.
    pub position: Option<Position>,
}

/// What this side can answer, as far as it knew a moment ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The phase, while this side follows.
    pub phase: Option<Phase>,
    /// What it has reached, while it follows.
    pub reached: Option<Position>,
}

impl Standing {
    /// Whether reads may be answered from this side's rows: not while a copy is under way.
    pub fn may_answer(&self) -> bool {
        !matches!(self.phase, Some(Phase::Copying | Phase::CatchingUp))
    }
}

/// The gate of one module; cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    pub(crate) db: Db,
    pub(crate) names: Arc<Names>,
    /// Wakes those who wait for changes.
    pub(crate) changed: Arc<Notify>,
    pub(crate) standing: watch::Sender<Standing>,
}

impl Gate {
    /// The gate of the module's tables in this database.
    pub fn new(db: Db, module: &'static str) -> Self {
        Self {
            db,
            names: Arc::new(Names::of(module)),
            changed: Arc::new(Notify::new()),
            standing: watch::Sender::default(),
        }
    }

    /// Runs work in a write transaction, as [`Db::write`] does, if the pen is here.
    pub async fn write<T, E, F>(&self, work: F) -> Result<Written<T>, E>
    where
        T: Send + 'static,
        E: Failure + From<NotHere>,
        F: Fn(&mut Conn) -> Result<T, E> + Send + 'static,
    {
        let names = Arc::clone(&self.names);
        let written = self.db.write(move |conn| {
            // The triggers would refuse a change, but not an answer for which nothing is changed: a name that is taken, a version that has
            // moved, a price that is so already. So the pen is looked at first, and kept here until the transaction ends.
            let pen = pen::read_for_write(conn, &names)?;
            if let Some(pen) = pen.as_ref().filter(|pen| !pen.is_here()) {
                return Err(NotHere(Box::new(pen.clone())).into());
            }
            let value = work(conn)?;
            let position = match pen {
                Some(Pen { epoch, .. }) => Some(Position {
                    epoch,
                    number: pen::number_of_write(conn, &names)?,
                }),
                None => None,
            };
            Ok::<_, E>(Written { value, position })
        });
        match written.await {
            Ok(written) => {
                self.changed.notify_waiters();
                Ok(written)
            }
            Err(error) if error.database().is_some_and(is_refusal) => Err(self.not_here(error).await),
            Err(error) => Err(error),
        }
    }

    /// What this side can answer just now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// The pen as this side's database has it; none while none is installed.
    pub async fn pen(&self) -> Result<Option<Pen>, db::Error> {
        let names = Arc::clone(&self.names);
        self.db.read(move |conn| pen::read(conn, &names)).await
    }

    /// The refusal with the pen as it is; the refusal alone does not say on SQLite.
    async fn not_here<E: Failure + From<NotHere>>(&self, refused: E) -> E {
        match self.pen().await {
            Ok(Some(pen)) => NotHere(Box::new(pen)).into(),
            Ok(None) | Err(_) => refused,
        }
    }
}

/// Whether the triggers refused a statement because the pen is not here.
pub fn is_refusal(error: &db::Error) -> bool {
    let db::Error::Query(Diesel::DatabaseError(_, info)) = error else {
        return false;
    };
    info.constraint_name() == Some("pen")
        || (info.message().starts_with("the pen of ") && info.message().contains(" is not here"))
}

impl From<NotHere> for Problem {
    fn from(NotHere(pen): NotHere) -> Self {
        let told = match pen.state {
            State::Held => format!(
                "It is owned by `{}`. Nothing was changed here; send the request there.",
                pen.holder
            ),
            State::Fenced | State::Granted => {
                format!(
                    "It is on its way to another owner. Nothing was changed here; wait, or ask `{}`.",
                    pen.holder
                )
            }
        };
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "not-the-owner",
            "Another process owns this data",
        )
        .detail(told)
        .header(HeaderName::from_static(PEN_HOLDER), &pen.holder)
        .header(HeaderName::from_static(PEN_EPOCH), &pen.epoch.to_string())
        .header(HeaderName::from_static(PEN_STATE), pen.state.word())
    }
}
