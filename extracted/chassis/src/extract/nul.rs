//! Refuses U+0000, wherever a request may carry it: PostgreSQL keeps no text that holds it, and one shop must not take
//! on one database what it fails at on the other.

use std::borrow::Cow;

use actix_web::HttpRequest;
use serde_json::Value;

use crate::problem::{FieldError, Problem};

const MESSAGE: &str = "must not hold the character U+0000";

/// For bodies that are JSON: well-formed, but with a value that is not allowed.
pub(super) fn refuse_in_body(bytes: &[u8]) -> Result<(), Problem> {
    // JSON can only escape it, and next to no body does: one look at the bytes settles it for all others.
    if !bytes.windows(6).any(|six| six == b"\\u0000") {
        return Ok(());
    }
    let mut fields = Vec::new();
    if let Ok(value) = serde_json::from_slice(bytes) {
        find(&value, String::new(), &mut fields);
    }
    if fields.is_empty() {
        return Ok(());
    }
    Err(Problem::validation(fields))
}

fn find(value: &Value, path: String, fields: &mut Vec<FieldError>) {
    match value {
        Value::String(text) if text.contains('\0') => fields.push(FieldError {
            field: path,
            message: MESSAGE.to_owned(),
        }),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                find(item, format!("{path}[{i}]"), fields);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                find(member, format!("{path}{dot}{name}"), fields);
            }
        }
        _ => {}
    }
}

/// For the parameters of a query string.
pub(super) fn refuse_in_query<'q>(
    mut pairs: impl Iterator<Item = (Cow<'q, str>, Cow<'q, str>)>,
) -> Result<(), Problem> {
    match pairs.find(|(_, value)| value.contains('\0')) {
        Some((name, _)) => {
            Err(Problem::bad_request("A query parameter could not be read.").field(name, MESSAGE))
        }
        None => Ok(()),
    }
}

/// For the parameters in the path, as they are before percent-decoding.
pub(super) fn refuse_in_path(request: &HttpRequest) -> Result<(), Problem> {
    let mut parameters = request.match_info().iter();
    match parameters.find(|(_, value)| value.contains("%00") || value.contains('\0')) {
        Some((name, _)) => {
            Err(Problem::bad_request("A path parameter could not be read.").field(name, MESSAGE))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_at_any_depth_and_an_escaped_backslash_is_none() {
        let refusal = refuse_in_body(br#"{"a":"x","lines":[{"b":"x\u0000"}]}"#).unwrap_err();
        assert_eq!(
            (refusal.status, refusal.errors[0].field.as_str()),
            (422, "lines[0].b")
        );
        assert!(refuse_in_body(br#"{"a":"\\u0000"}"#).is_ok());
    }
}
