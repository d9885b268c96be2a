//! The report on what happened between a customer and the shop: orders, payments and notifications as one list.
//!
//! Each of the three modules gives its own events from one place in time on; the list is their merger. The place is a
//! moment, a kind and an id, so that it is exact even where events of several modules share a moment.

use chassis::page::Page;
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Error, Reports};
use crate::notifications::Told;
use crate::orders::Placed;
use crate::payments::Paid;

/// What an event is. Of those at one moment, the list has them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum EventKind {
    Notification,
    Payment,
    Order,
}

/// Where a page of the report ended.
pub(super) type Place = (NaiveDateTime, EventKind, i64);

/// Something that happened.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: NaiveDateTime,
    pub(super) kind: EventKind,
    pub(super) id: i64,
    pub(super) summary: String,
}

impl Reports {
    /// What happened with a customer, latest first, after the place `after`.
    pub(super) async fn history(
        &self,
        customer: i64,
        after: Option<Place>,
        limit: i64,
    ) -> Result<Page<Event>, Error> {
        let reports = self.clone();
        let events = self
            .db
            .read(move |conn| {
                let from = |kind| after.map(|place| before(place, kind));
                let (orders, payments, told) = (
                    from(EventKind::Order),
                    from(EventKind::Payment),
                    from(EventKind::Notification),
                );
                let orders = reports.orders.history(conn, customer, orders, limit + 1)?;
                let payments = reports.payments.history(conn, customer, payments, limit + 1)?;
                let told = reports.notifications.history(conn, customer, told, limit + 1)?;
                Ok::<_, Error>(merge(orders, payments, told))
            })
            .await?;
        Ok(Page::of(events, limit, |event| (event.at, event.kind, event.id)))
    }
}

/// Where the events of one kind go on that come after a place in the whole list.
fn before((at, last, id): Place, kind: EventKind) -> (NaiveDateTime, i64) {
    match kind.cmp(&last) {
        // Of this moment, all of the kind are told already, those down to the id, or none.
        std::cmp::Ordering::Less => (at, 0),
        std::cmp::Ordering::Equal => (at, id),
        std::cmp::Ordering::Greater => (at, i64::MAX),
    }
}

fn merge(orders: Vec<Placed>, payments: Vec<Paid>, told: Vec<Told>) -> Vec<Event> {
    let orders = orders.into_iter().map(Event::from);
    let payments = payments.into_iter().map(Event::from);
    let told = told.into_iter().map(Event::from);
    let mut events: Vec<Event> = orders.chain(payments).chain(told).collect();
    events.sort_by(|a, b| (b.at, a.kind, b.id).cmp(&(a.at, b.kind, a.id)));
    events
}

impl From<Placed> for Event {
    fn from(order: Placed) -> Self {
        Self {
            at: order.at,
            kind: EventKind::Order,
            id: order.id,
            summary: format!("Order {} over {}: {}", order.number, order.total, order.state),
        }
    }
}

impl From<Paid> for Event {
    fn from(payment: Paid) -> Self {
        Self {
            at: payment.at,
            kind: EventKind::Payment,
            id: payment.id,
            summary: format!("Payment of {}: {}", payment.amount, payment.state.as_str()),
        }
    }
}

impl From<Told> for Event {
    fn from(told: Told) -> Self {
        Self {
            at: told.at,
            kind: EventKind::Notification,
            id: told.id,
            summary: format!("Mail “{}”: {}", told.subject, told.state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Money;

    fn moment(second: u32) -> NaiveDateTime {
        chrono::NaiveDate::from_ymd_opt(2026, 1, 1)
            .unwrap()
            .and_hms_opt(0, 0, second)
            .unwrap()
    }

    /// Orders, payments and mails with ids 1 and 2, all at two moments.
    fn all() -> (Vec<Placed>, Vec<Paid>, Vec<Told>) {
        let places = [(2, 2), (1, 2), (2, 1), (1, 1)];
        let order = |(id, second)| Placed {
            id,
            number: format!("B{id}"),
            at: moment(second),
            state: "confirmed",
            total: Money::new(1250, "GBP"),
        };
        let payment = |(id, second)| Paid {
            id,
            at: moment(second),
            order_id: 1,
            amount: Money::new(1250, "GBP"),
            state: crate::payments::State::Captured,
        };
        let told = |(id, second)| Told {
            id,
            at: moment(second),
            subject: "Welcome".to_owned(),
            state: "sent".to_owned(),
        };
        (
            places.map(order).into(),
            places.map(payment).into(),
            places.map(told).into(),
        )
    }

    #[test]
    fn pages_of_any_size_join_to_the_whole_list_even_at_one_moment() {
        let (orders, payments, told) = all();
        let key = |event: &Event| (event.at, event.kind, event.id);
        let whole: Vec<_> = merge(orders, payments, told).iter().map(key).collect();
        assert_eq!(whole.len(), 12);
        for size in 1..=12 {
            let (mut joined, mut after): (Vec<Place>, Option<Place>) = (Vec::new(), None);
            while joined.len() < whole.len() {
                let (orders, payments, told) = all();
                let goes_on = |kind, at, id| after.is_none_or(|place| (at, id) < before(place, kind));
                let orders = orders
                    .into_iter()
                    .filter(|one| goes_on(EventKind::Order, one.at, one.id));
                let payments = payments
                    .into_iter()
                    .filter(|one| goes_on(EventKind::Payment, one.at, one.id));
                let told = told
                    .into_iter()
                    .filter(|one| goes_on(EventKind::Notification, one.at, one.id));
                let events = merge(
                    orders.take(size).collect(),
                    payments.take(size).collect(),
                    told.take(size).collect(),
                );
                joined.extend(events.iter().take(size).map(key));
                after = joined.last().copied();
            }
            assert_eq!(joined, whole, "pages of {size}");
        }
    }

    #[test]
    fn an_event_says_what_happened_in_a_line() {
        let (orders, payments, told) = all();
        let said: Vec<_> = merge(orders, payments, told)
            .into_iter()
            .map(|event| event.summary)
            .collect();
        assert_eq!(said[0], "Mail “Welcome”: sent");
        assert_eq!(said[2], "Payment of 12.50 GBP: captured");
        assert_eq!(said[4], "Order B2 over 12.50 GBP: confirmed");
    }
}
