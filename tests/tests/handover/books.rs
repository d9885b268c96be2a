//! A real shop's books, replayed as live orders while the catalog moves to the service and back, twice.
//!
//! Every price is set and every order placed through the router. What was sold is read from the shop's database by SQL, and compared with the
//! sums that are taken straight from the file. Cancellations and lines without a price are left out on both sides, since nobody can order
//! them; the first `BANYAN_INVOICES` invoices are replayed (60; 0 for all).

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use banyan_tests::books::{Line, Sums, add, file, lines, same};
use chassis::db::{Db, PoolSettings};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rows;
use crate::world::{Process, World};

/// How long the other modules may take to see a price that was set at the service.
const SOON: Duration = Duration::from_secs(5);

/// One order: what one invoice sold, each product once.
#[derive(Debug, Default)]
struct Order {
    invoice: String,
    country: String,
    /// By stock code: units, and pence for one.
    lines: BTreeMap<String, (i64, i64)>,
}

#[derive(QueryableByName)]
struct Sold {
    #[diesel(sql_type = BigInt)]
    customer: i64,
    #[diesel(sql_type = Text)]
    sku: String,
    #[diesel(sql_type = BigInt)]
    units: i64,
    #[diesel(sql_type = BigInt)]
    pence: i64,
}

/// Replays, moves, and adds up.
pub(crate) fn replayed(world: &mut World) -> anyhow::Result<()> {
    let invoices = std::env::var("BANYAN_INVOICES")
        .ok()
        .and_then(|text| text.parse().ok());
    let (orders, by_code, by_country) = read(invoices.unwrap_or(60))?;
    let customers = world.till.runtime.block_on(stock(world, &orders))?;
    let mut prices = HashMap::new();
    let quarter = orders.len().div_ceil(4);
    for (orders, to) in orders
        .chunks(quarter)
        .zip(["service", "monolith", "service", "monolith"])
    {
        let mut pass = world.spawn(&["handover", "catalog", "--to", to])?;
        let replay = async {
            for order in orders {
                sell(world, order, customers[&order.country], &mut prices)
                    .await
                    .with_context(|| format!("invoice {} beside a pass to the {to}", order.invoice))?;
            }
            anyhow::Ok(())
        };
        world.till.runtime.block_on(replay)?;
        ensure!(pass.wait()?.success(), "the pass to the {to} failed");
    }
    let sold = sold(world)?;
    let countries: HashMap<i64, &String> = customers.iter().map(|(country, id)| (*id, country)).collect();
    let (mut codes, mut lands) = (Sums::new(), Sums::new());
    for line in sold {
        add(&mut codes, &line.sku, line.units, line.pence);
        add(&mut lands, countries[&line.customer], line.units, line.pence);
    }
    same(&codes, &by_code).context("by stock code")?;
    same(&lands, &by_country).context("by country")?;
    world.until("both databases have the same rows", SOON, || {
        let (rows, wrong) = rows::compare(world)?;
        ensure!(rows > 0 && wrong.is_empty(), "{wrong:#?}");
        Ok(Some(()))
    })
}

/// The orders of the first invoices, and what they sum up to.
fn read(most: usize) -> anyhow::Result<(Vec<Order>, Sums, Sums)> {
    let (mut orders, mut by_code, mut by_country) = (Vec::<Order>::new(), Sums::new(), Sums::new());
    let (mut invoices, mut last) = (0, String::new());
    for line in lines(&file())? {
        let Line {
            invoice,
            code,
            units,
            pence,
            country,
            ..
        } = line;
        if units < 1 || pence < 1 {
            continue;
        }
        if last != invoice {
            invoices += 1;
            last.clone_from(&invoice);
            if most > 0 && invoices > most {
                break;
            }
        }
        add(&mut by_code, &code, units, units * pence);
        add(&mut by_country, &country, units, units * pence);
        // Where the invoice has it twice, or more than a cart takes, it becomes another order.
        let fits = |order: &&mut Order| {
            order.invoice == invoice && !order.lines.contains_key(&code) && order.lines.len() < 100
        };
        match orders.iter_mut().rev().take(10).find(fits) {
            Some(order) => {
                order.lines.insert(code, (units, pence));
            }
            None => orders.push(Order {
                invoice,
                country,
                lines: BTreeMap::from([(code, (units, pence))]),
            }),
        }
    }
    Ok((orders, by_code, by_country))
}

