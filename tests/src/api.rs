//! A client of the shop for trials: short to write, and strict about what it gets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stage::{Stage, Target};

/// Makes names that no other trial uses.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Somebody who talks to a [`Stage`]: staff, a customer, or nobody known.
#[derive(Clone, Debug)]
pub struct Api {
    /// What it talks to.
    pub stage: Arc<Stage>,
    token: Option<String>,
    /// The customer's id, if it is one.
    pub id: i64,
    sticky: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// What was asked.
    pub question: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null if it is no JSON.
    pub body: Value,
    /// The length of the body as it came.
    pub length: usize,
}

impl Api {
    /// Staff, sticky to the side that `sticky` belongs to where there are two.
    pub fn staff(stage: &Arc<Stage>, sticky: &str) -> Self {
        let sticky = sticky.to_owned();
        Self {
            stage: Arc::clone(stage),
            token: Some(stage.staff.clone()),
            id: 0,
            sticky,
        }
    }

    /// A key for each side that answers: in a canary one that the service serves and one that the monolith does. A trial
    /// runs once with each, so that no difference between the two hides behind a lucky key.
    pub async fn keys(stage: &Arc<Stage>) -> anyhow::Result<Vec<String>> {
        if stage.target != Target::RouterCanary {
            return Ok(vec!["anybody".to_owned()]);
        }
        let mut keys = BTreeMap::new();
        for number in 0..100 {
            let key = format!("customer-{number}");
            let answer = Self::staff(stage, &key)
                .get("/api/categories")
                .await?
                .expect(200)?;
            keys.entry(answer.header("x-served-by")?.to_owned())
                .or_insert(key);
            if keys.len() == 2 {
                return Ok(keys.into_values().collect());
            }
        }
        anyhow::bail!("a hundred keys and all on one side: {keys:?}")
    }

    /// The same without a token.
    #[must_use]
    pub fn nobody(&self) -> Self {
        Self {
            token: None,
            id: 0,
            ..self.clone()
        }
    }

    /// The same with another token.
    #[must_use]
    pub fn bearing(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// A new customer, logged in.
    pub async fn customer(&self) -> anyhow::Result<Self> {
        let email = format!("{}@example.org", self.name("customer"));
        let new = json!({ "email": email, "name": "Ann Example", "password": "correct horse" });
        self.nobody().post("/api/customers", &new).await?.expect(201)?;
        let login = json!({ "email": email, "password": "correct horse" });
        let session = self.nobody().post("/api/sessions", &login).await?.expect(201)?;
        let token = session.text("/token")?.to_owned();
        Ok(Self {
            token: Some(token),
            id: session.number("/customer_id")?,
            ..self.clone()
        })
    }

    /// A name that no other trial uses.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A new product at so many pence that whoever answers knows of; gives its SKU.
    pub async fn product(&self, pence: i64) -> anyhow::Result<String> {
        let sku = self.name("SKU");
        let staff = self.bearing(&self.stage.staff);
        staff
            .post("/api/products", &product(&sku, pence))
            .await?
            .expect(201)?;
        self.stage.settle().await?;
        Ok(sku)
    }

    /// A new product, so many of which are in stock.
    pub async fn stocked(&self, pence: i64, quantity: i64) -> anyhow::Result<String> {
        let sku = self.product(pence).await?;
        let staff = self.bearing(&self.stage.staff);
        let receipt = json!({ "kind": "receipt", "quantity": quantity });
        staff
            .post(&format!("/api/stock/{sku}/movements"), &receipt)
            .await?
            .expect(201)?;
        Ok(sku)
    }

    /// A new cart of this customer's with so many of a product; gives its id.
    pub async fn cart(&self, sku: &str, quantity: i64) -> anyhow::Result<i64> {
        let cart = self
            .post("/api/carts", &json!({}))
            .await?
            .expect(201)?
            .number("/id")?;
        let item = json!({ "quantity": quantity });
        self.put(&format!("/api/carts/{cart}/items/{sku}"), &item)
            .await?
            .expect(200)?;
        Ok(cart)
    }

    /// Orders a cart under a key.
    pub async fn order(&self, cart: i64, key: &str, payment_method: Option<&str>) -> anyhow::Result<Answer> {
        let mut body = json!({ "cart_id": cart });
        if let Some(method) = payment_method {
            body["payment_method"] = method.into();
        }
        self.send(
            Method::POST,
            "/api/orders",
            Some(&body),
            &[("idempotency-key", key)],
        )
        .await
    }

    /// One of a product, ordered and paid; gives the order's id.
    pub async fn bought(&self, sku: &str) -> anyhow::Result<i64> {
        let cart = self.cart(sku, 1).await?;
        self.order(cart, &self.name("key"), Some("tok_ok"))
            .await?
            .expect(201)?
            .number("/id")
    }

    /// GET.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, None, &[]).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PUT, path, Some(body), &[]).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::DELETE, path, None, &[]).await
    }

