//! The trials.

use std::time::Instant;

use anyhow::{Context, ensure};
use diesel::sql_types::Text;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use serde_json::Value;

use super::stamp::{FIELD, Stamp};
use super::world::{World, sum};

/// Products in the real books: every stock code, as letters of another case make another.
const PRODUCTS: usize = 2_783;
/// One product in so many is wrong.
const ONE_IN: usize = 500;

/// The service has one wrong description in five hundred. They are found, each once, and named by route and JSON path; the
/// certificate holds for that and for nothing else, and the promotion ends with 3 and leaves the file as it was.
pub(super) fn one_in_500_is_wrong(world: &mut World) -> anyhow::Result<()> {
    let skus = world.skus()?;
    ensure!(
        skus.len() == PRODUCTS,
        "these are other books: {} products",
        skus.len()
    );
    // The middle one of each five hundred that are whole.
    let wrong: Vec<&String> = skus.iter().skip(ONE_IN / 2).step_by(ONE_IN).collect();
    let mut data = data(world)?;
    for sku in &wrong {
        let altered = diesel::sql_query("UPDATE products SET description = 'not so' WHERE sku = ?")
            .bind::<Text, _>(sku)
            .execute(&mut data)?;
        ensure!(altered == 1, "{sku}: {altered} rows");
    }
    let (monolith, catalog) = (world.till.url(), world.serve_catalog()?);
    world.serve_router(&monolith, &catalog, "")?;
    let began = Instant::now();
    let pages = world.pages()?;
    world.ask_for(&pages.concat())?;
    let (pages, seconds) = (pages.len(), began.elapsed().as_secs_f64());

    let listed = world.accounted("list-products", pages)?;
    named(&listed, "body $.items[*].description", wrong.len(), pages)?;
    let evidence = world.accounted("get-product", skus.len())?;
    named(&evidence, "body $.description", wrong.len(), skus.len())?;
    samples_are_of(&evidence, &wrong)?;

    let before = world.config()?;
    let found = format!("mismatches: {0}, in body $.description ({0});", wrong.len());
    let promoted = world.banyan(&["promote", "get-product"])?;
    ensure!(
        promoted.code == Some(3) && promoted.out.is_empty() && promoted.complaint.contains(&found),
        "{promoted:?}"
    );
    ensure!(world.config()? == before, "the file was changed all the same");
    let certified = world.banyan(&["certify", "get-product", "--json"])?;
    let certificate: Value = serde_json::from_str(&certified.out)?;
    ensure!(
        certified.code == Some(3) && certificate["verdict"] == "hold",
        "{certified:?}"
    );
    ensure!(failing(&certificate) == ["mismatches"], "{certificate:#}");
    let status = world.banyan(&["status"])?;
    let line = status.out.lines().find(|line| line.contains("get-product"));
    ensure!(
        line.is_some_and(|line| line.contains(&format!("{} differ", wrong.len()))),
        "{}",
        status.out
    );
    tell("one in 500 is wrong", &evidence, seconds);
    Ok(())
}

