//! Makes this catalog equal to the monolith's: what is new there comes, what changed follows, what is not there goes.
//!
//! It goes page by page in the order of SKUs, one transaction of bounded size each, so that a process that serves from
//! the same database is never held up for long, and a run that was interrupted is simply run again. Pages are fetched
//! while the one before is being written. A product that changes at the source behind the run is caught by the next run.

mod lock;
mod source;

use std::time::Duration;

use chassis::cli::text_or_file;
use chassis::db::{self, Db};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::config::{Settings, Writes};
use crate::store::bulk::{self, Effect, Whole};
use crate::{Catalog, MIGRATIONS};
use lock::Lock;
use source::{Page, Source, SourceError};

/// Products removed in one transaction at the most.
const REMOVED_AT_ONCE: usize = 1000;

/// Copies the catalog from the monolith.
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// Address of the monolith: http://127.0.0.1:8100
    #[arg(long, value_name = "URL")]
    pub(crate) from: String,
    /// Session token with the role `service`, or the name of a file that holds one; see `monolith token`
    #[arg(long, value_name = "TOKEN|@FILE", env = "LOAD_TOKEN", hide_env_values = true, value_parser = text_or_file)]
    pub(crate) token: String,
    /// Migrate first
    #[arg(long)]
    pub(crate) migrate: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why the load ended early. What was written until then stays; run it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The settings say that this service is the owner.
    #[error(
        "this service accepts writes, so a load could undo some: set writes = \"refuse\" (CATALOG_WRITES) first"
    )]
    IsOwner,
    /// A hand-over looks after the rows.
    #[error(
        "the catalog takes part in a hand-over, and `{0}` owns it now: the link between the two sides keeps the rows equal, so there is \
         nothing to load; to copy them anew: banyan handover catalog --again --until copy"
    )]
    HandedOver(String),
    /// The tables are not there, or not as this version needs them.
    #[error("the database schema is not current: run `catalog migrate`, or load with --migrate")]
    NotMigrated,
    /// The monolith cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The lock against a second load cannot be had.
    #[error("the lock against a second load cannot be had")]
    Lock(#[source] std::io::Error),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] db::Error),
    /// A page could not be written.
    #[error("a page could not be written")]
    Write(#[from] crate::Error),
}

impl Error {
    /// Whether it is the source that cannot be used, rather than anything here.
    pub(crate) fn is_the_source(&self) -> bool {
        matches!(self, Self::Source(_))
    }
}

/// What a load did.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
struct Summary {
    products: u64,
    new: u64,
    changed: u64,
    removed: u64,
    same: u64,
}

impl Summary {
    fn add(&mut self, effect: Effect, removed: u64) {
        self.products += effect.new + effect.changed + effect.same;
        self.new += effect.new;
        self.changed += effect.changed;
        self.same += effect.same;
        self.removed += removed;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "loaded {} products: {} new, {} changed, {} removed, {} same",
            self.products, self.new, self.changed, self.removed, self.same
        )
    }
}

/// Runs the load and tells in one line what it did.
pub(crate) async fn run(settings: &Settings, job: &Load) -> Result<String, Error> {
    if settings.writes == Writes::Accept {
        return Err(Error::IsOwner);
    }
    let db = Db::open(settings.database.reveal(), &settings.pool)?;
    if !db.read(|conn| Db::is_current(conn, &MIGRATIONS)).await? {
        return Err(Error::NotMigrated);
    }
    let catalog = Catalog::new(db, settings.writes);
    // Wherever the pen is: here it would let a load undo what was written since, elsewhere the database refuses.
    if let Some(pen) = catalog.gate.pen().await? {
        return Err(Error::HandedOver(pen.holder));
    }
    let source = Source::new(&job.from, &job.token)?;
    let _lock = Lock::take(settings).await?;
    let summary = copy(&catalog, &source).await?;
    Ok(match job.json {
        true => serde_json::to_string(&summary).unwrap_or_default(),
        false => summary.to_string(),
    })
}

async fn copy(catalog: &Catalog, source: &Source) -> Result<Summary, Error> {
    let bar = progress();
    let (mut summary, mut after) = (Summary::default(), None);
    let mut page = source.page(None).await?;
    loop {
        let Page { items, next } = page;
        let write = write(catalog, after.take(), next.clone(), items);
        let (written, fetched) = match &next {
            Some(sku) => {
                let (written, fetched) = tokio::join!(write, source.page(Some(sku)));
                (written, Some(fetched))
            }
            None => (write.await, None),
        };
        let (effect, removed) = written?;
        summary.add(effect, removed);
        bar.set_position(summary.products);
        match fetched {
            Some(fetched) => page = fetched?,
            None => break,
        }
        after = next;
    }
    bar.finish_and_clear();
    Ok(summary)
}

/// Makes the products after `after` and up to `end` equal to `items`.
async fn write(
    catalog: &Catalog,
    after: Option<String>,
    end: Option<String>,
    items: Vec<Whole>,
) -> Result<(Effect, u64), Error> {
    let items = std::sync::Arc::new(items);
    let kept = items.clone();
    let strangers = catalog
        .db
        .read(move |conn| {
            Ok::<_, crate::Error>(bulk::strangers(conn, after.as_deref(), end.as_deref(), &kept)?)
        })
        .await?;
    for some in strangers.chunks(REMOVED_AT_ONCE) {
        let some = some.to_vec();
        catalog
            .db
            .write(move |conn| Ok::<_, crate::Error>(bulk::remove(conn, &some)?))
            .await?;
    }
    let effect = catalog.db.write(move |conn| bulk::upsert(conn, &items)).await?;
    Ok((effect, strangers.len() as u64))
}

/// A line that counts, on a terminal; nothing elsewhere. How many there will be, the source does not say.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} products, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
