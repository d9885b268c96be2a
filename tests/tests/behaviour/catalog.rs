//! The catalog: products, their prices and versions, searching and paging.

use anyhow::ensure;
use banyan_tests::api::{Api, product};
use reqwest::Method;
use serde_json::{Value, json};

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        creates_and_gets,
        keeps_the_case_and_spaces_of_skus,
        lists_in_the_order_of_skus_to_the_end,
        finds_words,
        filters_by_category_status_and_skus,
        replaces_and_counts_versions,
        honours_if_match,
        answers_304_to_the_version_at_hand,
        changes_prices,
        deletes_and_never_uses_a_version_again,
        counts_categories,
    ]
}

async fn creates_and_gets(api: Api) -> anyhow::Result<()> {
    let sku = api.name("SKU");
    let mut new = product(&sku, 250);
    new["description"] = "Holds a lot.".into();
    let made = api.post("/api/products", &new).await?.expect(201)?;
    ensure!(
        made.header("location")? == format!("/api/products/{sku}"),
        "{:?}",
        made.headers
    );
    ensure!(made.header("etag")? == "\"v1\"", "{:?}", made.headers);
    api.stage.settle().await?;
    let got = api
        .nobody()
        .get(&format!("/api/products/{sku}"))
        .await?
        .expect(200)?;
    ensure!(got.body == made.body, "{} is not {}", got.body, made.body);
    ensure!(got.header("etag")? == "\"v1\"", "{:?}", got.headers);
    ensure!(
        got.body["price"] == json!({ "amount": 250, "currency": "GBP" }),
        "{}",
        got.body
    );
    ensure!(
        got.body["status"] == "active" && got.body["description"] == "Holds a lot.",
        "{}",
        got.body
    );
    ensure!(got.text("/created_at")?.ends_with('Z'), "{}", got.body);
    Ok(())
}

