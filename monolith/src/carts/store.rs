//! The SQL of the carts, and nothing else.

use chassis::db::Conn;
use chassis::time::now;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::Error;
use super::model::{Cart, Item, MAX_ITEMS, State};
use super::schema::{cart_items, carts};
use crate::catalog::Product;

/// Opens an empty cart.
pub(crate) fn create(conn: &mut Conn, customer: i64) -> QueryResult<Cart> {
    let at = now();
    let id = diesel::insert_into(carts::table)
        .values((
            carts::customer_id.eq(customer),
            carts::state.eq(State::Open.as_str()),
            carts::created_at.eq(at),
            carts::updated_at.eq(at),
        ))
        .returning(carts::id)
        .get_result(conn)?;
    Ok(Cart {
        id,
        customer_id: customer,
        state: State::Open,
        items: Vec::new(),
        created_at: at,
        updated_at: at,
    })
}

/// A cart with its items.
pub(crate) fn find(conn: &mut Conn, id: i64) -> QueryResult<Option<Cart>> {
    let row: Option<(i64, String, NaiveDateTime, NaiveDateTime)> = carts::table
        .find(id)
        .select((
            carts::customer_id,
            carts::state,
            carts::created_at,
            carts::updated_at,
        ))
        .first(conn)
        .optional()?;
    let Some((customer_id, state, created_at, updated_at)) = row else {
        return Ok(None);
    };
    let items: Vec<(String, String, i64)> = cart_items::table
        .filter(cart_items::cart_id.eq(id))
        .order(cart_items::id.asc())
        .select((cart_items::sku, cart_items::name, cart_items::quantity))
        .load(conn)?;
    let item = |(sku, name, quantity)| Item { sku, name, quantity };
    Ok(Some(Cart {
        id,
        customer_id,
        state: State::stored(&state),
        items: items.into_iter().map(item).collect(),
        created_at,
        updated_at,
    }))
}

/// Puts so many units of a product into an open cart, in the place of those that it held.
pub(crate) fn put(conn: &mut Conn, id: i64, product: &Product, quantity: i64) -> Result<(), Error> {
    claim(conn, id, State::Open)?;
    let others: Vec<String> = cart_items::table
        .filter(cart_items::cart_id.eq(id))
        .filter(cart_items::sku.ne(&product.sku))
        .select(cart_items::currency)
        .load(conn)?;
    if others.len() >= MAX_ITEMS {
        return Err(Error::Full);
    }
    if let Some(other) = others.into_iter().find(|other| *other != product.price.currency) {
        return Err(Error::Currency {
            cart: other,
            product: product.price.currency.clone(),
        });
    }
    let said = (
        cart_items::name.eq(&product.name),
        cart_items::currency.eq(&product.price.currency),
        cart_items::quantity.eq(quantity),
    );
    let there = cart_items::table
        .filter(cart_items::cart_id.eq(id))
        .filter(cart_items::sku.eq(&product.sku));
    // The cart's row is claimed, so nobody puts the same product in between these two.
    if diesel::update(there).set(said).execute(conn)? == 0 {
        diesel::insert_into(cart_items::table)
            .values((cart_items::cart_id.eq(id), cart_items::sku.eq(&product.sku), said))
            .execute(conn)?;
    }
    Ok(())
}

/// Takes a product out of an open cart.
pub(crate) fn remove(conn: &mut Conn, id: i64, sku: &str) -> Result<(), Error> {
    claim(conn, id, State::Open)?;
    let there = cart_items::table
        .filter(cart_items::cart_id.eq(id))
        .filter(cart_items::sku.eq(sku));
    if diesel::delete(there).execute(conn)? == 0 {
        let sku = sku.to_owned();
        return Err(Error::NotInCart { cart: id, sku });
    }
    Ok(())
}

/// Turns an open cart into an ordered one.
pub(crate) fn take(conn: &mut Conn, id: i64) -> Result<(), Error> {
    claim(conn, id, State::Ordered)
}

/// Turns an ordered cart into an open one; an open one stays so.
pub(crate) fn reopen(conn: &mut Conn, id: i64) -> Result<(), Error> {
    let changed = diesel::update(carts::table.find(id))
        .set((carts::state.eq(State::Open.as_str()), carts::updated_at.eq(now())))
        .execute(conn)?;
    if changed == 0 {
        Err(Error::NoCart(id))
    } else {
        Ok(())
    }
}

/// Locks the cart if it is open, and leaves it in the state `to`.
fn claim(conn: &mut Conn, id: i64, to: State) -> Result<(), Error> {
    let open = carts::table
        .find(id)
        .filter(carts::state.eq(State::Open.as_str()));
    let changed = diesel::update(open)
        .set((carts::state.eq(to.as_str()), carts::updated_at.eq(now())))
        .execute(conn)?;
    if changed == 1 {
        return Ok(());
    }
    let there: i64 = carts::table.find(id).count().get_result(conn)?;
    Err(if there == 0 {
        Error::NoCart(id)
    } else {
        Error::Ordered(id)
    })
}
