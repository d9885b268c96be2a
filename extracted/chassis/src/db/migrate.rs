//! Brings a schema up to date, and tells whether it is.

use diesel::connection::SimpleConnection;
use diesel::{RunQueryDsl, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use super::{Conn, Db, Error};

/// The migrations of one owner, for both databases.
#[derive(Clone, Copy)]
pub struct Migrations {
    /// For SQLite.
    pub sqlite: fn() -> EmbeddedMigrations,
    /// For PostgreSQL.
    pub postgres: fn() -> EmbeddedMigrations,
}

impl std::fmt::Debug for Migrations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Migrations")
    }
}

/// The key of the PostgreSQL advisory lock that keeps two processes from migrating at once.
const LOCK: i64 = 0x6261_6e79_616e;

impl Db {
    /// Runs the migrations that have not run yet and gives their names. Safe to run from several processes at once.
    pub fn migrate(&self, migrations: &Migrations) -> Result<Vec<String>, Error> {
        let mut conn = self.connect()?;
        match &mut *conn {
            // The write lock is taken first, or two processes would both see the same migrations missing.
            Conn::Sqlite(conn) => sqlite(conn, (migrations.sqlite)()),
            Conn::Postgres(conn) => {
                conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
                let ran = run(conn, (migrations.postgres)());
                conn.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"))?;
                ran
            }
        }
    }

    /// Whether the schema is current. Also tells that the database answers.
    pub fn is_current(conn: &mut Conn, migrations: &Migrations) -> Result<bool, Error> {
        let pending = match conn {
            Conn::Sqlite(conn) => conn.has_pending_migration((migrations.sqlite)()),
            Conn::Postgres(conn) => conn.has_pending_migration((migrations.postgres)()),
        };
        pending
            .map(|pending| !pending)
            .map_err(|error| Error::Migration(error.to_string()))
    }
}

/// With foreign keys looked at in the end and not meanwhile: SQLite changes a table by making another in its place, and dropping the
/// old one would take along what refers to it (sqlite.org, *Making Other Kinds Of Table Schema Changes*).
fn sqlite(conn: &mut SqliteConnection, migrations: EmbeddedMigrations) -> Result<Vec<String>, Error> {
    conn.batch_execute("PRAGMA foreign_keys = OFF")?;
    let ran = conn.immediate_transaction(|conn| {
        let ran = run(conn, migrations)?;
        let broken: Vec<Broken> =
            diesel::sql_query("SELECT \"table\" AS of FROM pragma_foreign_key_check").load(conn)?;
        match broken.first() {
            None => Ok(ran),
            Some(Broken { of }) => Err(Error::Migration(format!(
                "a row of `{of}` would refer to nothing"
            ))),
        }
    });
    conn.batch_execute("PRAGMA foreign_keys = ON")?;
    ran
}

/// A row that refers to nothing.
#[derive(diesel::QueryableByName)]
struct Broken {
    #[diesel(sql_type = diesel::sql_types::Text)]
    of: String,
}

fn run<C, B>(conn: &mut C, migrations: EmbeddedMigrations) -> Result<Vec<String>, Error>
where
    C: MigrationHarness<B>,
    B: diesel::backend::Backend,
{
    let versions = conn
        .run_pending_migrations(migrations)
        .map_err(|error| Error::Migration(error.to_string()))?;
    Ok(versions.iter().map(ToString::to_string).collect())
}
