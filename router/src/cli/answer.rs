//! An answer that `banyan try` got, as a person or a machine reads it.

use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Version};
use serde_json::{Value, json};

use super::indent::indent;

/// What came back.
pub(super) struct Answer {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The headers that are always shown: who answered and why, and what the next request may need.
const TELLING: [&str; 9] = [
    "x-served-by",
    "x-served-why",
    "location",
    "etag",
    "retry-after",
    "idempotency-replayed",
    "x-pen-holder",
    "x-pen-epoch",
    "x-pen-state",
];

impl Answer {
    pub(super) fn as_text(&self, all_headers: bool) -> String {
        let reason = self.status.canonical_reason().unwrap_or_default();
        let mut text = format!("{:?} {} {reason}", self.version, self.status.as_u16())
            .trim_end()
            .to_owned();
        let telling = TELLING.iter().flat_map(|name| {
            self.headers
                .get_all(*name)
                .iter()
                .map(move |value| (*name, value))
        });
        let others = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .filter(|(name, _)| all_headers && !TELLING.contains(name));
        for (name, value) in telling.chain(others) {
            text.push_str(&format!(
                "\n{name}: {}",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        if !self.body.is_empty() {
            text.push_str("\n\n");
            text.push_str(
                &indent(&self.body).unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned()),
            );
        }
        text
    }

    pub(super) fn as_json(&self) -> String {
        let one = |name: &str| {
            self.headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
        };
        let headers: Vec<Value> = self
            .headers
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
            .collect();
        let body = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()));
        json!({
            "status": self.status.as_u16(),
            "served_by": one("x-served-by"),
            "served_why": one("x-served-why"),
            "headers": headers,
            "body": body,
        })
        .to_string()
    }
}