    /// Any request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let text = body.map(ToString::to_string);
        let mut all = headers.to_vec();
        if body.is_some() {
            all.push(("content-type", "application/json"));
        }
        self.send_text(method, path, text, &all).await
    }

    /// Any request, with a body that need not be JSON.
    pub async fn send_text(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        self.stage.note(method.as_str(), path);
        let question = format!("{method} {path}");
        let url = format!("{}{path}", self.stage.url);
        let mut request = self
            .stage
            .till
            .client
            .request(method, url)
            .header("x-customer", &self.sticky);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer {
            question,
            status,
            headers,
            body,
            length: bytes.len(),
        })
    }
}

impl Answer {
    /// The answer, if it has this status.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        ensure!(
            self.status == status,
            "{}: {} instead of {status}: {}",
            self.question,
            self.status,
            self.body
        );
        Ok(self)
    }

    /// Checks that it is a problem of this status and kind, which names this field unless that is empty.
    pub fn problem(self, status: u16, slug: &str, field: &str) -> anyhow::Result<Self> {
        let answer = self.expect(status)?;
        let kind = answer.header("content-type")?;
        ensure!(kind == "application/problem+json", "{}: {kind}", answer.question);
        let urn = format!("urn:banyan:problem:{slug}");
        ensure!(
            answer.body["type"] == urn.as_str(),
            "{}: not {urn}: {}",
            answer.question,
            answer.body
        );
        ensure!(
            answer.body["status"] == status,
            "{}: {}",
            answer.question,
            answer.body
        );
        let fields = answer.body["errors"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let named = field.is_empty() || fields.iter().any(|error| error["field"] == field);
        ensure!(
            named,
            "{}: does not name `{field}`: {}",
            answer.question,
            answer.body
        );
        Ok(answer)
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> anyhow::Result<&str> {
        let value = self
            .headers
            .get(name)
            .with_context(|| format!("{}: no {name}", self.question))?;
        Ok(value.to_str()?)
    }

    /// The number at a JSON pointer.
    pub fn number(&self, pointer: &str) -> anyhow::Result<i64> {
        let value = self.body.pointer(pointer).and_then(Value::as_i64);
        value.with_context(|| format!("{}: no number at {pointer}: {}", self.question, self.body))
    }

    /// The text at a JSON pointer.
    pub fn text(&self, pointer: &str) -> anyhow::Result<&str> {
        let value = self.body.pointer(pointer).and_then(Value::as_str);
        value.with_context(|| format!("{}: no text at {pointer}: {}", self.question, self.body))
    }

    /// The items of a list.
    pub fn items(&self) -> anyhow::Result<&[Value]> {
        let items = self.body["items"].as_array().map(Vec::as_slice);
        items.with_context(|| format!("{}: no items: {}", self.question, self.body))
    }

    /// One field of each item of a list.
    pub fn each(&self, field: &str) -> anyhow::Result<Vec<String>> {
        let text = |item: &Value| {
            item[field]
                .as_str()
                .map_or_else(|| item[field].to_string(), str::to_owned)
        };
        Ok(self.items()?.iter().map(text).collect())
    }
}

/// What creates a product.
pub fn product(sku: &str, pence: i64) -> Value {
    json!({ "sku": sku, "name": "Red Mug", "category": "mugs", "price": { "amount": pence, "currency": "GBP" } })
}
