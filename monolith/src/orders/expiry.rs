//! The worker that gives up orders which nobody pays in time.

use std::time::Duration;

use chassis::db::Conn;
use chassis::time::now;

use super::{Error, Orders, store};
use crate::orders::model::State;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// Orders per look.
const BATCH: i64 = 100;

/// Runs until the process ends. It claims nothing: each order is decided under its lock.
pub(super) async fn run(orders: Orders) {
    loop {
        if let Err(error) = give_up_overdue(&orders).await {
            tracing::warn!(error = ?error, "unpaid orders could not be given up; trying again later");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn give_up_overdue(orders: &Orders) -> Result<(), Error> {
    let overdue = orders
        .db
        .read(|conn| Ok::<_, Error>(store::sagas::overdue(conn, BATCH)?))
        .await?;
    for id in overdue {
        let book = orders.book.clone();
        orders.db.write(move |conn| give_up(&book, conn, id)).await?;
    }
    Ok(())
}

fn give_up(book: &super::Book, conn: &mut Conn, id: i64) -> Result<(), Error> {
    let Some(order) = store::lock(conn, id)? else {
        return Ok(());
    };
    if order.state != State::Pending {
        return Ok(store::sagas::end(conn, id)?);
    }
    // A payment that is under way decides by itself.
    if order.payment == "pending" {
        return Ok(store::sagas::extend(
            conn,
            id,
            now() + chrono::Duration::minutes(1),
        )?);
    }
    book.give_up(conn, &order, "not_paid_in_time", "failed")
}
