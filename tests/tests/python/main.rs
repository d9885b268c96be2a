//! A monolith in another language hands its catalog over to the service and takes it back, by the written protocol alone.
//!
//! For whoever doubts that the protocol's page is enough: `shop.py` beside this file was written from it, in Python's standard library
//! and SQLite, and shares no line with the processes here. Without `python3` the trials are ignored.

mod clients;
mod rows;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use handover::wire::{Fence, Phase, Seal, State};
use libtest_mimic::{Arguments, Failed, Trial};
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use clients::Known;
use world::{End, World};

const PATIENCE: Duration = Duration::from_secs(15);

fn main() -> std::process::ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads = args.test_threads.or(Some(1));
    if !args.list
        && !banyan_tests::programs::build()
            .status()
            .is_ok_and(|status| status.success())
    {
        // Cargo has said why.
        return std::process::ExitCode::FAILURE;
    }
    let trials = WORKS.iter().map(|(name, work)| trial(name, *work)).collect();
    libtest_mimic::run(&args, trials).exit_code()
}

type Work = fn(&mut World) -> anyhow::Result<()>;

const WORKS: &[(&str, Work)] = &[
    (
        "a_shop_in_python_gives_its_catalog_to_the_service_and_takes_it_back",
        there_and_back,
    ),
    (
        "writes_go_on_through_passes_there_and_back_and_none_is_lost",
        under_traffic,
    ),
    (
        "a_shop_in_python_that_is_fenced_and_left_alone_writes_on",
        left_alone,
    ),
    (
        "an_altered_row_of_a_shop_in_python_is_named_and_mended",
        altered_row,
    ),
    (
        "a_shop_in_python_is_sealed_also_when_the_first_attempt_broke_off",
        sealed,
    ),
];

fn trial(name: &str, work: Work) -> Trial {
    let run = move || {
        let mut world = World::open()?;
        work(&mut world).map_err(|error| Failed::from(format!("{error:#}\n{}", world.logs())))
    };
    Trial::test(name, run).with_ignored_flag(!world::python_is_there())
}

/// Twice, since the way back ends in a state that no first pass begins in.
fn there_and_back(world: &mut World) -> anyhow::Result<()> {
    let mut known = Known::new();
    let mut last = Vec::new();
    some_writes(world, "first", &mut known)?;
    for round in 0..2 {
        for (to, holder, follower) in [
            ("service", End::Service, End::Shop),
            ("monolith", End::Shop, End::Service),
        ] {
            world.hand_over(to)?;
            let told = format!("{to}-{round}");
            some_writes(world, &told, &mut known)?;
            last.push(world.create(&format!("{told}-keyed"), &mut known)?);
            refuses_by_http(world, follower, holder)?;
            refuses_by_sql(world, follower)?;
            rows::agree(world, &known)?;
        }
    }
    ensure!(
        last.windows(2).all(|pair| pair[0] < pair[1]),
        "positions do not grow: {last:?}"
    );
    first_answers_hold(world)?;
    let said = world.banyan(&["verify", "catalog"])?;
    ensure!(said.code == Some(0), "{said:?}");
    Ok(())
}

/// A write of each kind: a product that is made, replaced and priced anew, and one that is made and deleted, and made again.
fn some_writes(world: &World, name: &str, known: &mut Known) -> anyhow::Result<()> {
    let (stays, goes) = (format!("{name}-stays"), format!("{name}-goes"));
    world.create(&stays, known)?;
    let renamed = json!({ "name": "Mug, \u{201c}red\u{201d} ☕", "category": "others", "price": { "amount": 7, "currency": "GBP" } });
    world.write(Method::PUT, &stays, "", Some(&renamed), known)?;
    let priced = json!({ "price": { "amount": 8, "currency": "GBP" } });
    world.write(Method::PUT, &stays, "/price", Some(&priced), known)?;
    world.create(&goes, known)?;
    world.write(Method::DELETE, &goes, "", None, known)?;
    world.create(&format!("{name}-again"), known)?;
    world.write(Method::DELETE, &format!("{name}-again"), "", None, known)?;
    world.create(&format!("{name}-again"), known)?;
    Ok(())
}

/// The side without the pen answers 421 and says who has it. The shop does so also for a create that it would refuse for another
/// reason; the service is asked for one that comes to its triggers.
fn refuses_by_http(world: &World, follower: End, holder: End) -> anyhow::Result<()> {
    let sku = if follower == End::Shop {
        "first-stays"
    } else {
        "nowhere-yet"
    };
    let product =
        json!({ "sku": sku, "name": "x", "category": "x", "price": { "amount": 1, "currency": "GBP" } });
    let answer = world.send_to(
        &world.url(follower),
        Method::POST,
        "/api/products",
        Some(&product),
        None,
    )?;
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    };
    ensure!(
        answer.status() == StatusCode::MISDIRECTED_REQUEST
            && header("x-pen-holder") == holder.side()
            && header("x-pen-state") == "held",
        "{answer:?}"
    );
    Ok(())
}

/// Whoever writes past the process is stopped by the database.
fn refuses_by_sql(world: &World, follower: End) -> anyhow::Result<()> {
    for sql in [
        "UPDATE products SET name = 'rogue'",
        "DELETE FROM price_history",
        "INSERT OR REPLACE INTO categories (id, slug, name) VALUES (1, 'rogue', 'rogue')",
    ] {
        let refused = world.execute(follower, sql);
        let told = refused
            .as_ref()
            .err()
            .map_or_else(String::new, |error| format!("{error:#}"));
        ensure!(
            told.contains("the pen of catalog is not here"),
            "{sql}: {refused:?}"
        );
    }
    Ok(())
}