/// The service wrote its own times, which is declared, and both sides say when they answer, which is noise. Neither stands in
/// the way: the certificate passes, and the promotion writes the next step into the file.
pub(super) fn only_what_may_differ_differs(world: &mut World) -> anyhow::Result<()> {
    let altered = diesel::sql_query("UPDATE products SET updated_at = datetime(updated_at, '+1 day')")
        .execute(&mut data(world)?)?;
    ensure!(altered == PRODUCTS, "{altered} rows");
    let (monolith, catalog) = (world.till.url(), world.serve_catalog()?);
    let stamps = [
        Stamp::before(&monolith, &world.till.runtime)?,
        Stamp::before(&catalog, &world.till.runtime)?,
    ];
    // A fifth is asked twice, so that the noise is known after some hundred requests and not after some four hundred.
    let more = "noise_sample = 20\n\n[compare]\nignore = [\"$.updated_at\", \"$.items[*].updated_at\"]\n";
    world.serve_router(&stamps[0].url(), &stamps[1].url(), more)?;
    let began = Instant::now();
    let pages = world.pages()?;
    world.ask_for(&pages.concat())?;
    let seconds = began.elapsed().as_secs_f64();

    let evidence = world.accounted("get-product", PRODUCTS)?;
    let known = &evidence["comparisons"];
    let noise = known["noise"].as_object().context("noise")?;
    ensure!(
        sum(&known["differed"]) == 0 && evidence["mismatches"] == serde_json::json!([]),
        "{known:#}"
    );
    ensure!(noise.keys().eq([&format!("body $.{FIELD}")]), "{known:#}");
    // But for the first ones, of which nobody knew yet what is noise, and which found no place to be asked again.
    ensure!(
        known["noisy"].as_u64() == Some(sum(&known["agreed"])),
        "{known:#}"
    );

    let certified = world.banyan(&["certify", "get-product", "--json"])?;
    let certificate: Value = serde_json::from_str(&certified.out)?;
    ensure!(
        certified.code == Some(0) && certificate["verdict"] == "pass",
        "{certificate:#}"
    );
    let before = world.config()?;
    let promoted = world.banyan(&["promote", "get-product"])?;
    ensure!(
        promoted.code == Some(0)
            && promoted
                .out
                .starts_with("promote get-product: shadow → canary 1 %; by "),
        "{promoted:?}"
    );
    let match_line = "match = \"GET /api/products/{sku}\"\n";
    let next = before.replace(
        &format!("{match_line}mode = \"shadow\"\n"),
        &format!("{match_line}mode = \"canary\"\npercent = 1\n"),
    );
    ensure!(
        next != before && world.config()? == next,
        "the file says\n{}",
        world.config()?
    );
    tell("only what may differ differs", &evidence, seconds);
    Ok(())
}

fn data(world: &World) -> anyhow::Result<SqliteConnection> {
    let path = world.catalog_data();
    SqliteConnection::establish(&path.display().to_string()).context("the service's database")
}

/// Every pair was compared, and so many differed, all in this one place.
fn named(evidence: &Value, place: &str, differing: usize, compared: usize) -> anyhow::Result<()> {
    let known = &evidence["comparisons"];
    let expected = serde_json::json!({ place: differing });
    ensure!(known["groups"] == expected, "{:#}", known);
    let counted = (sum(&known["differed"]), sum(&known["agreed"]));
    let meant = (differing as u64, (compared - differing) as u64);
    ensure!(counted == meant, "{counted:?} instead of {meant:?}: {known:#}");
    let fields = evidence["mismatches"].as_array().context("mismatches")?;
    ensure!(fields.len() == 1 && fields[0]["field"] == place, "{fields:#?}");
    Ok(())
}

/// What is shown as an example is a product that is wrong.
fn samples_are_of(evidence: &Value, wrong: &[&String]) -> anyhow::Result<()> {
    let samples = evidence["mismatches"][0]["seen"]["samples"].as_array();
    let samples = samples
        .filter(|samples| !samples.is_empty())
        .context("examples")?;
    for sample in samples {
        let target = sample["target"].as_str().unwrap_or_default();
        let is_wrong = wrong
            .iter()
            .any(|sku| target == format!("/api/products/{}", sku.replace(' ', "%20")));
        ensure!(is_wrong && sample["right"] == "\"not so\"", "{sample:#}");
    }
    Ok(())
}

/// The names of the criteria that do not hold.
fn failing(certificate: &Value) -> Vec<&str> {
    let criteria = certificate["criteria"].as_array().into_iter().flatten();
    let failing = criteria.filter(|criterion| criterion["holds"] != true);
    failing
        .filter_map(|criterion| criterion["name"].as_str())
        .collect()
}

#[expect(clippy::print_stderr, reason = "the figures are worth knowing")]
fn tell(what: &str, evidence: &Value, seconds: f64) {
    let known = &evidence["comparisons"];
    eprintln!(
        "{what}: {PRODUCTS} products asked in {seconds:.1} s, {} comparisons, {} mismatches, {} noisy, {} without a verdict",
        sum(&known["agreed"]) + sum(&known["differed"]),
        sum(&known["differed"]),
        known["noisy"],
        known["incomparable"].as_u64().unwrap_or_default() + known["lagged"].as_u64().unwrap_or_default(),
    );
}
