//! The order book: every change of an order's state, with all that hangs on it, in the caller's transaction.
//!
//! Payments call it as [`Payables`]. It locks the order first, so that whatever else wants to change it waits.

use chassis::db::Conn;
use serde_json::json;

use super::model::{Order, OrderLine, State};
use super::{Error, store};
use crate::accounts::Accounts;
use crate::carts::Carts;
use crate::inventory::{self, Inventory, Line};
use crate::money::Money;
use crate::notifications::{Kind, Notice, Notifications};
use crate::payments::{self, Payable, Payables};

/// The order book; cheap to clone.
#[derive(Clone, Debug)]
pub struct Book {
    pub(super) inventory: Inventory,
    pub(super) carts: Carts,
    accounts: Accounts,
    notifications: Notifications,
}

impl Book {
    /// Puts the book together.
    pub fn new(inventory: Inventory, carts: Carts, accounts: Accounts, notifications: Notifications) -> Self {
        Self {
            inventory,
            carts,
            accounts,
            notifications,
        }
    }

    /// Confirms an order that was paid: its stock leaves. `false` if the order or its stock was given up meanwhile.
    fn confirm(&self, conn: &mut Conn, order: &Order) -> Result<bool, Error> {
        if order.state != State::Pending {
            return Ok(false);
        }
        if let Some(saga) = store::sagas::find(conn, order.id)? {
            match self.inventory.confirm(conn, saga.reservation_id) {
                Err(inventory::Error::Decided { .. }) => {
                    self.give_up(conn, order, "stock_given_up", "failed")?;
                    return Ok(false);
                }
                other => other?,
            }
        }
        store::set_state(conn, order.id, State::Confirmed, "paid", None)?;
        store::sagas::end(conn, order.id)?;
        let text = format!(
            "we have received your payment for order {} and are packing it.",
            order.number
        );
        self.tell(conn, order, Kind::OrderConfirmed, "is confirmed", &text)?;
        Ok(true)
    }

    /// Gives up an order that is not paid: stock and cart are free again.
    pub(super) fn give_up(
        &self,
        conn: &mut Conn,
        order: &Order,
        reason: &str,
        payment: &str,
    ) -> Result<(), Error> {
        store::set_state(conn, order.id, State::Cancelled, payment, Some(reason))?;
        if let Some(saga) = store::sagas::find(conn, order.id)? {
            match self.inventory.release(conn, saga.reservation_id) {
                // Expired, or gone with a sale that was undone: there is nothing left to give back.
                Err(inventory::Error::Decided { .. }) => {}
                other => other?,
            }
            self.carts.reopen(conn, saga.cart_id)?;
            store::sagas::end(conn, order.id)?;
        }
        let text = format!("your order {} was cancelled.", order.number);
        self.tell(conn, order, Kind::OrderCancelled, "was cancelled", &text)
    }

    /// Cancels an order that was confirmed: its goods come back. The money is the caller's affair.
    pub(super) fn take_back(&self, conn: &mut Conn, order: &Order, reason: &str) -> Result<(), Error> {
        store::set_state(conn, order.id, State::Cancelled, &order.payment, Some(reason))?;
        if store::sagas::find(conn, order.id)?.is_some() {
            let line = |line: &OrderLine| Line {
                sku: line.sku.clone(),
                quantity: line.quantity,
            };
            let lines: Vec<Line> = order.lines.iter().map(line).collect();
            self.inventory.restock(conn, &lines, &order.number)?;
        }
        let text = format!(
            "your order {} was cancelled. Your money is on its way back.",
            order.number
        );
        self.tell(conn, order, Kind::OrderCancelled, "was cancelled", &text)
    }

    /// Notes that a confirmed order left the house.
    pub(super) fn ship(&self, conn: &mut Conn, order: &Order) -> Result<(), Error> {
        store::set_state(conn, order.id, State::Shipped, &order.payment, None)?;
        let text = format!("your order {} is on its way.", order.number);
        self.tell(conn, order, Kind::OrderShipped, "is on its way", &text)
    }

    /// Tells the customer by mail and subscribers by webhook.
    fn tell(&self, conn: &mut Conn, order: &Order, kind: Kind, what: &str, text: &str) -> Result<(), Error> {
        let event = match kind {
            Kind::OrderConfirmed => "order.confirmed",
            Kind::OrderShipped => "order.shipped",
            Kind::PaymentRefunded => "payment.refunded",
            _ => "order.cancelled",
        };
        let data = json!({ "order_id": order.id, "number": order.number, "customer_id": order.customer_id });
        self.notifications.announce(conn, event, &data)?;
        let Some(customer_id) = order.customer_id else {
            return Ok(());
        };
        let Some(contact) = self.accounts.contact(conn, customer_id)? else {
            return Ok(());
        };
        let notice = Notice {
            customer_id,
            email: contact.email,
            kind,
            subject: format!("Order {} {what}", order.number),
            body: format!("Dear {},\n\n{text}\n", contact.name),
        };
        Ok(self.notifications.enqueue(conn, &notice)?)
    }

    fn locked(conn: &mut Conn, id: i64) -> Result<Order, Error> {
        store::lock(conn, id)?.ok_or(Error::NoOrder(id))
    }
}

impl Payables for Book {
    fn lock(&self, conn: &mut Conn, order: i64) -> Result<Option<Payable>, payments::Error> {
        let Some(order) = store::lock(conn, order)? else {
            return Ok(None);
        };
        let is_due = order.state == State::Pending && order.payment != "pending" && order.total.amount > 0;
        Ok(Some(Payable {
            customer_id: order.customer_id,
            due: is_due.then_some(order.total),
        }))
    }

    fn charging(&self, conn: &mut Conn, order: i64) -> Result<(), payments::Error> {
        Ok(store::set_payment(conn, order, "pending")?)
    }

    fn paid(&self, conn: &mut Conn, order: i64) -> Result<bool, payments::Error> {
        Self::locked(conn, order)
            .and_then(|order| self.confirm(conn, &order))
            .map_err(payments::Error::from)
    }

    fn failed(&self, conn: &mut Conn, order: i64, reason: &str) -> Result<(), payments::Error> {
        let order = Self::locked(conn, order)?;
        if order.state != State::Pending {
            return Ok(());
        }
        // An order that was placed to be paid at once is given up; one that waits to be paid goes on waiting.
        if store::sagas::waits(conn, order.id)? {
            return Ok(store::set_payment(conn, order.id, "failed")?);
        }
        let reason = if reason.contains("declined") {
            "payment_declined"
        } else {
            "payment_failed"
        };
        Ok(self.give_up(conn, &order, reason, "failed")?)
    }

    fn refunded(
        &self,
        conn: &mut Conn,
        order: i64,
        amount: &Money,
        in_full: bool,
    ) -> Result<(), payments::Error> {
        let order = Self::locked(conn, order)?;
        if in_full {
            store::set_payment(conn, order.id, "refunded")?;
        }
        let text = format!(
            "{}.{:02} {} of order {} went back to you.",
            amount.amount / 100,
            amount.amount % 100,
            amount.currency,
            order.number
        );
        Ok(self.tell(conn, &order, Kind::PaymentRefunded, "was refunded", &text)?)
    }
}

impl From<Error> for payments::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => Self::Database(error),
            error => Self::Payable(Box::new(error)),
        }
    }
}