/// A create that is tried again gets its first answer, whichever side gave it.
fn first_answers_hold(world: &World) -> anyhow::Result<()> {
    for sku in ["service-0-keyed", "monolith-0-keyed"] {
        let answer = world.create_again(sku)?;
        let again = answer.headers().get("idempotency-replayed").is_some();
        ensure!(
            answer.status() == StatusCode::CREATED && again,
            "{sku}: {answer:?}"
        );
    }
    Ok(())
}

/// One client writes as fast as it is answered while the pen moves.
fn under_traffic(world: &mut World) -> anyhow::Result<()> {
    let mut known = Known::new();
    world.create("busy", &mut known)?;
    let (mut passes, mut writes) = (BTreeMap::new(), 0);
    for (n, to) in ["service", "monolith", "service", "monolith"]
        .into_iter()
        .enumerate()
    {
        let mut pass = world.spawn(&["handover", "catalog", "--to", to])?;
        let deadline = Instant::now() + PATIENCE;
        let code = loop {
            writes += 1;
            let priced = json!({ "price": { "amount": writes, "currency": "GBP" } });
            world.write(Method::PUT, "busy", "/price", Some(&priced), &mut known)?;
            world.create(&format!("busy-{writes}"), &mut known)?;
            if let Some(status) = pass.try_wait()? {
                break status.code();
            }
            ensure!(Instant::now() < deadline, "the pass to {to} does not end");
        };
        passes.insert(n, code);
    }
    ensure!(passes.values().all(|code| *code == Some(0)), "{passes:?}");
    rows::agree(world, &known)
}

/// A coordinator that dies after its fence leaves nobody without a pen for longer than the fence was asked for.
fn left_alone(world: &mut World) -> anyhow::Result<()> {
    let mut known = Known::new();
    world.create("before", &mut known)?;
    let said = world.banyan(&["handover", "catalog", "--until", "copy"])?;
    ensure!(said.code == Some(0), "{said:?}");
    let shop = world.side(End::Shop)?;
    let fence = Fence {
        pass: Uuid::now_v7(),
        epoch: 1,
        to: "catalog".to_owned(),
        expires_ms: 1000,
        wait_ms: 1000,
    };
    let fenced = world.runtime.block_on(shop.fence(&fence))?;
    ensure!(fenced.state == State::Fenced, "{fenced:?}");
    refuses_by_sql(world, End::Shop)?;
    let pen = world.until("the fence has ended by itself", PATIENCE, || {
        let pen = world.runtime.block_on(shop.status())?.pen;
        Ok(pen.is_here().then_some(pen))
    })?;
    ensure!(pen.epoch == 3, "{pen:?}");
    world.create("after", &mut known)?;
    rows::agree(world, &known)
}

/// Whichever side follows: verify names the row and the column, and mends it.
fn altered_row(world: &mut World) -> anyhow::Result<()> {
    let mut known = Known::new();
    some_writes(world, "true", &mut known)?;
    for (to, follower) in [("service", End::Shop), ("monolith", End::Service)] {
        world.hand_over(to)?;
        rows::agree(world, &known)?;
        world.execute(
            follower,
            "INSERT INTO mark_catalog (module) VALUES ('catalog'); UPDATE products SET description = 'altered' WHERE sku = 'true-stays'; \
             DELETE FROM mark_catalog;",
        )?;
        let said = world.banyan(&["verify", "catalog", "--json"])?;
        ensure!(
            said.code == Some(3) && said.out.contains("description"),
            "{said:?}"
        );
        let said = world.banyan(&["verify", "catalog", "--repair"])?;
        ensure!(said.code == Some(0), "{said:?}");
        rows::agree(world, &known)?;
    }
    Ok(())
}

/// Broken off behind the holder's word, the seal is held until the shop has copied once more; then it goes through.
fn sealed(world: &mut World) -> anyhow::Result<()> {
    world.create("before", &mut Known::new())?;
    world.hand_over("service")?;
    let (shop, service) = (world.side(End::Shop)?, world.side(End::Service)?);
    let epoch = world.runtime.block_on(service.status())?.pen.epoch;
    let early = world.runtime.block_on(shop.seal(&Seal { epoch }));
    ensure!(
        early.as_ref().is_err_and(|error| error.is("not-ready")),
        "{early:?}"
    );
    world.runtime.block_on(service.seal(&Seal { epoch }))?;
    let said = world.banyan(&["seal", "catalog", "--yes"])?;
    ensure!(
        said.code == Some(3) && said.out.contains("--until copy --again"),
        "{said:?}"
    );
    let said = world.banyan(&[
        "handover", "catalog", "--to", "monolith", "--until", "copy", "--again",
    ])?;
    ensure!(said.code == Some(0), "{said:?}");
    let said = world.banyan(&["seal", "catalog", "--yes"])?;
    ensure!(said.code == Some(0), "{said:?}");
    let phase = world
        .runtime
        .block_on(shop.status())?
        .follow
        .map(|follow| follow.phase);
    ensure!(phase == Some(Phase::Sealed), "{phase:?}");
    let said = world.banyan(&["handover", "catalog", "--to", "monolith"])?;
    ensure!(said.code == Some(1), "{said:?}");
    Ok(())
}