async fn keeps_the_case_and_spaces_of_skus(api: Api) -> anyhow::Result<()> {
    let sku = api.name("Sp ace");
    api.post("/api/products", &product(&sku, 100))
        .await?
        .expect(201)?;
    api.post("/api/products", &product(&sku.to_lowercase(), 200))
        .await?
        .expect(201)?;
    api.stage.settle().await?;
    let path = format!("/api/products/{}", sku.replace(' ', "%20"));
    let upper = api.get(&path).await?.expect(200)?;
    let lower = api.get(&path.replace("Sp%20", "sp%20")).await?.expect(200)?;
    ensure!(
        upper.number("/price/amount")? == 100 && lower.number("/price/amount")? == 200,
        "{}",
        lower.body
    );
    api.get(&path.replace("Sp%20", "SP%20"))
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

/// Products of a category of their own, in an order that byte order and dictionaries disagree about.
async fn shelf(api: &Api, names: &[&str]) -> anyhow::Result<(String, Vec<String>)> {
    let category = api.name("shelf");
    let mut skus = Vec::new();
    for name in names {
        let sku = format!("{name}{category}");
        let mut new = product(&sku, 100);
        new["category"] = category.as_str().into();
        api.post("/api/products", &new).await?.expect(201)?;
        skus.push(sku);
    }
    skus.sort();
    api.stage.settle().await?;
    Ok((category, skus))
}

async fn lists_in_the_order_of_skus_to_the_end(api: Api) -> anyhow::Result<()> {
    let (category, skus) = shelf(&api, &["a", "B", "b", "_", "1", "A ", "a-", "a."]).await?;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api
            .get(&format!("/api/products?category={category}&limit=3{cursor}"))
            .await?
            .expect(200)?;
        ensure!(page.items()?.len() <= 3, "{}", page.body);
        seen.extend(page.each("sku")?);
        match page.body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    ensure!(seen == skus, "{seen:?} is not {skus:?}");
    Ok(())
}

async fn finds_words(api: Api) -> anyhow::Result<()> {
    let mark = api.name("mark").replace('-', "");
    for (sku, name, description) in [
        ("w1", "WHITE T-Light holder", "glass £40.00"),
        ("w2", "White lantern", "metal"),
        ("w3", "Ünïcode mug", ""),
    ] {
        let mut new = product(&format!("{mark}-{sku}"), 100);
        new["name"] = name.into();
        new["description"] = description.into();
        api.post("/api/products", &new).await?.expect(201)?;
    }
    api.stage.settle().await?;
    let cases = [
        ("white", vec!["w1", "w2"]),
        ("WHITE light", vec!["w1"]),
        ("t-li", vec!["w1"]),
        ("lan", vec!["w2"]),
        ("antern", vec![]),
        ("white 40", vec!["w1"]),
        ("lantern white", vec!["w2"]),
        ("whi lantern", vec![]),
        ("ünïcode", vec!["w3"]),
        ("w2", vec!["w2"]),
        ("", vec!["w1", "w2", "w3"]),
    ];
    for (words, expected) in cases {
        let query =
            url::form_urlencoded::byte_serialize(format!("{mark} {words}").as_bytes()).collect::<String>();
        let found = api
            .get(&format!("/api/products?q={query}"))
            .await?
            .expect(200)?
            .each("sku")?;
        let expected: Vec<String> = expected.iter().map(|sku| format!("{mark}-{sku}")).collect();
        ensure!(
            found == expected,
            "`{words}` finds {found:?} instead of {expected:?}"
        );
    }
    Ok(())
}

async fn filters_by_category_status_and_skus(api: Api) -> anyhow::Result<()> {
    let (category, skus) = shelf(&api, &["x", "y", "z"]).await?;
    let gone = json!({ "name": "Old", "category": category, "price": { "amount": 1, "currency": "GBP" }, "status": "discontinued" });
    api.put(&format!("/api/products/{}", skus[1]), &gone)
        .await?
        .expect(200)?;
    api.stage.settle().await?;
    let list = |query: String| {
        let api = api.clone();
        async move {
            api.get(&format!("/api/products?{query}"))
                .await?
                .expect(200)?
                .each("sku")
        }
    };
    let active = list(format!("category={category}&status=active")).await?;
    ensure!(active == [skus[0].clone(), skus[2].clone()], "{active:?}");
    let discontinued = list(format!("category={category}&status=discontinued")).await?;
    ensure!(discontinued == [skus[1].clone()], "{discontinued:?}");
    let some = list(format!("skus={},{},unknown", skus[2], skus[0])).await?;
    ensure!(some == [skus[0].clone(), skus[2].clone()], "{some:?}");
    ensure!(
        list("category=no-such-shelf".to_owned()).await?.is_empty(),
        "an unknown category is empty"
    );
    Ok(())
}

fn other() -> Value {
    json!({ "name": "Blue Mug", "description": "Blue.", "category": "blue", "price": { "amount": 300, "currency": "EUR" } })
}

async fn replaces_and_counts_versions(api: Api) -> anyhow::Result<()> {
    let sku = api.product(250).await?;
    let replaced = api
        .put(&format!("/api/products/{sku}"), &other())
        .await?
        .expect(200)?;
    ensure!(
        replaced.header("etag")? == "\"v2\"" && replaced.number("/version")? == 2,
        "{}",
        replaced.body
    );
    api.stage.settle().await?;
    let got = api.get(&format!("/api/products/{sku}")).await?.expect(200)?;
    ensure!(
        got.body == replaced.body && got.body["price"]["currency"] == "EUR",
        "{}",
        got.body
    );
    ensure!(
        got.body["category"] == "blue" && got.body["name"] == "Blue Mug",
        "{}",
        got.body
    );
    api.put("/api/products/no-such-sku", &other())
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn honours_if_match(api: Api) -> anyhow::Result<()> {
    let sku = api.product(250).await?;
    let path = format!("/api/products/{sku}");
    let put = |tag: &'static str| {
        let (api, path) = (api.clone(), path.clone());
        async move {
            api.send(Method::PUT, &path, Some(&other()), &[("if-match", tag)])
                .await
        }
    };
    put("\"v9\"").await?.problem(412, "precondition-failed", "")?;
    put("\"nonsense\"")
        .await?
        .problem(412, "precondition-failed", "")?;
    put("W/\"v1\"").await?.problem(412, "precondition-failed", "")?;
    put("\"v1\"").await?.expect(200)?;
    put("\"v1\"").await?.problem(412, "precondition-failed", "")?;
    put("\"v1\", \"v2\"").await?.expect(200)?;
    put("*").await?.expect(200)?;
    let price = json!({ "price": { "amount": 1, "currency": "GBP" } });
    let late = api
        .send(
            Method::PUT,
            &format!("{path}/price"),
            Some(&price),
            &[("if-match", "\"v1\"")],
        )
        .await?;
    late.problem(412, "precondition-failed", "")?;
    api.send(Method::DELETE, &path, None, &[("if-match", "\"v1\"")])
        .await?
        .problem(412, "precondition-failed", "")?;
    api.send(Method::DELETE, &path, None, &[("if-match", "\"v4\"")])
        .await?
        .expect(204)
        .map(drop)
}

async fn answers_304_to_the_version_at_hand(api: Api) -> anyhow::Result<()> {
    let sku = api.product(250).await?;
    let path = format!("/api/products/{sku}");
    for tag in ["\"v1\"", "W/\"v1\"", "\"v7\", \"v1\"", "*"] {
        let same = api
            .send(Method::GET, &path, None, &[("if-none-match", tag)])
            .await?
            .expect(304)?;
        ensure!(
            same.length == 0 && same.header("etag")? == "\"v1\"",
            "{tag}: {:?}",
            same.headers
        );
    }
    api.send(Method::GET, &path, None, &[("if-none-match", "\"v7\"")])
        .await?
        .expect(200)
        .map(drop)
}

async fn changes_prices(api: Api) -> anyhow::Result<()> {
    let sku = api.product(250).await?;
    let path = format!("/api/products/{sku}/price");
    let price = json!({ "price": { "amount": 199, "currency": "GBP" } });
    let changed = api.put(&path, &price).await?.expect(200)?;
    ensure!(
        changed.number("/price/amount")? == 199 && changed.number("/version")? == 2,
        "{}",
        changed.body
    );
    let same = api.put(&path, &price).await?.expect(200)?;
    ensure!(
        same.number("/version")? == 2,
        "the same price is no change: {}",
        same.body
    );
    api.stage.settle().await?;
    let got = api.get(&format!("/api/products/{sku}")).await?.expect(200)?;
    ensure!(got.number("/price/amount")? == 199, "{}", got.body);
    api.put("/api/products/no-such-sku/price", &price)
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn deletes_and_never_uses_a_version_again(api: Api) -> anyhow::Result<()> {
    let sku = api.product(250).await?;
    let path = format!("/api/products/{sku}");
    api.delete(&path).await?.expect(204)?;
    api.stage.settle().await?;
    api.get(&path).await?.problem(404, "not-found", "")?;
    let listed = api.get(&format!("/api/products?skus={sku}")).await?.expect(200)?;
    ensure!(listed.items()?.is_empty(), "{}", listed.body);
    api.delete(&path).await?.problem(404, "not-found", "")?;
    let again = api
        .post("/api/products", &product(&sku, 300))
        .await?
        .expect(201)?;
    ensure!(again.number("/version")? == 3, "versions go on: {}", again.body);
    let stale = api
        .send(Method::DELETE, &path, None, &[("if-match", "\"v1\"")])
        .await?;
    stale.problem(412, "precondition-failed", "").map(drop)
}

async fn counts_categories(api: Api) -> anyhow::Result<()> {
    let (category, skus) = shelf(&api, &["x", "y"]).await?;
    let count = |expected: Option<i64>| {
        let (api, category) = (api.clone(), category.clone());
        async move {
            let mut cursor = String::new();
            loop {
                let page = api
                    .get(&format!("/api/categories?limit=100{cursor}"))
                    .await?
                    .expect(200)?;
                let found = page
                    .items()?
                    .iter()
                    .find(|item| item["slug"] == category.as_str());
                match (found, page.body["next"].as_str()) {
                    (None, Some(next)) => cursor = format!("&cursor={next}"),
                    (found, _) => {
                        let products = found.and_then(|item| item["products"].as_i64());
                        ensure!(products == expected, "{products:?} instead of {expected:?}");
                        return Ok(());
                    }
                }
            }
        }
    };
    count(Some(2)).await?;
    for sku in skus {
        api.delete(&format!("/api/products/{sku}")).await?.expect(204)?;
    }
    api.stage.settle().await?;
    count(None).await
}
