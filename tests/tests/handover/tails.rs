//! What goes wrong at the edges of a hand-over, and what must hold on the other side of one.

use std::time::Duration;

use anyhow::{Context, ensure};
use handover::wire::Retention;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rows;
use crate::world::{Process, World};

const PATIENCE: Duration = Duration::from_secs(15);

/// A request through the router: status, ETag, what else is asked for, and body.
fn send(
    world: &World,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> anyhow::Result<(StatusCode, String, Value)> {
    let mut request = world
        .till
        .client
        .request(method, format!("{}{path}", world.router()))
        .bearer_auth(&world.till.token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    world.till.runtime.block_on(async {
        let answer = request.send().await?;
        let tag = answer
            .headers()
            .get("etag")
            .and_then(|tag| tag.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok((answer.status(), tag, answer.json().await.unwrap_or(Value::Null)))
    })
}

fn product(sku: &str, price: i64) -> Value {
    json!({ "sku": sku, "name": format!("Thing {sku}"), "category": "things", "price": { "amount": price, "currency": "GBP" } })
}

fn create(world: &World, sku: &str) -> anyhow::Result<String> {
    let (status, tag, body) = send(world, Method::POST, "/api/products", &[], Some(product(sku, 100)))?;
    ensure!(status == StatusCode::CREATED, "{sku}: {status} {body}");
    Ok(tag)
}

fn to(world: &World, side: &str) -> anyhow::Result<()> {
    let done = world.ask(&["handover", "catalog", "--to", side, "--json"])?;
    ensure!(done["outcome"] == "moved", "{done}");
    Ok(())
}

/// A key under which a product was created.
const KEY: [(&str, &str); 1] = [("idempotency-key", "the-same")];

/// Keys, entity tags, deletions and the cursors of lists hold on the other side.
pub(crate) fn what_travels(world: &mut World) -> anyhow::Result<()> {
    for n in 0..30 {
        create(world, &format!("P-{n:02}"))?;
    }
    let first = send(
        world,
        Method::POST,
        "/api/products",
        &KEY,
        Some(product("KEYED", 5)),
    )?;
    ensure!(first.0 == StatusCode::CREATED, "{first:?}");
    let tag = create(world, "TAGGED")?;
    create(world, "GONE")?;
    let gone = send(world, Method::DELETE, "/api/products/GONE", &[], None)?;
    ensure!(gone.0 == StatusCode::NO_CONTENT, "{gone:?}");
    let page = send(world, Method::GET, "/api/products?limit=10", &[], None)?.2;

    to(world, "service")?;
    key_holds(world, &first)?;
    tag_holds(world, &tag)?;
    list_goes_on(world, &page)?;
    let gone = send(world, Method::GET, "/api/products/GONE", &[], None)?;
    ensure!(gone.0 == StatusCode::NOT_FOUND, "{gone:?}");
    // Created again on the service, its versions go on where the monolith's stopped.
    let revived = send(
        world,
        Method::POST,
        "/api/products",
        &[],
        Some(product("GONE", 9)),
    )?;
    ensure!(
        revived.0 == StatusCode::CREATED && revived.1 == "\"v3\"",
        "{revived:?}"
    );

    to(world, "monolith")?;
    let tag = [("if-match", "\"v3\"")];
    let matched = send(
        world,
        Method::PUT,
        "/api/products/GONE/price",
        &tag,
        Some(price(11)),
    )?;
    ensure!(
        matched.0 == StatusCode::OK && matched.1 == "\"v4\"",
        "{matched:?}"
    );
    key_holds(world, &first)?;
    until_equal(world)
}

/// The same key gives the first answer, and another body with it is refused.
fn key_holds(world: &World, first: &(StatusCode, String, Value)) -> anyhow::Result<()> {
    let again = send(
        world,
        Method::POST,
        "/api/products",
        &KEY,
        Some(product("KEYED", 5)),
    )?;
    ensure!(again == *first, "{again:?} and not {first:?}");
    let other = send(
        world,
        Method::POST,
        "/api/products",
        &KEY,
        Some(product("KEYED", 6)),
    )?;
    ensure!(other.0 == StatusCode::UNPROCESSABLE_ENTITY, "{other:?}");
    Ok(())
}

fn tag_holds(world: &World, tag: &str) -> anyhow::Result<()> {
    let put = |tag: &str| {
        send(
            world,
            Method::PUT,
            "/api/products/TAGGED/price",
            &[("if-match", tag)],
            Some(price(7)),
        )
    };
    let stale = put("\"v99\"")?;
    ensure!(stale.0 == StatusCode::PRECONDITION_FAILED, "{stale:?}");
    let matched = put(tag)?;
    ensure!(matched.0 == StatusCode::OK, "{matched:?}");
    Ok(())
}

/// The cursor of a page that one side gave is gone on with by the other.
fn list_goes_on(world: &World, page: &Value) -> anyhow::Result<()> {
    let cursor = page["next"].as_str().context("there is a next page")?;
    let rest = send(
        world,
        Method::GET,
        &format!("/api/products?limit=10&cursor={cursor}"),
        &[],
        None,
    )?
    .2;
    let skus = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().into_iter().flatten();
        items
            .filter_map(|item| item["sku"].as_str().map(str::to_owned))
            .collect()
    };
    let last = skus(page).last().cloned().context("a last one")?;
    ensure!(
        skus(&rest).len() == 10 && skus(&rest).iter().all(|sku| *sku > last),
        "{page} {rest}"
    );
    Ok(())
}

fn price(amount: u64) -> Value {
    json!({ "price": { "amount": amount, "currency": "GBP" } })
}

fn until_equal(world: &World) -> anyhow::Result<()> {
    world.until("both databases have the same rows", PATIENCE, || {
        let (_, wrong) = rows::compare(world)?;
        ensure!(wrong.is_empty(), "{wrong:#?}");
        Ok(Some(()))
    })
}

/// Of two coordinators that start at once one makes the pass, and the other finds it made, or half made, and ends the same one; an
/// abort that races them takes it back or comes too late.
pub(crate) fn two_at_once(world: &mut World) -> anyhow::Result<()> {
    create(world, "A")?;
    for round in 0..4 {
        let side = if round % 2 == 0 { "service" } else { "monolith" };
        let (one, other, abort) = std::thread::scope(|scope| {
            let pass = || world.banyan(&["handover", "catalog", "--to", side, "--json"]);
            let (one, other) = (scope.spawn(pass), scope.spawn(pass));
            let abort = scope.spawn(|| {
                (0..10)
                    .map(|_| world.banyan(&["abort", "catalog"]))
                    .collect::<Vec<_>>()
            });
            (one.join(), other.join(), abort.join())
        });
        let (Ok(one), Ok(other), Ok(aborts)) = (one, other, abort) else {
            anyhow::bail!("a thread panicked");
        };
        let (one, other) = (one?, other?);
        for abort in aborts {
            let abort = abort?;
            ensure!(matches!(abort.code, Some(0 | 3)), "{abort:?}");
        }
        // Whoever lost says so, and nobody is left in the middle.
        for said in [&one, &other] {
            ensure!(matches!(said.code, Some(0 | 1)), "{said:?}");
            ensure!(said.code == Some(0) || said.out.contains("detail"), "{said:?}");
        }
        let now = world.until("somebody writes", PATIENCE, || {
            let found = world.doctor()?;
            Ok((found["next"]["move"] == "none").then_some(found))
        })?;
        if now["writes"] != (if side == "service" { "catalog" } else { "monolith" }) {
            to(world, side)?;
        }
        let written = send(
            world,
            Method::PUT,
            "/api/products/A/price",
            &[],
            Some(price(200 + round)),
        )?;
        ensure!(written.0 == StatusCode::OK, "{written:?}");
    }
    Ok(())
}

/// Alters a row of the service behind the pen's back.
fn alter(world: &World, sql: &str) -> anyhow::Result<()> {
    let (mark, unmark) = match world.database.name() {
        "postgres" => ("SET LOCAL banyan.follower = 'catalog'", "SELECT 1"),
        _ => (
            "INSERT INTO mark_catalog (module) VALUES ('catalog')",
            "DELETE FROM mark_catalog",
        ),
    };
    rows::execute(
        world,
        Process::Catalog,
        &format!("BEGIN; {mark}; {sql}; {unmark}; COMMIT"),
    )?;
    Ok(())
}

/// One altered column is named by row and column; a hand-over stops; a repair mends it.
pub(crate) fn altered_row(world: &mut World) -> anyhow::Result<()> {
    for n in 0..25 {
        create(world, &format!("P-{n:02}"))?;
    }
    world.ask(&["handover", "catalog", "--until", "verify", "--json"])?;
    let equal = world.banyan(&["verify", "catalog"])?;
    ensure!(equal.code == Some(0), "{equal:?}");
    alter(
        world,
        "UPDATE products SET description = 'altered' WHERE sku = 'P-17'",
    )?;
    let found = world.banyan(&["verify", "catalog", "--json"])?;
    ensure!(found.code == Some(3), "{found:?}");
    let report: Value = serde_json::from_str(&found.out)?;
    let differences = report["differences"].as_array().context("differences")?;
    ensure!(report["total"] == 1 && differences.len() == 1, "{report}");
    ensure!(
        differences[0]["table"] == "products" && differences[0]["columns"][0]["name"] == "description",
        "{report}"
    );
    let held = world.banyan(&["handover", "catalog"])?;
    ensure!(
        held.code == Some(3) && held.out.contains("description"),
        "{held:?}"
    );
    ensure!(world.doctor()?["writes"] == "monolith", "the pen moved");
    let repaired = world.banyan(&["verify", "catalog", "--repair"])?;
    ensure!(repaired.code == Some(0), "{repaired:?}");
    to(world, "service")
}

/// A service that drops what it is given is not given the pen.
pub(crate) fn lost_field(world: &mut World) -> anyhow::Result<()> {
    let lossy = match world.database.name() {
        "postgres" => {
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.status := 'active'; RETURN NEW; END $$; \
             CREATE TRIGGER lose BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION lose()"
        }
        _ => {
            "CREATE TRIGGER lose AFTER INSERT ON products WHEN NEW.status <> 'active' \
             BEGIN UPDATE products SET status = 'active' WHERE id = NEW.id; END; SELECT 1"
        }
    };
    rows::execute(world, Process::Catalog, lossy)?;
    let mut old = product("OLD", 100);
    old["status"] = json!("discontinued");
    let made = send(world, Method::POST, "/api/products", &[], Some(old))?;
    ensure!(made.0 == StatusCode::CREATED, "{made:?}");
    let held = world.banyan(&["handover", "catalog"])?;
    ensure!(held.code == Some(3) && held.out.contains("status"), "{held:?}");
    ensure!(world.doctor()?["writes"] == "monolith", "the pen moved");
    Ok(())
}

/// A monolith that could not write what the service would send it back keeps the pen, and says why.
pub(crate) fn no_way_back(world: &mut World) -> anyhow::Result<()> {
    create(world, "A")?;
    let refuse = match world.database.name() {
        "postgres" => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF current_setting('banyan.follower', true) = 'catalog' THEN RAISE EXCEPTION 'no room on this disk'; END IF; \
             RETURN NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION refuse()"
        }
        _ => {
            "CREATE TRIGGER refuse BEFORE INSERT ON products WHEN EXISTS (SELECT 1 FROM mark_catalog) \
             BEGIN SELECT RAISE(ABORT, 'no room on this disk'); END; SELECT 1"
        }
    };
    rows::execute(world, Process::Monolith, refuse)?;
    let held = world.banyan(&["handover", "catalog"])?;
    ensure!(
        held.code == Some(3) && held.out.contains("no room on this disk"),
        "{held:?}"
    );
    ensure!(world.doctor()?["writes"] == "monolith", "the pen moved");
    create(world, "B")?;
    Ok(())
}

/// A follower whose changes were thrown away is parked with the reason, and goes on after a new copy.
pub(crate) fn behind_the_floor(world: &mut World) -> anyhow::Result<()> {
    create(world, "A")?;
    world.ask(&["handover", "catalog", "--until", "copy", "--json"])?;
    let monolith = world.side(Process::Monolith)?;
    let forget = Retention {
        forget: Some("catalog".to_owned()),
        new_feed: false,
    };
    world.till.runtime.block_on(monolith.retention(&forget))?;
    create(world, "B")?;
    world.until("the doctor says so", PATIENCE, || {
        let found = world.doctor()?;
        Ok(found["remarks"].to_string().contains("forgotten").then_some(()))
    })?;
    let stuck = world.banyan(&["handover", "catalog"])?;
    ensure!(
        stuck.code == Some(1) && stuck.complaint.contains("--again"),
        "{stuck:?}"
    );
    let done = world.ask(&["handover", "catalog", "--again", "--json"])?;
    ensure!(done["outcome"] == "moved", "{done}");
    let (rows, wrong) = rows::compare(world)?;
    ensure!(rows > 0 && wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// Somebody writes past the process whose pen it is not: the database refuses, on either side.
pub(crate) fn rogue_write(world: &mut World) -> anyhow::Result<()> {
    create(world, "A")?;
    // A trigger of SQLite's looks at rows, so there must be some.
    world.ask(&["handover", "catalog", "--until", "copy", "--json"])?;
    let rogue = |side: Process| rows::execute(world, side, "UPDATE products SET name = 'rogue'");
    ensure!(rogue(Process::Catalog).is_err(), "the follower was written to");
    to(world, "service")?;
    let refused = rogue(Process::Monolith);
    let told = refused
        .as_ref()
        .map_or_else(|error| format!("{error:#}"), |_| "it went through".to_owned());
    ensure!(told.contains("the pen of catalog is not here"), "{told}");
    let rows = rogue(Process::Catalog)?;
    ensure!(rows == 1, "the holder was not written to");
    // And what was written past the service, on the side that may, travels like anything else.
    until_equal(world)
}
