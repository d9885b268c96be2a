//! What can go wrong between a store and its database, and what the client is told of it.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

use crate::problem::Problem;

/// A failure of the database, as opposed to a rule of the domain.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database that is known.
    #[error("{0}")]
    Url(String),
    /// No connection came free in time, or the database cannot be reached.
    #[error("no database connection came free in time")]
    Busy,
    /// The thread that did the work went away.
    #[error("database work was interrupted")]
    Interrupted,
    /// The schema could not be brought up to date.
    #[error("migration failed: {0}")]
    Migration(String),
    /// The database refused a statement.
    #[error("database statement failed")]
    Query(#[from] Diesel),
}

impl Error {
    /// Whether the same work may succeed if it is run again.
    pub fn is_contention(&self) -> bool {
        match self {
            Self::Query(Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
            Self::Query(Diesel::DatabaseError(_, info)) => info.message().contains("deadlock detected"),
            _ => false,
        }
    }

    /// Whether a unique constraint stood in the way.
    pub fn is_unique_violation(&self) -> bool {
        matches!(
            self,
            Self::Query(Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
        )
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy => Self::unavailable("The database is busy.", 1),
            Error::Query(Diesel::DatabaseError(DatabaseErrorKind::ClosedConnection, _)) => {
                Self::unavailable("The database connection was lost.", 1)
            }
            error => Self::internal(&error),
        }
    }
}

/// An error that database work may end in: a module's own, with room for [`Error`].
///
/// Module errors carry `Database(#[from] db::Error)` and get this through [`crate::database_failure!`].
pub trait Failure: From<Error> + From<Diesel> + Send + 'static {
    /// The failure of the database, if that is what this is.
    fn database(&self) -> Option<&Error>;
}

impl Failure for Error {
    fn database(&self) -> Option<&Error> {
        Some(self)
    }
}

/// Lets a module's error enum with a `Database(db::Error)` variant be the error of database work.
#[macro_export]
macro_rules! database_failure {
    ($error:ty) => {
        impl From<diesel::result::Error> for $error {
            fn from(error: diesel::result::Error) -> Self {
                Self::Database(error.into())
            }
        }
        impl $crate::db::Failure for $error {
            fn database(&self) -> Option<&$crate::db::Error> {
                match self {
                    Self::Database(error) => Some(error),
                    _ => None,
                }
            }
        }
    };
}
