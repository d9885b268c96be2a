//! The inventory: levels, movements, reservations.

use anyhow::ensure;
use banyan_tests::api::Api;
use serde_json::json;

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        counts_movements,
        lists_levels,
        never_takes_what_is_not_there,
        reserves_all_or_nothing,
        confirms_once,
        releases,
        refuses_wrong_movements_and_reservations,
        wants_staff,
    ]
}

async fn counts_movements(api: Api) -> anyhow::Result<()> {
    let sku = api.product(100).await?;
    let path = format!("/api/stock/{sku}/movements");
    let moved = api
        .post(
            &path,
            &json!({ "kind": "receipt", "quantity": 10, "reference": "PO 7" }),
        )
        .await?
        .expect(201)?;
    ensure!(
        moved.number("/stock/on_hand")? == 10 && moved.body["reference"] == "PO 7",
        "{}",
        moved.body
    );
    api.post(&path, &json!({ "kind": "sale", "quantity": 3 }))
        .await?
        .expect(201)?;
    api.post(&path, &json!({ "kind": "return", "quantity": 1 }))
        .await?
        .expect(201)?;
    api.post(&path, &json!({ "kind": "adjustment", "quantity": -2 }))
        .await?
        .expect(201)?;
    let level = api
        .nobody()
        .get(&format!("/api/stock/{sku}"))
        .await?
        .expect(200)?;
    let figures = (
        level.number("/on_hand")?,
        level.number("/reserved")?,
        level.number("/available")?,
    );
    ensure!(figures == (6, 0, 6), "{}", level.body);
    Ok(())
}

async fn lists_levels(api: Api) -> anyhow::Result<()> {
    let mut skus = vec![api.stocked(100, 1).await?, api.stocked(100, 2).await?];
    skus.sort();
    let listed = api
        .get(&format!("/api/stock?sku={},{}", skus[1], skus[0]))
        .await?
        .expect(200)?;
    ensure!(listed.each("sku")? == skus, "{}", listed.body);
    ensure!(
        !api.get("/api/stock?limit=1").await?.expect(200)?.body["next"].is_null(),
        "there is more than one"
    );
    api.get("/api/stock/never-stocked")
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn never_takes_what_is_not_there(api: Api) -> anyhow::Result<()> {
    let sku = api.stocked(100, 2).await?;
    let path = format!("/api/stock/{sku}/movements");
    api.post(&path, &json!({ "kind": "sale", "quantity": 3 }))
        .await?
        .problem(409, "insufficient-stock", "")?;
    api.post(&path, &json!({ "kind": "adjustment", "quantity": -3 }))
        .await?
        .problem(409, "insufficient-stock", "")?;
    let level = api.get(&format!("/api/stock/{sku}")).await?.expect(200)?;
    ensure!(level.number("/on_hand")? == 2, "{}", level.body);
    Ok(())
}

fn lines(lines: &[(&str, i64)]) -> serde_json::Value {
    let lines: Vec<_> = lines
        .iter()
        .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }))
        .collect();
    json!({ "lines": lines })
}

async fn reserves_all_or_nothing(api: Api) -> anyhow::Result<()> {
    let (plenty, scarce) = (api.stocked(100, 10).await?, api.stocked(100, 1).await?);
    let refused = api
        .post("/api/reservations", &lines(&[(&plenty, 2), (&scarce, 2)]))
        .await?;
    refused.problem(409, "insufficient-stock", "lines[1].quantity")?;
    let level = api.get(&format!("/api/stock/{plenty}")).await?.expect(200)?;
    ensure!(level.number("/reserved")? == 0, "{}", level.body);
    let held = api
        .post("/api/reservations", &lines(&[(&plenty, 2), (&scarce, 1)]))
        .await?
        .expect(201)?;
    ensure!(held.body["state"] == "held", "{}", held.body);
    let level = api.get(&format!("/api/stock/{plenty}")).await?.expect(200)?;
    ensure!(
        level.number("/reserved")? == 2 && level.number("/available")? == 8,
        "{}",
        level.body
    );
    let path = format!("/api/reservations/{}", held.number("/id")?);
    ensure!(
        api.get(&path).await?.expect(200)?.body == held.body,
        "it reads back as it was made"
    );
    Ok(())
}

async fn confirms_once(api: Api) -> anyhow::Result<()> {
    let sku = api.stocked(100, 5).await?;
    let id = api
        .post("/api/reservations", &lines(&[(&sku, 2)]))
        .await?
        .expect(201)?
        .number("/id")?;
    let path = format!("/api/reservations/{id}");
    for _ in 0..2 {
        let confirmed = api
            .post(&format!("{path}/confirm"), &json!({}))
            .await?
            .expect(200)?;
        ensure!(confirmed.body["state"] == "confirmed", "{}", confirmed.body);
    }
    let level = api.get(&format!("/api/stock/{sku}")).await?.expect(200)?;
    ensure!(
        level.number("/on_hand")? == 3 && level.number("/reserved")? == 0,
        "{}",
        level.body
    );
    api.delete(&path).await?.problem(409, "conflict", "").map(drop)
}

async fn releases(api: Api) -> anyhow::Result<()> {
    let sku = api.stocked(100, 5).await?;
    let id = api
        .post("/api/reservations", &lines(&[(&sku, 2)]))
        .await?
        .expect(201)?
        .number("/id")?;
    let path = format!("/api/reservations/{id}");
    api.delete(&path).await?.expect(204)?;
    api.delete(&path).await?.expect(204)?;
    let level = api.get(&format!("/api/stock/{sku}")).await?.expect(200)?;
    ensure!(level.number("/available")? == 5, "{}", level.body);
    api.post(&format!("{path}/confirm"), &json!({}))
        .await?
        .problem(409, "conflict", "")?;
    api.delete("/api/reservations/999999999")
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn refuses_wrong_movements_and_reservations(api: Api) -> anyhow::Result<()> {
    let sku = api.stocked(100, 5).await?;
    let path = format!("/api/stock/{sku}/movements");
    api.post(&path, &json!({ "kind": "receipt", "quantity": 0 }))
        .await?
        .problem(422, "validation", "quantity")?;
    api.post(&path, &json!({ "kind": "receipt", "quantity": -1 }))
        .await?
        .problem(422, "validation", "quantity")?;
    api.post(&path, &json!({ "kind": "gift", "quantity": 1 }))
        .await?
        .problem(400, "bad-request", "kind")?;
    let unknown = api
        .post(
            "/api/stock/no-such-sku/movements",
            &json!({ "kind": "receipt", "quantity": 1 }),
        )
        .await?;
    unknown.problem(404, "not-found", "")?;
    api.post("/api/reservations", &json!({ "lines": [] }))
        .await?
        .problem(422, "validation", "lines")?;
    api.post("/api/reservations", &lines(&[(&sku, 0)]))
        .await?
        .expect(422)?;
    api.post("/api/reservations", &lines(&[(&sku, 1), (&sku, 1)]))
        .await?
        .expect(422)?;
    api.get("/api/reservations/seven")
        .await?
        .problem(400, "bad-request", "id")
        .map(drop)
}

async fn wants_staff(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    customer
        .post("/api/reservations", &lines(&[("A", 1)]))
        .await?
        .problem(403, "forbidden", "")?;
    let movement = json!({ "kind": "receipt", "quantity": 1 });
    customer
        .post("/api/stock/A/movements", &movement)
        .await?
        .problem(403, "forbidden", "")?;
    api.nobody()
        .post("/api/stock/A/movements", &movement)
        .await?
        .problem(401, "unauthorized", "")
        .map(drop)
}
