//! Products in bulk, as they come from the monolith: with their versions, times, deletions and whole price history.

use std::collections::{BTreeSet, HashMap};

use chassis::db::Conn;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::search;
use super::write::category_id;
use crate::Error;
use crate::model::{PricePoint, Status};
use crate::money::Money;
use crate::schema::{categories, price_history, products};
use crate::words::index_entry;

/// Rows in one INSERT on PostgreSQL, which takes 65,535 parameters in a statement.
const ROWS_PER_INSERT: usize = 5_000;

/// A product with everything that is known of it. Its price is the last one of its history, which is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) status: Status,
    pub(crate) version: i64,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
    pub(crate) deleted_at: Option<NaiveDateTime>,
    pub(crate) prices: Vec<PricePoint>,
}

impl Whole {
    fn last_price(&self) -> i64 {
        i64::try_from(self.prices.len()).unwrap_or(i64::MAX)
    }

    fn index_entry(&self) -> Option<String> {
        self.deleted_at
            .is_none()
            .then(|| index_entry([&self.sku, &self.name, &self.description]))
    }
}

/// What a bulk write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) new: u64,
    pub(crate) changed: u64,
    pub(crate) same: u64,
}

/// Makes the rows of these SKUs equal to what came. Rows that are equal already are not written.
pub(crate) fn upsert(conn: &mut Conn, incoming: &[Whole]) -> Result<Effect, Error> {
    let mut known = present(conn, incoming)?;
    let mut effect = Effect::default();
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for whole in incoming {
        match known.remove(&whole.sku) {
            None => new.push(whole),
            Some((_, before)) if before == *whole => effect.same += 1,
            Some((id, before)) => changed.push((id, before, whole)),
        }
    }
    (effect.new, effect.changed) = (new.len() as u64, changed.len() as u64);
    let categories = category_ids(
        conn,
        new.iter()
            .copied()
            .chain(changed.iter().map(|(_, _, whole)| *whole)),
    )?;
    insert(conn, &new, &categories)?;
    for (id, before, whole) in changed {
        update(conn, id, &before, whole, &categories)?;
    }
    Ok(effect)
}

/// Ids of the products after the SKU `after` and, if there is an end, up to `end`, that are not among `keep`.
pub(crate) fn strangers(
    conn: &mut Conn,
    after: Option<&str>,
    end: Option<&str>,
    keep: &[Whole],
) -> QueryResult<Vec<i64>> {
    let mut query = products::table
        .filter(products::sku.gt(after.unwrap_or("")))
        .select((products::id, products::sku))
        .into_boxed();
    if let Some(end) = end {
        query = query.filter(products::sku.le(end));
    }
    let here: Vec<(i64, String)> = query.load(conn)?;
    let keep: BTreeSet<&str> = keep.iter().map(|whole| whole.sku.as_str()).collect();
    let stranger = |(id, sku): (i64, String)| (!keep.contains(sku.as_str())).then_some(id);
    Ok(here.into_iter().filter_map(stranger).collect())
}

/// Removes products for good, with their history.
pub(crate) fn remove(conn: &mut Conn, ids: &[i64]) -> QueryResult<usize> {
    diesel::delete(products::table.filter(products::id.eq_any(ids))).execute(conn)
}

/// The rows of these SKUs as they are here.
fn present(conn: &mut Conn, incoming: &[Whole]) -> QueryResult<HashMap<String, (i64, Whole)>> {
    let rows: Vec<Row> = products::table
        .inner_join(categories::table)
        .filter(products::sku.eq_any(incoming.iter().map(|whole| &whole.sku)))
        .select((
            products::id,
            products::sku,
            products::name,
            products::description,
            categories::slug,
            products::status,
            products::version,
            products::created_at,
            products::updated_at,
            products::deleted_at,
        ))
        .load(conn)?;
    let mut prices = prices(conn, rows.iter().map(|row| row.id).collect())?;
    let whole = |row: Row| {
        let prices = prices.remove(&row.id).unwrap_or_default();
        (row.sku.clone(), (row.id, row.with(prices)))
    };
    Ok(rows.into_iter().map(whole).collect())
}

#[derive(Queryable)]
struct Row {
    id: i64,
    sku: String,
    name: String,
    description: String,
    category: String,
    status: String,
    version: i64,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    deleted_at: Option<NaiveDateTime>,
}

impl Row {
    fn with(self, prices: Vec<PricePoint>) -> Whole {
        Whole {
            sku: self.sku,
            name: self.name,
            description: self.description,
            category: self.category,
            status: Status::of_word(&self.status),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            prices,
        }
    }
}

fn prices(conn: &mut Conn, products: Vec<i64>) -> QueryResult<HashMap<i64, Vec<PricePoint>>> {
    let rows: Vec<(i64, i64, String, NaiveDateTime)> = price_history::table
        .filter(price_history::product_id.eq_any(products))
        .select((
            price_history::product_id,
            price_history::amount,
            price_history::currency,
            price_history::effective_from,
        ))
        .order((price_history::product_id, price_history::seq))
        .load(conn)?;
    let mut found: HashMap<i64, Vec<PricePoint>> = HashMap::new();
    for (product, amount, currency, from) in rows {
        let price = Money { amount, currency };
        found.entry(product).or_default().push(PricePoint { price, from });
    }
    Ok(found)
}

