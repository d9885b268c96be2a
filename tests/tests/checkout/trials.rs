//! The trials.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use banyan_tests::till::Till;
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;

/// How many want the last unit.
const BUYERS: usize = 200;
/// In what time an order is decided whose provider answers again.
const SOON: Duration = Duration::from_secs(30);

/// All at once, one gets it; the others learn that there is none.
pub(super) fn last_unit(till: &mut Till) -> anyhow::Result<()> {
    let till = &*till;
    till.runtime.block_on(async {
        let answers = rush(till, "tok_ok").await?;
        let sold = answers
            .iter()
            .filter(|(status, _)| *status == StatusCode::CREATED)
            .count();
        let refused = answers
            .iter()
            .filter(|(status, _)| *status == StatusCode::CONFLICT)
            .count();
        ensure!(
            (sold, refused) == (1, BUYERS - 1),
            "sold {sold}, refused {refused} of {BUYERS}: {answers:?}"
        );
        one_confirmed_and_paid(till).await
    })
}

/// The same with a provider that charges and does not say so.
pub(super) fn unanswered(till: &mut Till) -> anyhow::Result<()> {
    let till = &*till;
    till.runtime.block_on(async {
        let answers = rush(till, "tok_timeout_after").await?;
        let refused = answers
            .iter()
            .filter(|(status, _)| *status == StatusCode::CONFLICT)
            .count();
        ensure!(
            refused == BUYERS - 1,
            "refused {refused} of {BUYERS}: {answers:?}"
        );
        one_confirmed_and_paid(till).await
    })
}

/// The shop is killed after the provider has charged and before it could hear of it.
pub(super) fn killed(till: &mut Till) -> anyhow::Result<()> {
    let cart = {
        let till = &*till;
        till.runtime.block_on(async {
            let customer = till.stock("mug", 1).await?;
            let cart = till.cart(customer, "mug").await?;
            tokio::select! {
                answer = till.order(cart, "tok_timeout_after") => anyhow::bail!("answered before the kill: {answer:?}"),
                charged = charged(till) => charged?,
            }
            Ok(cart)
        })?
    };
    till.kill_shop();
    till.start_shop()?;
    let till = &*till;
    till.runtime.block_on(async {
        one_confirmed_and_paid(till).await?;
        let (status, again) = till.order(cart, "tok_timeout_after").await?;
        ensure!(
            status == StatusCode::CREATED && again["state"] == "confirmed",
            "the repetition: {status} {again}"
        );
        one_confirmed_and_paid(till).await
    })
}

/// The provider is dead for longer than the shop waits: the order is given up, and nothing is ever charged.
pub(super) fn given_up(till: &mut Till) -> anyhow::Result<()> {
    let customer = till.runtime.block_on(till.stock("mug", 1))?;
    let cart = till.runtime.block_on(till.cart(customer, "mug"))?;
    till.kill_psp();
    let (status, order) = till.runtime.block_on(till.order(cart, "tok_ok"))?;
    ensure!(
        status == StatusCode::ACCEPTED,
        "without a provider: {status} {order}"
    );
    ensure!(
        till.runtime.block_on(till.level("mug"))? == (1, 1),
        "the unit is set aside meanwhile"
    );
    till.start_psp()?;
    let till = &*till;
    till.runtime.block_on(async {
        let orders = till.decided(SOON).await?;
        ensure!(
            orders.len() == 1 && orders[0]["state"] == "cancelled",
            "given up: {orders:?}"
        );
        ensure!(
            till.captured().await?.1 == 0,
            "nothing is taken for an order that was given up"
        );
        ensure!(till.level("mug").await? == (1, 0), "the unit is free again");
        Ok(())
    })
}

/// So many buyers order the last unit at once.
async fn rush(till: &Till, payment_method: &str) -> anyhow::Result<Vec<(StatusCode, Value)>> {
    let customer = till.stock("mug", 1).await?;
    let mut carts = Vec::with_capacity(BUYERS);
    for _ in 0..BUYERS {
        carts.push(till.cart(customer, "mug").await?);
    }
    join_all(carts.into_iter().map(|cart| till.order(cart, payment_method)))
        .await
        .into_iter()
        .collect()
}

/// Exactly one order is confirmed, the stock is gone and not below, and the provider was paid once for it.
async fn one_confirmed_and_paid(till: &Till) -> anyhow::Result<()> {
    let orders = till.decided(SOON).await?;
    let confirmed = orders
        .iter()
        .filter(|order| order["state"] == "confirmed")
        .count();
    ensure!(confirmed == 1, "confirmed {confirmed}: {orders:?}");
    let captured = till.captured().await?;
    ensure!(captured == (1, 250), "the provider's ledger says {captured:?}");
    let level = till.level("mug").await.context("the level")?;
    ensure!(level == (0, 0), "on hand and reserved are {level:?}");
    Ok(())
}

/// Waits until the provider's ledger shows a charge.
async fn charged(till: &Till) -> anyhow::Result<()> {
    let until = Instant::now() + SOON;
    while till.captured().await?.0 == 0 {
        ensure!(Instant::now() < until, "nothing was charged");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
