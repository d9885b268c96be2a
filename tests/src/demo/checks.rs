//! The smoke run: the tour with assertions, a checkout, and a file that must be refused.

use anyhow::ensure;
use reqwest::StatusCode;

use super::checkout;
use super::routing::{self, InForce, Mode};
use super::screen::{self, say};
use super::shop::Shop;
use super::tour::STAGES;
use super::traffic::{CUSTOMERS, Count, Traffic};

/// Requests in each stage.
const REQUESTS: u64 = 1000;
/// The longest time that a switch may take, by the router's promise.
const IN_EFFECT_S: f64 = 1.5;

/// Checks everything once.
pub(super) async fn run(shop: &mut Shop) -> anyhow::Result<()> {
    ready(shop).await?;
    checkout::run(shop).await?;
    let traffic = Traffic::start(shop).await?;
    screen::tour();
    for mode in STAGES {
        let took = shop.switch(mode).await?;
        traffic.count();
        traffic.until(REQUESTS).await;
        let count = traffic.count();
        screen::switched(&mode.to_string(), took, &count);
        ensure!(took.as_secs_f64() < IN_EFFECT_S, "a switch took {took:?}");
        hold(mode, &count)?;
    }
    refuse(shop, &traffic).await?;
    drop(traffic);
    say("\nAll checks passed.");
    Ok(())
}

/// Nothing failed, and each side has its share, give or take four standard deviations: of the customers that the buckets
/// sort out, and of the requests that chance gives each.
fn hold(mode: Mode, count: &Count) -> anyhow::Result<()> {
    ensure!(
        count.failed == 0,
        "{} requests failed: {}",
        count.failed,
        count.reason.as_deref().unwrap_or("?")
    );
    let (expected, found) = (mode.share(), count.share("catalog"));
    let variance = expected * (1.0 - expected);
    let answered: u64 = count.sides.values().sum();
    let deviation = (variance / f64::from(CUSTOMERS) + variance / answered.max(1) as f64).sqrt();
    ensure!(
        (found - expected).abs() <= 4.0 * deviation,
        "{mode}: the catalog answered {:.1} %",
        found * 100.0
    );
    Ok(())
}

async fn ready(shop: &Shop) -> anyhow::Result<()> {
    let at = &shop.addresses;
    for (name, address) in [
        ("router", &at.admin),
        ("monolith", &at.monolith),
        ("catalog", &at.catalog),
    ] {
        let answer = shop
            .client
            .get(format!("http://{address}/health/ready"))
            .send()
            .await?;
        ensure!(
            answer.status() == StatusCode::OK,
            "{name} is not ready: {}",
            answer.text().await?
        );
    }
    say("  ok  every server is ready");
    Ok(())
}

/// A file with a mistake changes nothing, and the next good one is taken.
async fn refuse(shop: &Shop, traffic: &Traffic) -> anyhow::Result<()> {
    let good = routing::file(&shop.addresses, Mode::Monolith);
    let bad = routing::file(&shop.addresses, Mode::Canary(101));
    let before = InForce::ask(shop).await?;
    routing::write(&shop.config(), &bad)?;
    let refused = InForce::until(shop, |now| !now.is_current).await?;
    ensure!(
        refused.hash == before.hash,
        "a file with a mistake was taken: {refused:?}"
    );
    traffic.count();
    traffic.until(REQUESTS / 5).await;
    hold(Mode::Monolith, &traffic.count())?;
    routing::write(&shop.config(), &good)?;
    InForce::until(shop, |now| now.is_current).await?;
    say("\n  ok  a file with a mistake is refused, and traffic goes on");
    Ok(())
}