/// The ids of all categories that are needed, made where they are not there yet.
fn category_ids<'w>(
    conn: &mut Conn,
    wholes: impl Iterator<Item = &'w Whole>,
) -> QueryResult<HashMap<&'w str, i64>> {
    // In one order, so that two writers never wait for each other crosswise.
    let slugs: BTreeSet<&str> = wholes.map(|whole| whole.category.as_str()).collect();
    slugs
        .into_iter()
        .map(|slug| Ok((slug, category_id(conn, slug)?)))
        .collect()
}

fn insert(conn: &mut Conn, new: &[&Whole], categories: &HashMap<&str, i64>) -> QueryResult<()> {
    let rows = new.iter().map(|whole| {
        (
            products::sku.eq(&whole.sku),
            products::name.eq(&whole.name),
            products::description.eq(&whole.description),
            products::category_id.eq(categories
                .get(whole.category.as_str())
                .copied()
                .unwrap_or_default()),
            products::status.eq(whole.status.word()),
            products::price_seq.eq(whole.last_price()),
            products::version.eq(whole.version),
            products::created_at.eq(whole.created_at),
            products::updated_at.eq(whole.updated_at),
            products::deleted_at.eq(whole.deleted_at),
        )
    });
    // One statement is quickest where each is a round trip; a prepared one where it is a call.
    let ids: HashMap<String, i64> = match conn {
        Conn::Postgres(conn) => diesel::insert_into(products::table)
            .values(rows.collect::<Vec<_>>())
            .returning((products::sku, products::id))
            .get_results(conn)?
            .into_iter()
            .collect(),
        Conn::Sqlite(conn) => rows
            .map(|row| {
                diesel::insert_into(products::table)
                    .values(row)
                    .returning((products::sku, products::id))
                    .get_result(conn)
            })
            .collect::<QueryResult<_>>()?,
    };
    let with_ids = || {
        new.iter()
            .filter_map(|whole| Some((*ids.get(&whole.sku)?, *whole)))
    };
    let histories: Vec<_> = with_ids()
        .flat_map(|(id, whole)| (1..).zip(&whole.prices).map(move |(seq, point)| (id, seq, point)))
        .collect();
    append_prices(conn, &histories)?;
    let entries: Vec<_> = with_ids()
        .filter_map(|(id, whole)| Some((id, whole.index_entry()?)))
        .collect();
    search::put(conn, &entries)
}

fn append_prices(conn: &mut Conn, points: &[(i64, i64, &PricePoint)]) -> QueryResult<()> {
    let row = |(id, seq, point): &(i64, i64, &PricePoint)| {
        (
            price_history::product_id.eq(*id),
            price_history::seq.eq(*seq),
            price_history::amount.eq(point.price.amount),
            price_history::currency.eq(point.price.currency.clone()),
            price_history::effective_from.eq(point.from),
        )
    };
    let new = || diesel::insert_into(price_history::table);
    match conn {
        Conn::Postgres(conn) => points.chunks(ROWS_PER_INSERT).try_for_each(|points| {
            let rows: Vec<_> = points.iter().map(row).collect();
            new().values(rows).execute(conn).map(drop)
        }),
        Conn::Sqlite(conn) => points
            .iter()
            .try_for_each(|point| new().values(row(point)).execute(conn).map(drop)),
    }
}

fn update(
    conn: &mut Conn,
    id: i64,
    before: &Whole,
    whole: &Whole,
    categories: &HashMap<&str, i64>,
) -> QueryResult<()> {
    diesel::update(products::table.find(id))
        .set((
            products::name.eq(&whole.name),
            products::description.eq(&whole.description),
            products::category_id.eq(categories
                .get(whole.category.as_str())
                .copied()
                .unwrap_or_default()),
            products::status.eq(whole.status.word()),
            products::price_seq.eq(whole.last_price()),
            products::version.eq(whole.version),
            products::created_at.eq(whole.created_at),
            products::updated_at.eq(whole.updated_at),
            products::deleted_at.eq(whole.deleted_at),
        ))
        .execute(conn)?;
    // The usual case is a history that has grown; one that differs in what both have is written anew.
    let mut kept = before.prices.len();
    if !whole.prices.starts_with(&before.prices) {
        diesel::delete(price_history::table.filter(price_history::product_id.eq(id))).execute(conn)?;
        kept = 0;
    }
    let grown: Vec<_> = (1..)
        .zip(&whole.prices)
        .skip(kept)
        .map(|(seq, point)| (id, seq, point))
        .collect();
    append_prices(conn, &grown)?;
    match whole.index_entry() {
        Some(entry) => search::put(conn, &[(id, entry)]),
        None => search::remove(conn, &[id]),
    }
}
