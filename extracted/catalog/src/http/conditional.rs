//! Conditional requests (RFC 9110, section 13): `If-Match` on writes, `If-None-Match` on reads.

use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};

use crate::model::Precondition;

/// What `If-Match` asks of the version. It compares strongly, so a weak tag is equal to none of ours.
pub(super) fn if_match(headers: &HeaderMap) -> Precondition {
    let tags: Vec<String> = listed(headers, &IF_MATCH).map(str::to_owned).collect();
    if !headers.contains_key(IF_MATCH) || tags.iter().any(|tag| tag == "*") {
        return Precondition::None;
    }
    Precondition::Tags(tags)
}

/// Whether `If-None-Match` lets the answer be sent: it is absent or lists neither this tag, weakly compared, nor `*`.
pub(super) fn none_match(headers: &HeaderMap, tag: &str) -> bool {
    !listed(headers, &IF_NONE_MATCH).any(|listed| listed == "*" || listed.trim_start_matches("W/") == tag)
}

/// The entity tags of a header that may come several times. Ours hold no comma, so every comma separates.
fn listed<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn if_match_compares_strongly() {
        let holds = |values: &[&'static str]| if_match(&headers(&IF_MATCH, values)).holds(2);
        assert!(holds(&[]) && holds(&["*"]) && holds(&["\"v1\", \"v2\""]) && holds(&["\"v1\"", "\"v2\""]));
        assert!(!holds(&["\"v1\""]) && !holds(&["W/\"v2\""]) && !holds(&[""]) && !holds(&["\"x\""]));
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let sent = |values: &[&'static str]| none_match(&headers(&IF_NONE_MATCH, values), "\"v2\"");
        assert!(sent(&[]) && sent(&["\"v1\""]));
        assert!(!sent(&["*"]) && !sent(&["W/\"v2\""]) && !sent(&["\"v1\", \"v2\""]));
    }
}
