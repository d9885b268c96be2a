//! Payments: money taken and given back through a payment provider (PSP), whose answers come late, twice or never.
//!
//! Owns `payments`, `refunds`, `psp_events`. Orders open a payment in their own transaction and have it carried out
//! afterwards. What was paid for learns the outcome through [`Payables`], which orders implement: so this module knows no
//! orders, and money and order change in one transaction.
//!
//! No transaction is open while the provider is asked. Each step and what a crash right after it leaves:
//!
//! | step | a crash leaves | who goes on |
//! | --- | --- | --- |
//! | payment written as `pending`, under a key | no charge, or one that nobody here knows | the worker: it asks the provider for the key, and charges under it if there is nothing; the provider makes one charge per key |
//! | provider charged, not yet settled | the same | the same, or the provider's webhook, whichever is first |
//! | settled: payment and order in one transaction | nothing open | |
//! | no answer for too long: `voiding` | a key that may or may not be void yet | the worker voids it (again); then, and only then, the payment failed: a late charge cannot happen any more |
//! | refund written as `pending`, under a key of its own | no refund, or one that nobody here knows | the worker refunds under the key, which is done once |
//!
//! The handler's own call, the worker and the webhook may settle one payment at the same time: all go through
//! `settle::settle`, which locks the order, then the payment, and does nothing to what is settled.

mod http;
mod model;
mod psp;
mod refund;
mod schema;
mod settle;
mod store;
mod webhook;
mod work;

use std::sync::Arc;

use chassis::db::{self, Conn, Db};
use chrono::NaiveDateTime;
use tokio::sync::Notify;

use crate::config;
use crate::money::Money;

pub(crate) use http::declined;
pub use http::routes;
pub use model::{Paid, State};

use model::NewPayment;
use psp::Psp;
use webhook::WebhookSecret;

/// Why the payments module could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such payment, or none that this session may see.
    #[error("there is no payment {0}")]
    NoPayment(i64),
    /// There is no such order, or none that this session may see.
    #[error("there is no order {0}")]
    NoOrder(i64),
    /// The order is not to be paid, or not any more.
    #[error("order {0} is not to be paid in the state it is in")]
    NotPayable(i64),
    /// Another payment of the order is under way, or was made.
    #[error("order {0} has a payment already")]
    HasPayment(i64),
    /// The payment is in a state that does not allow it.
    #[error("a payment that is {} does not allow this", .0.as_str())]
    State(State),
    /// More than what is left of the payment.
    #[error("only {0} minor units can still be refunded")]
    RefundExceedsPayment(i64),
    /// A refund in another currency than the payment.
    #[error("the payment is in {0}")]
    Currency(String),
    /// The key was used for another refund.
    #[error("this key was used for another refund")]
    KeyReused,
    /// The provider cannot be reached.
    #[error("the payment provider does not answer")]
    Psp(#[from] reqwest::Error),
    /// What was paid for could not take note of it.
    #[error("order")]
    Payable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error("payments database")]
    Database(#[from] db::Error),
}

chassis::database_failure!(Error);

/// What is to be paid for, as the payments module sees it. Each call works in the caller's transaction and first locks
/// what it is about, so that what is paid for is always locked before its payment.
pub trait Payables: std::fmt::Debug + Send + Sync {
    /// Locks it and tells whose it is and what is still to be paid. `None` if there is no such thing.
    fn lock(&self, conn: &mut Conn, order: i64) -> Result<Option<Payable>, Error>;
    /// A payment is under way.
    fn charging(&self, conn: &mut Conn, order: i64) -> Result<(), Error>;
    /// The money is there. `false` if it is not wanted any more; it is given back then.
    fn paid(&self, conn: &mut Conn, order: i64) -> Result<bool, Error>;
    /// The money will not come.
    fn failed(&self, conn: &mut Conn, order: i64, reason: &str) -> Result<(), Error>;
    /// Money went back; `in_full` if all of it did.
    fn refunded(&self, conn: &mut Conn, order: i64, amount: &Money, in_full: bool) -> Result<(), Error>;
}

/// What there is to know about something to be paid for.
#[derive(Clone, Debug)]
pub struct Payable {
    /// Who owes.
    pub customer_id: Option<i64>,
    /// How much is to be paid now; nothing if it is paid, under way or given up.
    pub due: Option<Money>,
}

/// The port of the payments module; cheap to clone. What takes a connection works in the caller's transaction.
#[derive(Clone, Debug)]
pub struct Payments {
    db: Db,
    psp: Psp,
    secret: WebhookSecret,
    patience: chrono::Duration,
    payables: Arc<dyn Payables>,
    wake: Arc<Notify>,
}

impl Payments {
    /// Puts the port together.
    pub fn new(db: Db, settings: &config::Psp, payables: Arc<dyn Payables>) -> reqwest::Result<Self> {
        let secret = WebhookSecret::new(settings.webhook_secret.clone());
        Ok(Self {
            db,
            psp: Psp::new(settings)?,
            secret,
            patience: chrono::Duration::seconds(settings.give_up_s),
            payables,
            wake: Arc::default(),
        })
    }

    /// Writes a payment of `amount` for an order, to be charged by [`Self::charge`], or by the worker if nobody does.
    pub fn open(
        &self,
        conn: &mut Conn,
        order: i64,
        customer: Option<i64>,
        amount: &Money,
        payment_method: &str,
    ) -> Result<i64, Error> {
        let new = NewPayment {
            order,
            customer,
            amount,
            payment_method,
            capture: true,
            patience: self.patience,
        };
        store::insert(conn, &new)
    }

    /// Charges a payment that was [opened](Self::open), and settles it. Gives the state it is in then: `Pending` if the
    /// provider has not answered in time, in which case the worker goes on.
    pub async fn charge(&self, payment: i64) -> Result<State, Error> {
        work::charge(self, payment).await
    }

    /// Gives back what was paid for an order; the worker carries it out. An authorized payment is let go.
    pub fn give_back(&self, conn: &mut Conn, order: i64, reason: &str) -> Result<(), Error> {
        refund::give_back(conn, order, reason)?;
        self.wake.notify_one();
        Ok(())
    }

    /// A customer's payments, latest first, then by id downwards; only before that moment and id, if they are given.
    pub fn history(
        &self,
        conn: &mut Conn,
        customer: i64,
        before: Option<(NaiveDateTime, i64)>,
        limit: i64,
    ) -> Result<Vec<Paid>, Error> {
        Ok(store::history(conn, customer, before, limit)?)
    }

    /// Starts the worker that goes on with what is open; until the process ends.
    pub fn start(&self) {
        tokio::spawn(work::run(self.clone()));
    }
}
