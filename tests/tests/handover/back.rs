//! There and back, again and again, while clients never rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use banyan_tests::clients::{NAMED, Seen, last_reads};
use banyan_tests::history::{What, contradictions};

use chassis::db::Conn;
use diesel::connection::SimpleConnection;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rows;
use crate::world::{Process, World};

const CLIENTS: usize = 16;
const SOON: Duration = Duration::from_secs(10);

/// Hands the catalog over and back while clients never rest, then looks at everything.
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asked for the long run"
)]
pub(crate) fn there_and_back(world: &mut World) -> anyhow::Result<()> {
    let (times, rest) = (
        number("BANYAN_HANDOVERS", 2),
        Duration::from_secs(number("BANYAN_SECONDS", 2)),
    );
    let traffic = world.traffic(&[&world.router()], CLIENTS, false)?;
    let (began, mut passes) = (Instant::now(), Vec::new());
    for _ in 0..times {
        for to in ["service", "monolith"] {
            let from = Instant::now();
            let done = world.ask(&["handover", "catalog", "--to", to, "--json"])?;
            ensure!(done["outcome"] == "moved", "{done}");
            passes.push((from, Instant::now()));
            std::thread::sleep(rest);
        }
    }
    let took = began.elapsed();
    let seen = world.till.runtime.block_on(traffic.end())?;
    judge(world, &seen)?;
    let mut pauses = seen.pauses(&passes);
    pauses.sort();
    println!(
        "{}: {} requests ({:.0}/s), {} writes acknowledged, {} passes; longest wait of a write in a pass: median {:?}, greatest {:?}",
        world.database.name(),
        seen.requests,
        seen.requests as f64 / took.as_secs_f64(),
        seen.acknowledged,
        passes.len(),
        pauses[pauses.len() / 2],
        pauses[pauses.len() - 1],
    );
    Ok(())
}

/// Half of the clients read at the service and half at the monolith, whoever has the pen; each finds its own writes, which is judged as they
/// are read. What others wrote may be seen later on one side than on the other.
pub(crate) fn split_reads(world: &mut World) -> anyhow::Result<()> {
    world.ask(&["handover", "catalog", "--until", "copy", "--json"])?;
    let route = |mode: &str| format!("match = \"GET /api/products/{{sku}}\"\n{mode}\n");
    let one = route("mode = \"by-owner\"\nfallback = false");
    let split = route(&format!(
        "mode = \"canary\"\npercent = 50\nsticky = \"header:{NAMED}\""
    ));
    world.edit(&one, &split)?;
    let traffic = world.traffic(&[&world.router()], CLIENTS, false)?;
    for to in ["service", "monolith"] {
        let done = world.ask(&["handover", "catalog", "--to", to, "--json"])?;
        ensure!(done["outcome"] == "moved", "{done}");
        std::thread::sleep(Duration::from_secs(1));
    }
    let mut seen = world.till.runtime.block_on(traffic.end())?;
    let both = ["monolith", "catalog"].map(|side| seen.read_at.get(side).copied().unwrap_or(0));
    ensure!(
        both.iter().all(|reads| *reads > 100),
        "the reads were not split: {:?}",
        seen.read_at
    );
    seen.history
        .retain(|operation| !matches!(operation.what, What::Read { .. }));
    world.edit(&split, &one)?;
    judge(world, &seen)
}

