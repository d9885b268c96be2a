//! What holds for every route: HEAD, request ids, trace context, health.

use anyhow::ensure;
use banyan_tests::api::Api;
use reqwest::Method;

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        answers_head_without_a_body,
        keeps_the_request_id,
        says_who_it_is_not
    ]
}

async fn answers_head_without_a_body(api: Api) -> anyhow::Result<()> {
    let sku = api.product(100).await?;
    let path = format!("/api/products/{sku}");
    let got = api.get(&path).await?.expect(200)?;
    let head = api.send(Method::HEAD, &path, None, &[]).await?.expect(200)?;
    ensure!(head.length == 0, "a body of {} bytes", head.length);
    ensure!(
        head.header("content-length")? == got.header("content-length")?,
        "{:?}",
        head.headers
    );
    ensure!(head.header("etag")? == got.header("etag")?, "{:?}", head.headers);
    Ok(())
}

async fn keeps_the_request_id(api: Api) -> anyhow::Result<()> {
    let given = api
        .send(
            Method::GET,
            "/api/categories",
            None,
            &[("x-request-id", "trial-7")],
        )
        .await?;
    ensure!(given.header("x-request-id")? == "trial-7", "{:?}", given.headers);
    let made = api.get("/api/categories").await?;
    ensure!(!made.header("x-request-id")?.is_empty(), "{:?}", made.headers);
    Ok(())
}

async fn says_who_it_is_not(api: Api) -> anyhow::Result<()> {
    // A token of another shop: well-formed, signed, and not ours.
    let foreign = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.eyJpc3MiOiJvdGhlciIsInN1YiI6IjEiLCJyb2xlIjoic3RhZmYiLCJpYXQiOjEsImV4cCI6NDEwMjQ0NDgwMH0.AAAA";
    api.bearing(foreign)
        .get("/api/orders")
        .await?
        .problem(401, "unauthorized", "")
        .map(drop)
}
