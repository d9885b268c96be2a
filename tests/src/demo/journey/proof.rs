//! The proof: what clients saw, held against what both databases have. No code of the product is asked, only SQL and the clients.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use indicatif::HumanCount;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::clients::{Acknowledged, Seen};
use crate::demo::screen::say;
use crate::demo::shop::Shop;
use crate::history::contradictions;
use crate::rows;

/// How long the follower may take to have what the holder has, once nobody writes any more.
const PATIENCE: Duration = Duration::from_secs(10);
/// Things that are wrong of each kind that are shown; all are counted.
const SHOWN: usize = 3;

/// Every write raises the version of its product by one, so a product has as many versions as it has had writes. The journey ends at
/// the service; both models have these columns.
const VERSIONS: &str =
    "SELECT sku || '|' || version AS line FROM products WHERE sku LIKE 'OWN-%' OR sku LIKE 'SHARED-%'";
/// Every price that a product has had.
const PRICES: &str = "SELECT p.sku || '|' || h.amount AS line FROM products p JOIN price_history h ON h.product_id = p.id \
     WHERE p.sku LIKE 'OWN-%' OR p.sku LIKE 'SHARED-%'";

/// What the holder's database has of the clients' writes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Acknowledged writes that are there.
    there: u64,
    /// Acknowledged writes that are not.
    lost: u64,
    /// Writes that are there and were not acknowledged, or are there twice.
    extra: u64,
    /// Acknowledged prices that no price history has.
    lost_prices: u64,
    /// Some of the products that are not as they should be, in words.
    examples: Vec<String>,
}

/// Shows what came of the journey, and fails if anything is not as it should be.
pub(super) async fn judge(
    shop: &Shop,
    seen: &Seen,
    took: Duration,
    passes: &[(Instant, Instant)],
) -> anyhow::Result<()> {
    let (compared, mismatches) = compare(shop).await?;
    let [_, holder] = shop.both_databases();
    let ask = move || anyhow::Ok((rows::ask(&holder, VERSIONS)?, rows::ask(&holder, PRICES)?));
    let (versions, prices) = spawn_blocking(ask).await??;
    let found = find(&seen.by_sku, &versions, &prices)?;
    let contradictions = contradictions(&seen.history);

    say("\nThe proof:\n");
    of_clients(seen, took);
    of_writes(seen, &found);
    let pauses = seen.pauses(passes);
    let pauses: Vec<String> = pauses.iter().map(|pause| pause.as_millis().to_string()).collect();
    line(
        "longest pause of a write",
        &pauses.join(", "),
        "ms; the longest wait of one in each pass",
    );
    let remark = format!(
        "between {} rows of both databases, by SQL",
        count(compared as u64)
    );
    line("mismatches", &count(mismatches.len() as u64), &remark);
    let remark = format!(
        "in {} operations on shared products",
        count(seen.history.len() as u64)
    );
    line("contradictions", &count(contradictions.len() as u64), &remark);

    let wrong = [&seen.wrong, &found.examples, &mismatches, &contradictions];
    for example in wrong.iter().flat_map(|kind| kind.iter().take(SHOWN)) {
        say(&format!("  not as it should be: {example}"));
    }
    ensure!(
        compared > 0 && seen.acknowledged > 0,
        "nothing was written, or nothing compared"
    );
    ensure!(
        wrong.iter().all(|kind| kind.is_empty()) && found.there == seen.acknowledged,
        "not everything is as it should be; the table says what"
    );
    say("\nNothing failed, nothing is lost, nothing is doubled, and both databases have the same rows.");
    Ok(())
}

fn of_clients(seen: &Seen, took: Duration) {
    let seconds = took.as_secs_f64();
    let rate = format!(
        "{:.0} a second for {seconds:.0} s",
        seen.requests as f64 / seconds
    );
    line("requests", &count(seen.requests), &rate);
    line(
        "failures",
        &count(seen.failures),
        "whatever a client saw that it should not have",
    );
}