/// Nothing failed, nothing is lost, nothing is doubled, one order of writes explains what everybody saw, and both databases have
/// the same rows.
pub(crate) fn judge(world: &World, seen: &Seen) -> anyhow::Result<()> {
    ensure!(
        seen.wrong.is_empty(),
        "{} things were wrong, the first: {:#?}",
        seen.wrong.len(),
        seen.wrong
    );
    let mut history = seen.history.clone();
    let router = world.router();
    let last = last_reads(&world.till.client, &router);
    history.extend(world.till.runtime.block_on(last)?);
    let wrong = contradictions(&history);
    ensure!(
        wrong.is_empty(),
        "{} contradictions, the first: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
    for (sku, known) in &seen.own {
        let (status, product) = world.till.runtime.block_on(get(world, sku))?;
        let found =
            (status == 200).then(|| (product["version"].as_i64(), product["price"]["amount"].as_i64()));
        let known = known.map(|(version, price)| (Some(version), Some(price)));
        ensure!(found == known, "{sku}: left as {known:?}, found as {found:?}");
    }
    let rows = world.until(
        "both databases have the same rows",
        Duration::from_secs(10),
        || {
            let (rows, wrong) = rows::compare(world)?;
            ensure!(wrong.is_empty(), "{wrong:#?}");
            Ok(Some(rows))
        },
    )?;
    ensure!(rows > 0, "no rows were compared");
    Ok(())
}

/// A product as the holder has it now.
async fn get(world: &World, sku: &str) -> anyhow::Result<(u16, serde_json::Value)> {
    let answer = world
        .till
        .client
        .get(format!("{}/api/products/{sku}", world.router()))
        .send()
        .await?;
    Ok((answer.status().as_u16(), answer.json().await.unwrap_or_default()))
}

fn number<N: std::str::FromStr>(variable: &str, usual: N) -> N {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

/// A product that is changed without a pause is never still between a look at one side and one at the other, so it is compared when writes
/// wait; the pen moves, and no change is lost.
pub(crate) fn never_at_rest(world: &mut World) -> anyhow::Result<()> {
    let product = json!({ "sku": "MUG", "name": "Mug", "category": "mugs", "price": { "amount": 1, "currency": "GBP" } });
    let (status, ..) = ask(world, Method::POST, "/api/products", Some(product), None)?;
    ensure!(status == StatusCode::CREATED, "{status}");
    let (is_over, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(1)));
    let changers: Vec<_> = (0..4)
        .map(|_| {
            let (client, token) = (world.till.client.clone(), world.till.token.clone());
            let url = format!("{}/api/products/MUG/price", world.router());
            let (is_over, changes) = (Arc::clone(&is_over), Arc::clone(&changes));
            world.till.runtime.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    // A price that is so already would change nothing.
                    let amount = PRICES.fetch_add(1, Ordering::Relaxed);
                    let price = json!({ "price": { "amount": amount, "currency": "GBP" } });
                    let answer = client.put(&url).bearer_auth(&token).json(&price).send().await?;
                    let status = answer.status();
                    ensure!(status == StatusCode::OK, "{status}: {}", answer.text().await?);
                    changes.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        })
        .collect();
    // It may come to rest by itself, so passes go on until it has been looked at while writes waited on the way there and on the way back.
    let mut looked_again = [0, 0];
    for pass in 0..40 {
        let to = ["service", "monolith"][pass % 2];
        let done = world.ask(&["handover", "catalog", "--to", to, "--json"])?;
        ensure!(done["outcome"] == "moved", "{done}");
        let steps = done["steps"].as_array().into_iter().flatten();
        looked_again[pass % 2] += steps.filter(|step| step["step"] == "verify").count() - 1;
        if pass >= 3 && looked_again.iter().all(|times| *times > 0) {
            break;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for changer in changers {
        world.till.runtime.block_on(changer)??;
    }
    ensure!(
        looked_again.iter().all(|times| *times > 0),
        "it came to rest by itself each time: {looked_again:?}"
    );
    let (_, product) = world.till.runtime.block_on(get(world, "MUG"))?;
    let changes = changes.load(Ordering::Relaxed);
    ensure!(product["version"] == changes, "{changes} changes, and {product}");
    world.until("both databases have the same rows", SOON, || {
        let (_, wrong) = rows::compare(world)?;
        Ok(wrong.is_empty().then_some(()))
    })
}

/// Each is used once.
static PRICES: AtomicI64 = AtomicI64::new(2);

/// The monolith answers for a service that is dead, as long as it follows: with what it has, which may be a moment old, to a client who has
/// written nothing; and not to one whose write it has not.
pub(crate) fn in_the_services_stead(world: &mut World) -> anyhow::Result<()> {
    world.ask(&["handover", "catalog", "--to", "service", "--json"])?;
    let route = |fallback| {
        format!("match = \"GET /api/products/{{sku}}\"\nmode = \"by-owner\"\nfallback = {fallback}\n")
    };
    world.edit(&route(false), &route(true))?;
    let product = json!({ "sku": "MUG", "name": "Mug", "category": "mugs", "price": { "amount": 1, "currency": "GBP" } });
    let (status, first, _) = ask(world, Method::POST, "/api/products", Some(product), None)?;
    ensure!(status == StatusCode::CREATED && first.is_some(), "{status}");
    world.until("the monolith has the product", SOON, || {
        let read = world.till.send(Method::GET, "/api/products/MUG", None);
        Ok((world.till.runtime.block_on(read)?.0 == StatusCode::OK).then_some(()))
    })?;
    // From here on the monolith applies nothing.
    let db = rows::open(world, Process::Monolith)?;
    let mut open = db.connect()?;
    let begin = if matches!(&*open, Conn::Postgres(_)) {
        "BEGIN"
    } else {
        "BEGIN IMMEDIATE"
    };
    open.batch_execute(&format!("{begin}; UPDATE follow_catalog SET cursor = cursor"))?;
    let price = json!({ "price": { "amount": 2, "currency": "GBP" } });
    let (status, written, _) = ask(world, Method::PUT, "/api/products/MUG/price", Some(price), None)?;
    ensure!(
        status == StatusCode::OK && written > first,
        "{status} {written:?}"
    );
    world.kill(Process::Catalog);
    let read = |position: Option<&str>| ask(world, Method::GET, "/api/products/MUG", None, position);
    let (status, _, body) = read(written.as_deref())?;
    ensure!(
        status.is_server_error(),
        "an answer older than its own write: {status} {body}"
    );
    let (status, _, body) = read(None)?;
    ensure!(
        status == StatusCode::OK && body["price"]["amount"] == 1,
        "{status} {body}"
    );
    open.batch_execute("ROLLBACK")?;
    drop(open);
    world.start(Process::Catalog)?;
    world.until("the write is read", SOON, || {
        let (status, _, body) = ask(world, Method::GET, "/api/products/MUG", None, written.as_deref())?;
        Ok((status == StatusCode::OK && body["price"]["amount"] == 2).then_some(()))
    })
}

/// A request through the router, from a client who has come so far; the answer's position, and its body.
fn ask(
    world: &World,
    method: Method,
    path: &str,
    body: Option<Value>,
    position: Option<&str>,
) -> anyhow::Result<(StatusCode, Option<String>, Value)> {
    let mut request = world
        .till
        .client
        .request(method, format!("{}{path}", world.router()))
        .bearer_auth(&world.till.token);
    if let Some(position) = position {
        request = request.header("x-data-position", position);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    world.till.runtime.block_on(async {
        let answer = request.send().await?;
        let status = answer.status();
        let position = answer.headers().get("x-data-position");
        let position = position.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok((status, position, answer.json().await.unwrap_or_default()))
    })
}
