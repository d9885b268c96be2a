//! Reports: sums over what was sold, what runs out, what a customer has been through.

use anyhow::{Context, ensure};
use banyan_tests::api::Api;

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        adds_up_what_was_sold,
        tells_what_runs_out,
        tells_a_customers_history,
        wants_staff
    ]
}

async fn adds_up_what_was_sold(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(333, 5).await?, api.customer().await?);
    let before = api
        .get("/api/reports/sales")
        .await?
        .expect(200)?
        .number("/total/amount")?;
    customer.bought(&sku).await?;
    customer.bought(&sku).await?;
    let after = api
        .get("/api/reports/sales")
        .await?
        .expect(200)?
        .number("/total/amount")?;
    ensure!(after >= before + 666, "{before} became {after}");
    let mut cursor = String::new();
    let group = loop {
        let page = api
            .get(&format!("/api/reports/sales?group_by=sku&limit=100{cursor}"))
            .await?
            .expect(200)?;
        let groups = page.body["groups"]["items"].as_array().context("groups")?.clone();
        match (
            groups.into_iter().find(|group| group["key"] == sku.as_str()),
            page.body["groups"]["next"].as_str(),
        ) {
            (Some(group), _) => break group,
            (None, Some(next)) => cursor = format!("&cursor={next}"),
            (None, None) => anyhow::bail!("{sku} is in no group"),
        }
    };
    ensure!(
        group["quantity"] == 2 && group["total"]["amount"] == 666,
        "{group}"
    );
    for by in ["country", "day", "none"] {
        api.get(&format!("/api/reports/sales?group_by={by}"))
            .await?
            .expect(200)?;
    }
    api.get("/api/reports/sales?group_by=moon")
        .await?
        .problem(400, "bad-request", "group_by")
        .map(drop)
}

async fn tells_what_runs_out(api: Api) -> anyhow::Result<()> {
    let sku = api.stocked(100, 1).await?;
    let mut cursor = String::new();
    loop {
        let page = api
            .get(&format!("/api/reports/low-stock?threshold=1&limit=100{cursor}"))
            .await?
            .expect(200)?;
        if page.each("sku")?.contains(&sku) {
            return Ok(());
        }
        cursor = format!(
            "&cursor={}",
            page.text("/next").context("it is not among what runs out")?
        );
    }
}

async fn tells_a_customers_history(api: Api) -> anyhow::Result<()> {
    let (sku, customer) = (api.stocked(100, 3).await?, api.customer().await?);
    let order = customer.bought(&sku).await?;
    let history = customer
        .get(&format!("/api/customers/{}/history", customer.id))
        .await?
        .expect(200)?;
    let kinds = history.each("kind")?;
    for kind in ["order", "payment", "notification"] {
        ensure!(
            kinds.iter().any(|seen| seen.starts_with(kind)),
            "no {kind}: {}",
            history.body
        );
    }
    ensure!(
        history.each("id")?.contains(&order.to_string()),
        "{}",
        history.body
    );
    Ok(())
}

async fn wants_staff(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    for path in ["/api/reports/sales", "/api/reports/low-stock"] {
        customer.get(path).await?.problem(403, "forbidden", "")?;
        api.nobody().get(path).await?.problem(401, "unauthorized", "")?;
    }
    Ok(())
}
