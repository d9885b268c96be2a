//! What the catalog refuses, and how it says so.

use banyan_tests::api::{Api, product};
use reqwest::Method;
use serde_json::{Value, json};

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        names_each_field_that_is_wrong,
        refuses_what_it_cannot_read,
        refuses_bodies_of_other_types_and_sizes,
        refuses_a_taken_sku,
        wants_staff_for_writes,
        refuses_wrong_parameters,
        knows_no_such_product,
        tells_the_methods_that_there_are,
    ]
}

async fn names_each_field_that_is_wrong(api: Api) -> anyhow::Result<()> {
    let cases: [(&str, &str, Value); 9] = [
        ("/sku", "sku", json!("a/b")),
        ("/sku", "sku", json!("..")),
        ("/sku", "sku", json!("")),
        ("/name", "name", json!("")),
        ("/name", "name", json!("x".repeat(201))),
        ("/category", "category", json!("Not A Slug")),
        ("/price/amount", "price.amount", json!(-1)),
        ("/price/amount", "price.amount", json!(10_000_000_001_i64)),
        ("/price/currency", "price.currency", json!("GBX")),
    ];
    for (pointer, field, value) in cases {
        let mut new = product(&api.name("SKU"), 100);
        if let Some(place) = new.pointer_mut(pointer) {
            *place = value;
        }
        api.post("/api/products", &new)
            .await?
            .problem(422, "validation", field)?;
    }
    let sku = api.product(100).await?;
    let price = json!({ "price": { "amount": -5, "currency": "GBP" } });
    api.put(&format!("/api/products/{sku}/price"), &price)
        .await?
        .problem(422, "validation", "price.amount")
        .map(drop)
}

async fn refuses_what_it_cannot_read(api: Api) -> anyhow::Result<()> {
    let cases = [
        (r#"{"sku":"A""#, ""),
        ("", ""),
        ("[]", ""),
        (
            r#"{"name":"n","category":"c","price":{"amount":1,"currency":"GBP"}}"#,
            "sku",
        ),
        (
            r#"{"sku":7,"name":"n","category":"c","price":{"amount":1,"currency":"GBP"}}"#,
            "sku",
        ),
        (
            r#"{"sku":"A","name":"n","category":"c","price":{"amount":"1","currency":"GBP"}}"#,
            "price.amount",
        ),
        (
            r#"{"sku":"A","name":"n","category":"c","price":{"amount":1.5,"currency":"GBP"}}"#,
            "price.amount",
        ),
        (
            r#"{"sku":"A","name":"n","category":"c","price":{"amount":1,"currency":"GBP"},"colour":"red"}"#,
            "colour",
        ),
        (
            r#"{"sku":"A","name":"n","category":"c","price":{"amount":1,"currency":"GBP"},"status":"odd"}"#,
            "status",
        ),
    ];
    for (body, field) in cases {
        let answer = api.send_text(
            Method::POST,
            "/api/products",
            Some(body.to_owned()),
            &[("content-type", "application/json")],
        );
        answer.await?.problem(400, "bad-request", field)?;
    }
    Ok(())
}

async fn refuses_bodies_of_other_types_and_sizes(api: Api) -> anyhow::Result<()> {
    let body = product("A", 1).to_string();
    let form = api.send_text(
        Method::POST,
        "/api/products",
        Some(body.clone()),
        &[("content-type", "text/plain")],
    );
    form.await?.problem(415, "unsupported-media-type", "")?;
    api.send_text(Method::POST, "/api/products", Some(body), &[])
        .await?
        .problem(415, "unsupported-media-type", "")?;
    let mut large = product("A", 1);
    large["description"] = "x".repeat(300 * 1024).into();
    api.post("/api/products", &large)
        .await?
        .problem(413, "too-large", "")
        .map(drop)
}

async fn refuses_a_taken_sku(api: Api) -> anyhow::Result<()> {
    let sku = api.product(100).await?;
    api.post("/api/products", &product(&sku, 200))
        .await?
        .problem(409, "sku-taken", "")
        .map(drop)
}

async fn wants_staff_for_writes(api: Api) -> anyhow::Result<()> {
    let sku = api.product(100).await?;
    let path = format!("/api/products/{sku}");
    for api in [api.nobody(), api.bearing("nonsense")] {
        let refused = api
            .post("/api/products", &product("X", 1))
            .await?
            .problem(401, "unauthorized", "")?;
        anyhow::ensure!(
            refused.header("www-authenticate")? == "Bearer",
            "{:?}",
            refused.headers
        );
        api.put(
            &path,
            &json!({ "name": "n", "category": "c", "price": { "amount": 1, "currency": "GBP" } }),
        )
        .await?
        .problem(401, "unauthorized", "")?;
        api.put(
            &format!("{path}/price"),
            &json!({ "price": { "amount": 1, "currency": "GBP" } }),
        )
        .await?
        .problem(401, "unauthorized", "")?;
        api.delete(&path).await?.problem(401, "unauthorized", "")?;
    }
    let customer = api.bearing(&api.stage.customer_token()?);
    customer
        .post("/api/products", &product("X", 1))
        .await?
        .problem(403, "forbidden", "")?;
    customer.delete(&path).await?.problem(403, "forbidden", "")?;
    api.get(&path).await?.expect(200).map(drop)
}

async fn refuses_wrong_parameters(api: Api) -> anyhow::Result<()> {
    let cases = [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("cursor=made-up", "cursor"),
        ("status=odd", "status"),
    ];
    for (query, field) in cases {
        api.get(&format!("/api/products?{query}"))
            .await?
            .problem(400, "bad-request", field)?;
    }
    api.get("/api/categories?limit=0")
        .await?
        .problem(400, "bad-request", "limit")?;
    let skus = vec!["A"; 101].join(",");
    api.get(&format!("/api/products?skus={skus}"))
        .await?
        .problem(400, "bad-request", "skus")
        .map(drop)
}

async fn knows_no_such_product(api: Api) -> anyhow::Result<()> {
    api.get("/api/products/no-such-sku")
        .await?
        .problem(404, "not-found", "")?;
    api.get("/api/nothing")
        .await?
        .problem(404, "not-found", "")
        .map(drop)
}

async fn tells_the_methods_that_there_are(api: Api) -> anyhow::Result<()> {
    let refused = api.send(Method::PATCH, "/api/products/x", None, &[]).await?;
    let refused = refused.problem(405, "method-not-allowed", "")?;
    anyhow::ensure!(
        refused.header("allow")? == "DELETE, GET, HEAD, PUT",
        "{:?}",
        refused.headers
    );
    Ok(())
}
