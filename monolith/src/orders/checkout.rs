//! The checkout: from a cart to an order that is confirmed or cancelled, once per idempotency key.
//!
//! | step | a crash right after it leaves | who goes on |
//! | --- | --- | --- |
//! | prices asked of the catalog | nothing | the client tries again |
//! | one transaction: key taken, cart closed, stock set aside, order `pending`, saga, payment `pending` | an order that is undecided, and a client without an answer | the payments worker; a repetition of the request waits for it and gets its answer |
//! | the provider charged | the same; the provider makes one charge per key of ours | the same |
//! | one transaction: payment settled, order confirmed or cancelled, stock gone or free, customer told | a decided order, and a client without an answer | a repetition of the request is answered from the order |
//! | answer kept under the key | nothing open | |
//!
//! Two requests with one key at the same time: the second finds the key taken (on PostgreSQL after waiting for the first
//! transaction), makes nothing, and waits for the first one's order to be decided.

use std::time::Duration;

use chassis::db::Conn;
use chassis::time::now;
use tokio::time::{Instant, sleep};

use super::model::{NewOrder, Order, OrderLine, State, total};
use super::store::sagas::Saga;
use super::{Error, Orders, store};
use crate::carts::{self, Contents};
use crate::inventory::{self, Line};
use crate::money::Money;

/// How long an order may wait to be paid, and stock may be set aside for it.
const TIME_TO_PAY: chrono::Duration = chrono::Duration::hours(24);
/// How long a repetition of a request waits for the first one's answer.
const WAIT: Duration = Duration::from_secs(10);
/// How often it looks.
const EVERY: Duration = Duration::from_millis(100);
/// How often an order is tried whose cart changes meanwhile.
const TRIES: u32 = 3;

/// A request to order.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Whose key it is: keys of different sessions' owners do not meet.
    pub(super) scope: String,
    pub(super) key: String,
    /// Of the body, to tell a repetition from another request.
    pub(super) body_hash: String,
    pub(super) cart: i64,
    pub(super) payment_method: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The order, to be answered from and the answer to be [kept](keep).
    Placed(Box<Order>),
    /// The answer that was given before.
    Replayed(i64, String),
}

