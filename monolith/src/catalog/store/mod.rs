//! The SQL of the catalog, and nothing else.

pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod keys;

use chassis::db::Conn;
use chassis::time::now;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::Error;
use super::model::{Expected, Filter, NewProduct, Product, Status, search_words};
use super::schema::{categories, price_history, products};
use crate::money::Money;

#[derive(Queryable)]
struct Row {
    sku: String,
    name: String,
    description: String,
    category: String,
    price_amount: i64,
    price_currency: String,
    status: String,
    version: i64,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    deleted_at: Option<NaiveDateTime>,
}

/// The columns of [`Row`], in its order.
type Columns = (
    products::sku,
    products::name,
    products::description,
    categories::slug,
    products::price_amount,
    products::price_currency,
    products::status,
    products::version,
    products::created_at,
    products::updated_at,
    products::deleted_at,
);

impl From<Row> for Product {
    fn from(row: Row) -> Self {
        Self {
            sku: row.sku,
            name: row.name,
            description: row.description,
            category: row.category,
            price: Money::new(row.price_amount, row.price_currency),
            status: Status::stored(&row.status),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
        }
    }
}

/// The product with this SKU, unless it was deleted.
pub(crate) fn find(conn: &mut Conn, sku: &str) -> QueryResult<Option<Product>> {
    Ok(find_even_deleted(conn, sku)?.filter(|product| product.deleted_at.is_none()))
}

fn find_even_deleted(conn: &mut Conn, sku: &str) -> QueryResult<Option<Product>> {
    let row: Option<Row> = products::table
        .inner_join(categories::table)
        .filter(products::sku.eq(sku))
        .select(Columns::default())
        .first(conn)
        .optional()?;
    Ok(row.map(Product::from))
}

/// Products in the order of their SKUs, after the SKU `after`.
pub(crate) fn list(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<Product>> {
    let mut query = products::table
        .inner_join(categories::table)
        .filter(products::deleted_at.is_null())
        .select(Columns::default())
        .order(products::sku.asc())
        .limit(limit)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(products::sku.gt(after));
    }
    if let Some(category) = &filter.category {
        query = query.filter(categories::slug.eq(category));
    }
    if let Some(status) = filter.status {
        query = query.filter(products::status.eq(status.as_str()));
    }
    if let Some(skus) = &filter.skus {
        query = query.filter(products::sku.eq_any(skus));
    }
    // Words hold letters and digits alone, so there is nothing to escape.
    for (i, word) in filter.words.iter().enumerate() {
        let last = i + 1 == filter.words.len();
        let pattern = if last {
            format!("% {word}%")
        } else {
            format!("% {word} %")
        };
        query = query.filter(products::search_words.like(pattern));
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows.into_iter().map(Product::from).collect())
}

/// All products with these SKUs.
pub(crate) fn with_skus(conn: &mut Conn, skus: &[String]) -> QueryResult<Vec<Product>> {
    let filter = Filter {
        skus: Some(skus.to_vec()),
        ..Filter::default()
    };
    list(conn, &filter, None, i64::try_from(skus.len()).unwrap_or(i64::MAX))
}

/// Adds a product. A SKU that was deleted is used again, and its versions go on, so that no old ETag ever matches.
pub(crate) fn create(conn: &mut Conn, sku: &str, new: &NewProduct) -> Result<Product, Error> {
    let at = now();
    lock(conn, sku)?;
    match find_even_deleted(conn, sku)? {
        Some(Product { deleted_at: None, .. }) => return Err(Error::SkuTaken(sku.to_owned())),
        Some(deleted) => {
            replace_row(conn, sku, new, deleted.version + 1, at)?;
            diesel::update(products::table.filter(products::sku.eq(sku)))
                .set((
                    products::created_at.eq(at),
                    products::deleted_at.eq(None::<NaiveDateTime>),
                ))
                .execute(conn)?;
        }
        None => insert_row(conn, sku, new, at)?,
    }
    record_price(conn, sku, &new.price, at)?;
    found(conn, sku)
}

/// Replaces what clients may say about a product.
pub(crate) fn replace(
    conn: &mut Conn,
    sku: &str,
    new: &NewProduct,
    expected: &Expected,
) -> Result<Product, Error> {
    let before = current(conn, sku, expected)?;
    let at = now();
    replace_row(conn, sku, new, before.version + 1, at)?;
    if before.price != new.price {
        record_price(conn, sku, &new.price, at)?;
    }
    found(conn, sku)
}

/// Changes the price alone. The same price again changes nothing.
pub(crate) fn set_price(
    conn: &mut Conn,
    sku: &str,
    price: &Money,
    expected: &Expected,
) -> Result<Product, Error> {
    let before = current(conn, sku, expected)?;
    if before.price == *price {
        return Ok(before);
    }
    let at = now();
    diesel::update(products::table.filter(products::sku.eq(sku)))
        .set((
            products::price_amount.eq(price.amount),
            products::price_currency.eq(&price.currency),
            products::version.eq(before.version + 1),
            products::updated_at.eq(at),
        ))
        .execute(conn)?;
    record_price(conn, sku, price, at)?;
    found(conn, sku)
}