/// Every product, enough of each, and a customer for each country; their ids.
async fn stock(world: &World, orders: &[Order]) -> anyhow::Result<HashMap<String, i64>> {
    let mut customers = HashMap::new();
    let mut needed = BTreeMap::<&str, i64>::new();
    for order in orders {
        for (code, (units, _)) in &order.lines {
            *needed.entry(code).or_default() += units;
        }
        if !customers.contains_key(&order.country) {
            let customer = json!({ "email": format!("buyer-{}@example.org", customers.len()), "name": order.country,
                "password": "correct horse" });
            let made = send(
                world,
                Method::POST,
                "/api/customers",
                Some(customer),
                StatusCode::CREATED,
            )
            .await?;
            customers.insert(
                order.country.clone(),
                made["id"].as_i64().context("a customer has an id")?,
            );
        }
    }
    for (code, units) in needed {
        let product = json!({ "sku": code, "name": code, "category": "gifts", "price": { "amount": 1, "currency": "GBP" } });
        send(
            world,
            Method::POST,
            "/api/products",
            Some(product),
            StatusCode::CREATED,
        )
        .await?;
        let receipt = json!({ "kind": "receipt", "quantity": units });
        let path = format!("/api/stock/{code}/movements");
        send(world, Method::POST, &path, Some(receipt), StatusCode::CREATED).await?;
    }
    Ok(customers)
}

/// Sets the prices of an order and places it.
async fn sell(
    world: &World,
    order: &Order,
    customer: i64,
    prices: &mut HashMap<String, i64>,
) -> anyhow::Result<()> {
    for (code, (_, pence)) in &order.lines {
        if prices.get(code) != Some(pence) {
            let price = json!({ "price": { "amount": pence, "currency": "GBP" } });
            let path = format!("/api/products/{code}/price");
            send(world, Method::PUT, &path, Some(price), StatusCode::OK).await?;
            prices.insert(code.clone(), *pence);
        }
    }
    let cart = json!({ "customer_id": customer });
    let cart = send(world, Method::POST, "/api/carts", Some(cart), StatusCode::CREATED).await?["id"]
        .as_i64()
        .context("a cart has an id")?;
    for (code, (units, pence)) in &order.lines {
        // The orders ask the monolith's own copy, which may be a moment behind the service.
        let until = Instant::now() + SOON;
        loop {
            let (_, product) = world
                .till
                .send(Method::GET, &format!("/api/products/{code}"), None)
                .await?;
            if product["price"]["amount"] == *pence {
                break;
            }
            ensure!(
                Instant::now() < until,
                "{code} is to cost {pence}, and the monolith has {product}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let path = format!("/api/carts/{cart}/items/{code}");
        send(
            world,
            Method::PUT,
            &path,
            Some(json!({ "quantity": units })),
            StatusCode::OK,
        )
        .await?;
    }
    let body = json!({ "cart_id": cart, "payment_method": "tok_ok" });
    let answer = world
        .till
        .client
        .post(format!("{}/api/orders", world.router()))
        .bearer_auth(&world.till.token)
        .header("idempotency-key", format!("cart-{cart}"))
        .json(&body)
        .send()
        .await?;
    let status = answer.status();
    ensure!(status.is_success(), "{status} {}", answer.text().await?);
    Ok(())
}

/// Sends a request through the router; its answer must have this status.
async fn send(
    world: &World,
    method: Method,
    path: &str,
    body: Option<Value>,
    meant: StatusCode,
) -> anyhow::Result<Value> {
    let request = world
        .till
        .client
        .request(method, format!("{}{path}", world.router()))
        .bearer_auth(&world.till.token)
        .json(&body);
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status == meant, "{path}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// What the shop's own database says was sold.
fn sold(world: &World) -> anyhow::Result<Vec<Sold>> {
    let db = Db::open(world.database_of(Process::Monolith), &PoolSettings::default())?;
    let query = "SELECT o.customer_id AS customer, l.sku AS sku, CAST(SUM(l.quantity) AS BIGINT) AS units, \
        CAST(SUM(l.quantity * l.unit_amount) AS BIGINT) AS pence FROM orders o JOIN order_lines l ON l.order_id = o.id \
        WHERE o.state <> 'cancelled' GROUP BY o.customer_id, l.sku";
    Ok(diesel::sql_query(query).load(&mut *db.connect()?)?)
}