/// Places an order, or finds what came of the same request before. `may_order` tells whose carts may be ordered.
pub(super) async fn place(
    orders: &Orders,
    request: &Request,
    may_order: impl Fn(i64) -> bool,
) -> Result<Outcome, Error> {
    for _ in 0..TRIES {
        if let Some(outcome) = follow(orders, request).await? {
            return Ok(outcome);
        }
        let contents = contents(orders, request.cart, &may_order).await?;
        let priced = match priced(orders, request.cart, &contents).await {
            // The cart may have been taken by the first request with this key: then there is an answer to follow.
            Err(Error::CartOrdered(cart)) => {
                return follow(orders, request).await?.ok_or(Error::CartOrdered(cart));
            }
            priced => priced?,
        };
        let (db, this, wanted) = (orders.db.clone(), orders.clone(), request.clone());
        match db
            .write(move |conn| write(&this, conn, &wanted, &contents, &priced))
            .await
        {
            Ok((order, payment)) => {
                if let Some(payment) = payment {
                    orders.payments.charge(payment).await?;
                }
                return Ok(Outcome::Placed(Box::new(read(orders, order).await?)));
            }
            // Both are looked at anew from the top.
            Err(Error::Duplicate | Error::CartChanged(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::CartChanged(request.cart))
}

/// Keeps the answer under the key, unless another was kept before; gives the one that holds.
pub(super) async fn keep(
    orders: &Orders,
    request: &Request,
    status: u16,
    body: String,
) -> Result<(i64, String), Error> {
    let (scope, key) = (request.scope.clone(), request.key.clone());
    let keep = move |conn: &mut Conn| Ok(store::keys::answer(conn, &scope, &key, i64::from(status), &body)?);
    orders.db.write(keep).await
}

/// What came of an earlier request with this key; waits while that is being worked on.
async fn follow(orders: &Orders, request: &Request) -> Result<Option<Outcome>, Error> {
    let until = Instant::now() + WAIT;
    loop {
        let (scope, key) = (request.scope.clone(), request.key.clone());
        let found = orders
            .db
            .read(move |conn| Ok::<_, Error>(store::keys::find(conn, &scope, &key)?))
            .await?;
        let Some(record) = found else { return Ok(None) };
        if record.body_hash != request.body_hash {
            return Err(Error::KeyReused);
        }
        if let (Some(status), Some(body)) = (record.status, record.body) {
            return Ok(Some(Outcome::Replayed(status, body)));
        }
        let order = read(orders, record.order_id).await?;
        if order.state != State::Pending || order.payment != "pending" {
            return Ok(Some(Outcome::Placed(Box::new(order))));
        }
        if Instant::now() >= until {
            return Err(Error::InProgress);
        }
        sleep(EVERY).await;
    }
}

async fn contents(orders: &Orders, cart: i64, may_order: &impl Fn(i64) -> bool) -> Result<Contents, Error> {
    let carts = orders.book.carts.clone();
    let contents = orders
        .db
        .read(move |conn| Ok::<_, Error>(carts.contents(conn, cart)?))
        .await;
    match contents {
        Ok(contents) if may_order(contents.customer_id) => Ok(contents),
        Ok(_) | Err(Error::Carts(carts::Error::NoCart(_))) => Err(Error::NoCart(cart)),
        Err(error) => Err(error),
    }
}

/// The lines of an order with the names and prices of now, and their sum.
#[derive(Clone, Debug)]
struct Priced {
    lines: Vec<OrderLine>,
    total: Money,
}

/// Asks the catalog for names and prices.
async fn priced(orders: &Orders, cart: i64, contents: &Contents) -> Result<Priced, Error> {
    if contents.state != carts::State::Open {
        return Err(Error::CartOrdered(cart));
    }
    if contents.lines.is_empty() {
        return Err(Error::CartEmpty(cart));
    }
    let skus = contents.lines.iter().map(|(sku, _)| sku.clone()).collect();
    let mut products = orders.catalog.products(skus).await?;
    let mut currency = None;
    let mut lines = Vec::with_capacity(contents.lines.len());
    for (sku, quantity) in &contents.lines {
        let product = products.remove(sku).filter(|product| product.on_sale);
        let product = product.ok_or_else(|| Error::Gone(sku.clone()))?;
        let first = currency.get_or_insert_with(|| product.price.currency.clone());
        if *first != product.price.currency {
            return Err(Error::Sum(format!(
                "prices are in {first} and {}",
                product.price.currency
            )));
        }
        let unit_amount = product.price.amount;
        lines.push(OrderLine {
            sku: sku.clone(),
            name: product.name,
            quantity: *quantity,
            unit_amount,
        });
    }
    let total = total(&lines).ok_or_else(|| Error::Sum("it is too much".to_owned()))?;
    Ok(Priced {
        lines,
        total: Money::new(total, currency.unwrap_or_default()),
    })
}

/// The one transaction: all of the order, or nothing. Gives the order and its payment, if it is to be paid at once.
fn write(
    orders: &Orders,
    conn: &mut Conn,
    request: &Request,
    contents: &Contents,
    priced: &Priced,
) -> Result<(i64, Option<i64>), Error> {
    if !store::keys::insert(conn, &request.scope, &request.key, &request.body_hash)? {
        return Err(Error::Duplicate);
    }
    let book = &orders.book;
    let taken = match book.carts.take_for_order(conn, request.cart) {
        Err(carts::Error::Ordered(cart)) => return Err(Error::CartOrdered(cart)),
        taken => taken?,
    };
    if taken.lines != contents.lines {
        return Err(Error::CartChanged(request.cart));
    }
    let reservation_id = set_aside(orders, conn, request, priced)?;
    // What costs nothing cannot be charged; it waits for staff like any order that is paid later.
    let at_once = request
        .payment_method
        .as_deref()
        .filter(|_| priced.total.amount > 0);
    let new = NewOrder {
        customer_id: contents.customer_id,
        total: priced.total.clone(),
        lines: priced.lines.clone(),
        awaits_payment: at_once.is_none(),
    };
    let order = store::insert(conn, &new)?;
    let saga = Saga {
        cart_id: request.cart,
        reservation_id,
    };
    store::sagas::insert(conn, order, &saga, at_once.is_none(), now() + TIME_TO_PAY)?;
    store::keys::set_order(conn, &request.scope, &request.key, order)?;
    let Some(method) = at_once else {
        return Ok((order, None));
    };
    let payment = orders
        .payments
        .open(conn, order, Some(contents.customer_id), &priced.total, method)?;
    Ok((order, Some(payment)))
}

/// Sets the stock of all lines aside, and gives the reservation.
fn set_aside(orders: &Orders, conn: &mut Conn, request: &Request, priced: &Priced) -> Result<i64, Error> {
    let line = |line: &OrderLine| Line {
        sku: line.sku.clone(),
        quantity: line.quantity,
    };
    let wanted: Vec<Line> = priced.lines.iter().map(line).collect();
    let reference = format!("cart {}", request.cart);
    match orders
        .book
        .inventory
        .reserve(conn, &wanted, TIME_TO_PAY, &reference)
    {
        Err(inventory::Error::Insufficient {
            index,
            sku,
            available,
        }) => Err(Error::Insufficient {
            index,
            sku,
            available,
        }),
        reserved => Ok(reserved?),
    }
}

async fn read(orders: &Orders, id: i64) -> Result<Order, Error> {
    let found = orders
        .db
        .read(move |conn| Ok::<_, Error>(store::find(conn, id)?))
        .await?;
    found.ok_or(Error::NoOrder(id))
}
