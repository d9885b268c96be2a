//! Accounts: who the customers are, where they live, and who is logged in.
//!
//! Owns `customers`, `addresses`, `sessions`. Other modules learn a customer's name and address for mails through
//! [`Accounts::contact`]; the importer finds or makes customers by their reference in old books. It calls notifications,
//! to welcome.
//!
//! A session is a row here and a signed token with the client. The token alone is enough for an extracted service; this
//! process also asks the row, so that a session that was ended is over here at once and elsewhere when its token expires.

mod country;
mod http;
mod password;
mod schema;
mod store;

use std::sync::Arc;

use chassis::auth::{Issuer, KeyError, SessionCheck};
use chassis::db::{self, Conn, Db};
use chassis::problem::Problem;

use crate::notifications::{self, Notifications};

pub use http::routes;

/// Why the accounts module could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such customer, or none that this session may see.
    #[error("there is no customer {0}")]
    NoCustomer(i64),
    /// The customer has no such address.
    #[error("there is no address {0}")]
    NoAddress(i64),
    /// Another customer has this e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// E-mail and password do not belong together.
    #[error("e-mail or password is wrong")]
    WrongCredentials,
    /// The token belongs to no session that could be ended.
    #[error("the token belongs to no session")]
    NoSession,
    /// A password could not be hashed.
    #[error("password hash: {0}")]
    Hash(String),
    /// A token could not be signed.
    #[error("session token")]
    Token(#[from] KeyError),
    /// The welcome could not be written.
    #[error(transparent)]
    Notifications(notifications::Error),
    /// The database failed.
    #[error("accounts database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

impl From<notifications::Error> for Error {
    /// A failure of the database stays one, so that a transaction that was stopped is run again.
    fn from(error: notifications::Error) -> Self {
        match error {
            notifications::Error::Database(error) => Self::Database(error),
            error => Self::Notifications(error),
        }
    }
}

/// How a customer is addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// E-mail address.
    pub email: String,
    /// Name.
    pub name: String,
}

/// The port of the accounts module; cheap to clone. What takes a connection works in the caller's transaction.
#[derive(Clone, Debug)]
pub struct Accounts {
    db: Db,
    notifications: Notifications,
    issuer: Arc<Issuer>,
    session_ttl_s: i64,
}

impl Accounts {
    /// Puts the port together. Sessions last `session_ttl_s` seconds.
    pub fn new(db: Db, notifications: Notifications, issuer: Issuer, session_ttl_s: i64) -> Self {
        Self {
            db,
            notifications,
            issuer: Arc::new(issuer),
            session_ttl_s,
        }
    }

    /// How to address a customer; nothing if it is gone.
    pub fn contact(&self, conn: &mut Conn, customer: i64) -> Result<Option<Contact>, Error> {
        let found = store::find(conn, customer)?;
        Ok(found.map(|customer| Contact {
            email: customer.email,
            name: customer.name,
        }))
    }

    /// The customer that old books know by this reference; made if need be. Such a customer cannot log in.
    pub fn import(&self, conn: &mut Conn, reference: &str) -> Result<i64, Error> {
        Ok(store::by_reference(conn, reference)?)
    }

    /// Tells whether a session still runs, for [`chassis::auth::Verifier::asking`].
    pub fn session_check(&self) -> SessionCheck {
        let db = self.db.clone();
        Arc::new(move |session| {
            let db = db.clone();
            Box::pin(async move {
                let runs = db
                    .read(move |conn| Ok::<_, Error>(store::session_runs(conn, session)?))
                    .await;
                runs.map_err(Problem::from)
            })
        })
    }
}

#[cfg(test)]
mod tests;
