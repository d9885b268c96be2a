//! Two answers made of arbitrary bytes, compared by rules that the first byte chooses.
//!
//! Holds the comparer to what must be true of any two answers: it ends, twice with the same verdict; an answer equals itself;
//! what it calls equal, serde_json reads as the same; without unordered arrays the sides can be exchanged; lists are bounded;
//! and a secret beside the bytes never shows.

#![no_main]

use bytes::Bytes;
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use router::compare::{Answer, Limits, Place, Rules, Tolerance, Verdict, compare};
use serde_json::Value;

const SECRET: &str = "\"SECRETxSECRET\"";
const LIMITS: Limits = Limits { body: 1 << 16, depth: 32, differences: 5, value: 40 };
/// A body that is no JSON is described by media type, length and hash, which is bounded, but not by `value`.
const DESCRIPTION: usize = 170;

fuzz_target!(|data: &[u8]| {
    let [choice, data @ ..] = data else { return };
    let split = data.iter().position(|byte| *byte == 0).unwrap_or(data.len() / 2);
    let (one, other) = data.split_at(split);
    let other = other.strip_prefix(&[0]).unwrap_or(other);
    let rules = rules(*choice);
    let coding = ["", "gzip", "deflate", "br"][usize::from(choice >> 6)];
    let (left, right) = (answer(one, ""), answer(other, coding));
    let verdict = compare(&rules, &LIMITS, &left, &right);
    assert_eq!(verdict, compare(&rules, &LIMITS, &left, &right), "not the same twice");
    assert_eq!(compare(&rules, &LIMITS, &right, &right), Verdict::Equal, "not equal to itself");
    if rules.unordered.is_empty() {
        let exchanged = compare(&rules, &LIMITS, &right, &left);
        assert_eq!(std::mem::discriminant(&verdict), std::mem::discriminant(&exchanged), "{verdict:?} {exchanged:?}");
    }
    if let Verdict::Differs(differences) = &verdict {
        assert!(differences.total > 0 && differences.listed.len() <= LIMITS.differences);
        for difference in &differences.listed {
            let most = if difference.at == "body" { DESCRIPTION } else { LIMITS.value + 10 };
            assert!(difference.left.len().max(difference.right.len()) <= most, "{difference:?}");
        }
    }
    if *choice == 0 && verdict == Verdict::Equal {
        agrees(one, other);
    }
    hides(&rules, one, other);
});

/// Zero chooses none.
fn rules(choice: u8) -> Rules {
    let places = |bit: u8, texts: &[&str]| -> Vec<Place> {
        let chosen = texts.iter().filter(|_| choice & bit != 0);
        chosen.filter_map(|text| Place::parse(text).ok()).collect()
    };
    let tolerance = places(4, &["$..b", "$[*]"]);
    Rules {
        ignore: places(1, &["$..a", "$.c[1].*"]),
        unordered: places(2, &["$", "$..*"]),
        tolerance: tolerance.into_iter().map(|place| (place, Tolerance { absolute: 1.0, relative: 0.01 })).collect(),
        null_is_absent: choice & 8 != 0,
        redact: places(16, &["$..d", "$.e"]),
        ..Rules::default()
    }
}

fn answer(body: &[u8], coding: &'static str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if !coding.is_empty() {
        headers.insert(http::header::CONTENT_ENCODING, http::HeaderValue::from_static(coding));
    }
    Answer { status: 200, headers, body: Bytes::copy_from_slice(body) }
}

/// What is equal by no rules is the same to another reader, who knows numbers as doubles only.
fn agrees(one: &[u8], other: &[u8]) {
    let read = |bytes| serde_json::from_slice::<Value>(bytes);
    if let (Ok(one), Ok(other)) = (read(one), read(other)) {
        assert!(alike(&one, &other), "{one} {other}");
    }
}

fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| alike(value, other)))
        }
        _ => one == other,
    }
}

/// A secret beside whatever the bytes are is not shown, neither as a difference nor inside of one.
fn hides(rules: &Rules, one: &[u8], other: &[u8]) {
    if [one, other].iter().any(|bytes| bytes.windows(6).any(|part| part == b"SECRET")) {
        return;
    }
    let around = |body: &[u8]| [b"{\"x\":", body, b",\"y\":{\"user_token\":[", SECRET.as_bytes(), b"]}}"].concat();
    let pairs = [(around(one), around(other)), (around(one), other.to_vec()), (one.to_vec(), around(other))];
    for (left, right) in pairs {
        let verdict = compare(rules, &Limits { value: 1000, ..LIMITS }, &answer(&left, ""), &answer(&right, ""));
        assert!(!format!("{verdict:?}").contains("xSECRET"), "{verdict:?}");
    }
}
