//! Accounts: customers, addresses, sessions.

use anyhow::ensure;
use banyan_tests::api::Api;
use reqwest::Method;
use serde_json::json;

use crate::Work;

/// Its trials.
pub(super) fn trials() -> Vec<(&'static str, Work)> {
    crate::trials![
        opens_changes_and_closes_an_account,
        takes_an_email_once,
        refuses_wrong_values,
        keeps_addresses,
        ends_a_session_at_once,
        refuses_wrong_passwords,
        hides_customers_from_each_other,
    ]
}

async fn opens_changes_and_closes_an_account(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    let path = format!("/api/customers/{}", customer.id);
    let seen = customer.get(&path).await?.expect(200)?;
    ensure!(
        seen.body["name"] == "Ann Example" && seen.body.get("password").is_none(),
        "{}",
        seen.body
    );
    let change = json!({ "name": "Anna" });
    let changed = customer
        .send(Method::PATCH, &path, Some(&change), &[])
        .await?
        .expect(200)?;
    ensure!(
        changed.body["name"] == "Anna" && changed.body["email"] == seen.body["email"],
        "{}",
        changed.body
    );
    customer.delete(&path).await?.expect(204)?;
    customer.get(&path).await?.problem(401, "unauthorized", "")?;
    api.get(&path).await?.problem(404, "not-found", "").map(drop)
}

async fn takes_an_email_once(api: Api) -> anyhow::Result<()> {
    let email = format!("{}@example.org", api.name("Twice"));
    let new = |email: &str| json!({ "email": email, "name": "A", "password": "correct horse" });
    let made = api
        .nobody()
        .post("/api/customers", &new(&email))
        .await?
        .expect(201)?;
    ensure!(
        made.header("location")? == format!("/api/customers/{}", made.number("/id")?),
        "{:?}",
        made.headers
    );
    let again = api
        .nobody()
        .post("/api/customers", &new(&email.to_lowercase()))
        .await?;
    again.problem(409, "email-taken", "").map(drop)
}

async fn refuses_wrong_values(api: Api) -> anyhow::Result<()> {
    let api = api.nobody();
    let cases = [
        ("nonsense", "A", "correct horse", "email"),
        ("a@b.c", "", "correct horse", "name"),
        ("a@b.c", "A", "short", "password"),
    ];
    for (email, name, password, field) in cases {
        let new = json!({ "email": email, "name": name, "password": password });
        api.post("/api/customers", &new)
            .await?
            .problem(422, "validation", field)?;
    }
    api.post("/api/customers", &json!({ "email": "a@b.c" }))
        .await?
        .problem(400, "bad-request", "name")
        .map(drop)
}

async fn keeps_addresses(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    let path = format!("/api/customers/{}/addresses", customer.id);
    let new = json!({ "line1": "1 High Street", "city": "London", "postcode": "N1", "country": "GB" });
    let first = customer.post(&path, &new).await?.expect(201)?.number("/id")?;
    let second = customer.post(&path, &new).await?.expect(201)?.number("/id")?;
    let page = customer.get(&format!("{path}?limit=1")).await?.expect(200)?;
    ensure!(page.each("id")? == [first.to_string()], "{}", page.body);
    let rest = customer
        .get(&format!("{path}?cursor={}", page.text("/next")?))
        .await?
        .expect(200)?;
    ensure!(
        rest.each("id")? == [second.to_string()] && rest.body["next"].is_null(),
        "{}",
        rest.body
    );
    customer.delete(&format!("{path}/{first}")).await?.expect(204)?;
    customer
        .delete(&format!("{path}/{first}"))
        .await?
        .problem(404, "not-found", "")?;
    let wrong = json!({ "line1": "x", "city": "y", "country": "UK" });
    customer
        .post(&path, &wrong)
        .await?
        .problem(422, "validation", "country")
        .map(drop)
}

async fn ends_a_session_at_once(api: Api) -> anyhow::Result<()> {
    let customer = api.customer().await?;
    customer
        .get(&format!("/api/customers/{}", customer.id))
        .await?
        .expect(200)?;
    customer.delete("/api/sessions/current").await?.expect(204)?;
    customer
        .get(&format!("/api/customers/{}", customer.id))
        .await?
        .problem(401, "unauthorized", "")
        .map(drop)
}

async fn refuses_wrong_passwords(api: Api) -> anyhow::Result<()> {
    let email = format!("{}@example.org", api.name("login"));
    let new = json!({ "email": email, "name": "A", "password": "correct horse" });
    api.nobody().post("/api/customers", &new).await?.expect(201)?;
    for (email, password) in [
        (email.as_str(), "battery staple"),
        ("nobody@example.org", "correct horse"),
    ] {
        let login = json!({ "email": email, "password": password });
        api.nobody()
            .post("/api/sessions", &login)
            .await?
            .problem(401, "unauthorized", "")?;
    }
    Ok(())
}

async fn hides_customers_from_each_other(api: Api) -> anyhow::Result<()> {
    let (ann, bob) = (api.customer().await?, api.customer().await?);
    let path = format!("/api/customers/{}", ann.id);
    for path in [
        path.clone(),
        format!("{path}/addresses"),
        format!("{path}/notifications"),
        format!("{path}/history"),
    ] {
        bob.get(&path).await?.problem(404, "not-found", "")?;
        api.nobody().get(&path).await?.problem(401, "unauthorized", "")?;
    }
    bob.delete(&path).await?.problem(404, "not-found", "").map(drop)
}