/// Deletes a product; its row stays as the memory of its version.
pub(crate) fn delete(conn: &mut Conn, sku: &str, expected: &Expected) -> Result<(), Error> {
    let before = current(conn, sku, expected)?;
    let at = now();
    diesel::update(products::table.filter(products::sku.eq(sku)))
        .set((
            products::version.eq(before.version + 1),
            products::updated_at.eq(at),
            products::deleted_at.eq(Some(at)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Categories that hold products, in the order of their slugs: slug, name, number of products.
pub(crate) fn categories_in_use(
    conn: &mut Conn,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<(String, String, i64)>> {
    categories::table
        .inner_join(products::table)
        .filter(products::deleted_at.is_null())
        .filter(categories::slug.gt(after.unwrap_or("")))
        .group_by((categories::slug, categories::name))
        .select((
            categories::slug,
            categories::name,
            diesel::dsl::count(products::id),
        ))
        .order(categories::slug.asc())
        .limit(limit)
        .load(conn)
}

/// Locks the product, deleted or not, until the transaction ends. On SQLite the transaction itself is the lock.
fn lock(conn: &mut Conn, sku: &str) -> QueryResult<()> {
    if let Conn::Postgres(postgres) = conn {
        products::table
            .select(products::id)
            .filter(products::sku.eq(sku))
            .for_update()
            .first::<i64>(postgres)
            .optional()?;
    }
    Ok(())
}

/// Locks the product and checks its version.
fn current(conn: &mut Conn, sku: &str, expected: &Expected) -> Result<Product, Error> {
    lock(conn, sku)?;
    let product = find(conn, sku)?.ok_or_else(|| Error::NotFound(sku.to_owned()))?;
    if expected.admits(product.version) {
        Ok(product)
    } else {
        Err(Error::Changed {
            current: product.version,
        })
    }
}

fn found(conn: &mut Conn, sku: &str) -> Result<Product, Error> {
    find(conn, sku)?.ok_or_else(|| Error::NotFound(sku.to_owned()))
}

fn insert_row(conn: &mut Conn, sku: &str, new: &NewProduct, at: NaiveDateTime) -> Result<(), Error> {
    let category = category_id(conn, &new.category)?;
    let inserted = diesel::insert_into(products::table)
        .values((
            products::sku.eq(sku),
            products::name.eq(&new.name),
            products::description.eq(&new.description),
            products::category_id.eq(category),
            products::price_amount.eq(new.price.amount),
            products::price_currency.eq(&new.price.currency),
            products::status.eq(new.status.as_str()),
            products::search_words.eq(search_words(sku, &new.name, &new.description)),
            products::version.eq(1),
            products::created_at.eq(at),
            products::updated_at.eq(at),
        ))
        .execute(conn)
        .map_err(chassis::db::Error::from);
    match inserted {
        // Another transaction was first: the client learns the same as if it had come later.
        Err(error) if error.is_unique_violation() => Err(Error::SkuTaken(sku.to_owned())),
        other => Ok(other.map(drop)?),
    }
}

fn replace_row(
    conn: &mut Conn,
    sku: &str,
    new: &NewProduct,
    version: i64,
    at: NaiveDateTime,
) -> QueryResult<()> {
    let category = category_id(conn, &new.category)?;
    diesel::update(products::table.filter(products::sku.eq(sku)))
        .set((
            products::name.eq(&new.name),
            products::description.eq(&new.description),
            products::category_id.eq(category),
            products::price_amount.eq(new.price.amount),
            products::price_currency.eq(&new.price.currency),
            products::status.eq(new.status.as_str()),
            products::search_words.eq(search_words(sku, &new.name, &new.description)),
            products::version.eq(version),
            products::updated_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}

/// The id of the category with this slug, which is made if need be.
fn category_id(conn: &mut Conn, slug: &str) -> QueryResult<i64> {
    let new = (categories::slug.eq(slug), categories::name.eq(slug));
    let insert = diesel::insert_into(categories::table).values(new);
    match conn {
        Conn::Postgres(conn) => insert.on_conflict_do_nothing().execute(conn)?,
        Conn::Sqlite(conn) => insert.on_conflict_do_nothing().execute(conn)?,
    };
    categories::table
        .filter(categories::slug.eq(slug))
        .select(categories::id)
        .first(conn)
}

fn record_price(conn: &mut Conn, sku: &str, price: &Money, at: NaiveDateTime) -> QueryResult<()> {
    let product: i64 = products::table
        .filter(products::sku.eq(sku))
        .select(products::id)
        .first(conn)?;
    diesel::insert_into(price_history::table)
        .values((
            price_history::product_id.eq(product),
            price_history::amount.eq(price.amount),
            price_history::currency.eq(&price.currency),
            price_history::effective_from.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}
