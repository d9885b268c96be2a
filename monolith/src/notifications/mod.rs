//! Notifications: what customers are told by mail, and other systems by webhook.
//!
//! Owns `notifications`, `notification_preferences`, `webhook_subscriptions`, `webhook_deliveries`. Other modules call
//! [`Notifications::enqueue`] and [`Notifications::announce`] inside their own transaction, so that what is told and what
//! happened are written together or not at all (a transactional outbox). Workers send afterwards, with retries.
//! This module calls no other: whoever has something to tell gives the address too.
//!
//! A crash leaves: before the commit, nothing; after it, a queued row that any process sends. Between sending and marking,
//! a row that was sent and does not know it: it is tried again when the claim has run out, under the same message id, which
//! the file sink recognises and a mail server may. Delivery is at least once, and exactly once into a file. Webhooks are at
//! least once too: the `id` in the body tells a repetition.

mod delivery;
mod http;
mod model;
mod schema;
mod sink;
mod store;

use std::sync::Arc;

use chassis::db::{self, Conn, Db};
use chrono::NaiveDateTime;
use tokio::sync::Notify;

pub use http::routes;
pub use model::{Kind, Notice, Told};
pub use sink::{Sink, SinkError};

/// Why the notifications module could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such notification, or none that this session may see.
    #[error("there is no notification {0}")]
    NotFound(i64),
    /// There is no such subscription.
    #[error("there is no webhook {0}")]
    NoWebhook(i64),
    /// The database failed.
    #[error("notifications database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// The port of the notifications module; cheap to clone.
#[derive(Clone, Debug)]
pub struct Notifications {
    db: Db,
    /// Wakes the worker of this process that sends mails; the workers of others look for themselves.
    mails: Arc<Notify>,
    /// The same for webhooks.
    events: Arc<Notify>,
}

impl Notifications {
    /// Puts the port together.
    pub fn new(db: Db) -> Self {
        Self {
            db,
            mails: Arc::default(),
            events: Arc::default(),
        }
    }

    /// Writes a notice to be sent, in the caller's transaction, unless the customer does not want its kind.
    pub fn enqueue(&self, conn: &mut Conn, notice: &Notice) -> Result<(), Error> {
        if !notice.kind.is_optional() || store::preferences(conn, notice.customer_id)?.order_updates {
            store::insert(conn, notice.into())?;
            self.mails.notify_one();
        }
        Ok(())
    }

    /// Writes an event for every webhook that subscribed to it, in the caller's transaction.
    pub fn announce(&self, conn: &mut Conn, event: &str, data: &serde_json::Value) -> Result<(), Error> {
        if store::webhooks::announce(conn, event, data)? > 0 {
            self.events.notify_one();
        }
        Ok(())
    }

    /// What a customer was told, latest first, then by id downwards; only before that moment and id, if they are given.
    pub fn history(
        &self,
        conn: &mut Conn,
        customer: i64,
        before: Option<(NaiveDateTime, i64)>,
        limit: i64,
    ) -> Result<Vec<Told>, Error> {
        Ok(store::history(conn, customer, before, limit)?)
    }

    /// Forgets a customer who left, in the caller's transaction: addresses and texts name it.
    pub fn forget(&self, conn: &mut Conn, customer: i64) -> Result<(), Error> {
        Ok(store::forget(conn, customer)?)
    }

    /// Starts the workers that send; they go on until the process ends.
    pub fn start(&self, sink: Sink) {
        tokio::spawn(delivery::mails(self.db.clone(), sink, Arc::clone(&self.mails)));
        tokio::spawn(delivery::events(self.db.clone(), Arc::clone(&self.events)));
    }
}

#[cfg(test)]
mod tests;
