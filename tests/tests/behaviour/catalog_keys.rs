//! Creating a product under an idempotency key: what is done once stays done once, and what was refused was never done.

use anyhow::ensure;
use banyan_tests::api::{Answer, Api, product};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        answers_a_repetition_as_before,
        makes_one_product_of_concurrent_duplicates,
        refuses_a_key_for_another_body,
        keeps_no_key_of_a_refused_create,
        parts_the_keys_of_different_people,
        refuses_a_key_that_is_none,
    ]
}

async fn create(api: &Api, key: &str, body: &Value) -> anyhow::Result<Answer> {
    let key = [("idempotency-key", key)];
    api.send(Method::POST, "/api/products", Some(body), &key).await
}

/// What must be the same in both answers.
fn told(answer: &Answer) -> anyhow::Result<(String, String, Value)> {
    let header = |name| answer.header(name).map(str::to_owned);
    Ok((header("location")?, header("etag")?, answer.body.clone()))
}

async fn answers_a_repetition_as_before(api: Api) -> anyhow::Result<()> {
    let (sku, key) = (api.name("Key ed"), api.name("key"));
    let new = product(&sku, 250);
    let first = create(&api, &key, &new).await?.expect(201)?;
    ensure!(
        first.header("idempotency-replayed").is_err(),
        "{:?}",
        first.headers
    );
    // What has become of the product since is not what the create was answered.
    let path = format!("/api/products/{}", sku.replace(' ', "%20"));
    let price = json!({ "price": { "amount": 300, "currency": "GBP" } });
    api.put(&format!("{path}/price"), &price).await?.expect(200)?;
    let again = create(&api, &key, &new).await?.expect(201)?;
    ensure!(
        told(&again)? == told(&first)?,
        "{} is not {}",
        again.body,
        first.body
    );
    ensure!(
        again.header("idempotency-replayed")? == "true",
        "{:?}",
        again.headers
    );
    ensure!(
        again.header("content-type")? == first.header("content-type")? && again.length == first.length,
        "{:?}",
        again.headers
    );
    api.delete(&path).await?.expect(204)?;
    let again = create(&api, &key, &new).await?.expect(201)?;
    ensure!(
        told(&again)? == told(&first)?,
        "{} is not {}",
        again.body,
        first.body
    );
    api.stage.settle().await?;
    api.get(&path).await?.problem(404, "not-found", "").map(drop)
}

async fn makes_one_product_of_concurrent_duplicates(api: Api) -> anyhow::Result<()> {
    let (new, key) = (product(&api.name("SKU"), 100), api.name("key"));
    let answers = join_all((0..6).map(|_| create(&api, &key, &new))).await;
    let mut first = None;
    let mut repetitions = 0;
    for answer in answers {
        let answer = answer?.expect(201)?;
        repetitions += usize::from(answer.header("idempotency-replayed").is_ok());
        let said = told(&answer)?;
        let first = first.get_or_insert_with(|| said.clone());
        ensure!(*first == said, "{said:?} is not {first:?}");
    }
    ensure!(repetitions == 5, "{repetitions} of 6 were repetitions");
    Ok(())
}

async fn refuses_a_key_for_another_body(api: Api) -> anyhow::Result<()> {
    let (sku, key) = (api.name("SKU"), api.name("key"));
    create(&api, &key, &product(&sku, 100)).await?.expect(201)?;
    create(&api, &key, &product(&sku, 101)).await?.problem(
        422,
        "idempotency-key-reused",
        "Idempotency-Key",
    )?;
    let other = api.name("SKU");
    create(&api, &key, &product(&other, 100)).await?.problem(
        422,
        "idempotency-key-reused",
        "Idempotency-Key",
    )?;
    api.stage.settle().await?;
    api.get(&format!("/api/products/{other}"))
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn keeps_no_key_of_a_refused_create(api: Api) -> anyhow::Result<()> {
    let (taken, key) = (api.product(100).await?, api.name("key"));
    create(&api, &key, &product(&taken, 100))
        .await?
        .problem(409, "sku-taken", "")?;
    let mut wrong = product(&api.name("SKU"), 100);
    wrong["name"] = "".into();
    create(&api, &key, &wrong)
        .await?
        .problem(422, "validation", "name")?;
    // The key stands for nothing yet, so it may stand for this.
    let made = create(&api, &key, &product(&api.name("SKU"), 100))
        .await?
        .expect(201)?;
    ensure!(made.header("idempotency-replayed").is_err(), "{:?}", made.headers);
    Ok(())
}

async fn parts_the_keys_of_different_people(api: Api) -> anyhow::Result<()> {
    let key = api.name("key");
    let one = create(&api, &key, &product(&api.name("SKU"), 100))
        .await?
        .expect(201)?;
    let colleague = api.bearing(&api.stage.colleague_token()?);
    let other = create(&colleague, &key, &product(&api.name("SKU"), 200))
        .await?
        .expect(201)?;
    ensure!(
        one.body["sku"] != other.body["sku"] && other.header("idempotency-replayed").is_err(),
        "{}",
        other.body
    );
    Ok(())
}

async fn refuses_a_key_that_is_none(api: Api) -> anyhow::Result<()> {
    let sku = api.name("SKU");
    for bad in ["", "two words", &"k".repeat(256)] {
        create(&api, bad, &product(&sku, 100))
            .await?
            .problem(400, "bad-request", "Idempotency-Key")?;
    }
    let longest = format!("{:k<255}", api.name("key"));
    create(&api, &longest, &product(&sku, 100))
        .await?
        .expect(201)
        .map(drop)
}