fn of_writes(seen: &Seen, found: &Found) {
    let prices: usize = seen.by_sku.values().map(|of| of.prices.len()).sum();
    let remark = format!("of {}; by SQL, from the history of prices", count(prices as u64));
    line(
        "writes acknowledged",
        &count(seen.acknowledged),
        "creates, changes of prices, deletions",
    );
    line(
        "writes found on the holder",
        &count(found.there),
        "by SQL, from the versions of the products",
    );
    line("writes lost", &count(found.lost), "");
    line(
        "writes doubled",
        &count(found.extra),
        "or found without having been acknowledged",
    );
    line("prices lost", &count(found.lost_prices), &remark);
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

fn line(name: &str, value: &str, remark: &str) {
    say(format!("  {name:<27} {value:>20}   {remark}").trim_end());
}

/// Both databases, once the follower has had time to come to the end: how many rows, and where they differ.
async fn compare(shop: &Shop) -> anyhow::Result<(usize, Vec<String>)> {
    let began = Instant::now();
    loop {
        let [monolith, service] = shop.both_databases();
        let (compared, wrong) = spawn_blocking(move || rows::compare(&monolith, &service)).await??;
        if wrong.is_empty() || began.elapsed() > PATIENCE {
            return Ok((compared, wrong));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Looks for every acknowledged write among `SKU|VERSION` and `SKU|PRICE`.
fn find(
    by_sku: &HashMap<String, Acknowledged>,
    versions: &[String],
    prices: &[String],
) -> anyhow::Result<Found> {
    let mut left: HashMap<&str, u64> = HashMap::new();
    for line in versions {
        let (sku, version) = line.split_once('|').context("a SKU and a version")?;
        left.insert(sku, version.parse()?);
    }
    let prices: HashSet<&str> = prices.iter().map(String::as_str).collect();
    let mut found = Found::default();
    for (sku, of) in by_sku {
        let version = left.remove(sku.as_str()).unwrap_or(0);
        found.there += version.min(of.writes);
        found.lost += of.writes.saturating_sub(version);
        found.extra += version.saturating_sub(of.writes);
        if version != of.writes {
            let writes = of.writes;
            found.examples.push(format!(
                "{sku}: {writes} writes were acknowledged, and its version is {version}"
            ));
        }
        for price in &of.prices {
            if !prices.contains(format!("{sku}|{price}").as_str()) {
                found.lost_prices += 1;
                found.examples.push(format!(
                    "{sku}: the price {price} was acknowledged, and its history has no such price"
                ));
            }
        }
    }
    for (sku, version) in left {
        found.extra += version;
        found.examples.push(format!(
            "{sku}: nobody was told that it was created, and its version is {version}"
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(versions: &[&str], prices: &[&str]) -> Found {
        let acknowledged = Acknowledged {
            writes: 3,
            prices: vec![10, 11],
        };
        let by_sku = HashMap::from([("OWN-1".to_owned(), acknowledged)]);
        let lines = |of: &[&str]| of.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        find(&by_sku, &lines(versions), &lines(prices)).unwrap()
    }

    #[test]
    fn a_write_that_is_missing_or_there_twice_and_a_price_that_is_gone_are_counted() {
        let prices = ["OWN-1|10", "OWN-1|11"];
        let whole = found(&["OWN-1|3"], &prices);
        assert_eq!((whole.there, whole.examples.len()), (3, 0), "{whole:?}");
        let lost = found(&["OWN-1|2"], &prices);
        assert_eq!(
            (lost.there, lost.lost, lost.examples.len()),
            (2, 1, 1),
            "{lost:?}"
        );
        let doubled = found(&["OWN-1|4"], &prices);
        assert_eq!(
            (doubled.there, doubled.extra, doubled.examples.len()),
            (3, 1, 1),
            "{doubled:?}"
        );
        let gone = found(&[], &prices);
        assert_eq!(
            (gone.there, gone.lost, gone.examples.len()),
            (0, 3, 1),
            "{gone:?}"
        );
        let stranger = found(&["OWN-1|3", "OWN-2|5"], &prices);
        assert_eq!((stranger.extra, stranger.examples.len()), (5, 1), "{stranger:?}");
        let price = found(&["OWN-1|3"], &["OWN-1|10"]);
        assert_eq!((price.lost_prices, price.examples.len()), (1, 1), "{price:?}");
    }
}
