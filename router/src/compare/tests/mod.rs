//! JSON bodies, compared: what the rules and the parts come to together. [`answers`] does it for whole answers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::*;

mod answers;

fn json(body: &str) -> Answer {
    answer(200, &[("content-type", "application/json")], body.as_bytes())
}

fn answer(status: u16, fields: &[(&'static str, &str)], body: &[u8]) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    let body = Bytes::copy_from_slice(body);
    Answer {
        status,
        headers,
        body,
    }
}

fn places(texts: &[&str]) -> Vec<Place> {
    texts.iter().map(|text| Place::parse(text).unwrap()).collect()
}

fn verdict(rules: &Rules, left: &str, right: &str) -> Verdict {
    compare(rules, &Limits::default(), &json(left), &json(right))
}

/// (at, left, right) of everything listed.
fn found(rules: &Rules, left: &str, right: &str) -> Vec<[String; 3]> {
    match verdict(rules, left, right) {
        Verdict::Equal => Vec::new(),
        Verdict::Differs(differences) => differences
            .listed
            .into_iter()
            .map(|d| [d.at, d.left, d.right])
            .collect(),
        Verdict::Incomparable(reason) => unreachable!("{reason}"),
    }
}

fn one(at: &str, left: &str, right: &str) -> Vec<[String; 3]> {
    vec![[at.to_owned(), left.to_owned(), right.to_owned()]]
}

#[test]
fn layout_order_of_members_and_spelling_of_numbers_do_not_count() {
    let rules = Rules::default();
    let left = r#"{"a":1,"b":[1.50,"\u00e4"],"c":{}}"#;
    let right = "{\"c\": { },\n \"b\": [15e-1, \"ä\"], \"a\": 1.0}";
    assert_eq!(verdict(&rules, left, right), Verdict::Equal);
}

#[test]
fn every_kind_of_difference_is_found_at_its_place() {
    let rules = Rules::default();
    for (left, right, at, one_says, other_says) in [
        (r#"{"a":1}"#, r#"{"a":2}"#, "$.a", "1", "2"),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, "$.a", "1", "\"1\""),
        (r#"{"a":null}"#, r#"{}"#, "$.a", "null", "[absent]"),
        (r#"{"a":{}}"#, r#"{"a":[]}"#, "$.a", "{}", "[]"),
        (r#"{"a":[1,2]}"#, r#"{"a":[1]}"#, "$.a[1]", "2", "[absent]"),
        (r#"{"a":[1,2]}"#, r#"{"a":[1,3]}"#, "$.a[1]", "2", "3"),
        (r#"{"a":false}"#, r#"{"a":null}"#, "$.a", "false", "null"),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#, "$.a", "2", "[absent]"),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":1}"#, "$.a", "2", "1"),
        (
            "9007199254740993",
            "9007199254740992",
            "$",
            "9007199254740993",
            "9007199254740992",
        ),
    ] {
        assert_eq!(
            found(&rules, left, right),
            one(at, one_says, other_says),
            "{left} {right}"
        );
    }
}

#[test]
fn a_group_is_listed_once_and_counted() {
    let items = |price: u32| {
        let items: Vec<String> = (0..100)
            .map(|n| format!(r#"{{"n":{n},"price":{price}}}"#))
            .collect();
        format!(r#"{{"items":[{}],"name":{price}}}"#, items.join(","))
    };
    let Verdict::Differs(differences) = verdict(&Rules::default(), &items(1), &items(2)) else {
        unreachable!("equal");
    };
    assert_eq!(differences.total, 101);
    assert_eq!(differences.unlisted(), 0);
    let groups: Vec<_> = differences
        .listed
        .iter()
        .map(|d| (d.group.as_str(), d.at.as_str(), d.count))
        .collect();
    assert_eq!(
        groups,
        [
            ("body $.items[*].price", "$.items[0].price", 100),
            ("body $.name", "$.name", 1)
        ]
    );
}

#[test]
fn the_list_is_bounded_and_the_total_is_not() {
    let object = |value: u32| {
        let members: Vec<String> = (0..100).map(|n| format!(r#""m{n}":{value}"#)).collect();
        json(&format!("{{{}}}", members.join(",")))
    };
    let limits = Limits {
        differences: 7,
        ..Limits::default()
    };
    let Verdict::Differs(differences) = compare(&Rules::default(), &limits, &object(1), &object(2)) else {
        unreachable!("equal");
    };
    assert_eq!(
        (
            differences.listed.len(),
            differences.total,
            differences.unlisted()
        ),
        (7, 100, 93)
    );
}

#[test]
fn declared_differences_do_not_count_and_others_still_do() {
    let rules = Rules {
        ignore: places(&["$..updated_at", "$.items[1]"]),
        tolerance: vec![(
            Place::parse("$.total").unwrap(),
            Tolerance {
                absolute: 0.01,
                relative: 0.0,
            },
        )],
        null_is_absent: true,
        ..Rules::default()
    };
    let left = r#"{"updated_at":1,"items":[{"a":1,"updated_at":5},7],"total":9.99,"note":null}"#;
    let right = r#"{"items":[{"a":1,"updated_at":{}},8],"total":10.00}"#;
    assert_eq!(verdict(&rules, left, right), Verdict::Equal);
    let right = r#"{"items":[{"a":2}],"total":10.01,"note":0}"#;
    let at: Vec<_> = found(&rules, left, right)
        .into_iter()
        .map(|[at, ..]| at)
        .collect();
    assert_eq!(at, ["$.items[0].a", "$.note", "$.total"]);
    assert_eq!(
        found(&rules, "[null]", "[]"),
        one("$[0]", "null", "[absent]"),
        "an element is no member"
    );
}

#[test]
fn unordered_arrays_are_compared_as_multisets_by_the_other_rules() {
    let rules = Rules {
        unordered: places(&["$.items", "$.items[*].tags"]),
        ignore: places(&["$.items[*].seen"]),
        tolerance: vec![(
            Place::parse("$.items[*].price").unwrap(),
            Tolerance {
                absolute: 1.0,
                relative: 0.0,
            },
        )],
        null_is_absent: true,
        ..Rules::default()
    };
    let left =
        r#"{"items":[{"id":1,"price":10,"tags":["a","b"],"seen":1},{"id":2,"price":20,"x":null},3,3]}"#;
    let right = r#"{"items":[3,{"id":2,"price":21},3,{"price":9.5,"id":1.0,"tags":["b","a"]}]}"#;
    assert_eq!(verdict(&rules, left, right), Verdict::Equal);
    let right = r#"{"items":[3,{"id":2,"price":22},4,{"price":10,"id":1,"tags":["b","c"]}]}"#;
    assert_eq!(
        found(&rules, left, right),
        [
            ["$.items[0].tags[0]", "\"a\"", "\"c\""],
            ["$.items[1].price", "20", "22"],
            ["$.items[3]", "3", "4"],
        ]
        .map(|texts| texts.map(str::to_owned))
    );
    assert_eq!(
        found(&rules, r#"{"items":[1,1,2]}"#, r#"{"items":[2,1]}"#),
        one("$.items[1]", "1", "[absent]")
    );
    assert_eq!(
        found(&Rules::default(), "[1,2]", "[2,1]").len(),
        1,
        "order counts unless it is said not to"
    );
}

#[test]
fn large_unordered_arrays_are_not_compared_pair_by_pair() {
    let rules = Rules {
        unordered: places(&["$"]),
        ..Rules::default()
    };
    let array = |numbers: &mut dyn Iterator<Item = u32>| {
        let items: Vec<String> = numbers.map(|n| format!(r#"{{"n":{n}}}"#)).collect();
        format!("[{}]", items.join(","))
    };
    // Every pair would be 10^9 comparisons, which no deadline of a test run allows.
    let forwards = array(&mut (0..30_000));
    assert_eq!(
        verdict(&rules, &forwards, &array(&mut (0..30_000).rev())),
        Verdict::Equal
    );
    let Verdict::Differs(differences) = verdict(&rules, &forwards, &array(&mut (30_000..60_000))) else {
        unreachable!("equal");
    };
    assert_eq!(differences.total, 30_000);
}

#[test]
fn unordered_arrays_in_each_other_are_compared_four_deep_and_not_silently_beyond() {
    let rules = Rules {
        unordered: places(&["$", "$..*"]),
        tolerance: vec![(
            Place::parse("$..x").unwrap(),
            Tolerance {
                absolute: 1.0,
                relative: 0.0,
            },
        )],
        ..Rules::default()
    };
    let nested = |depth: usize, x: u32| {
        let element = format!("{{\"x\":{x}}},{{\"x\":{x}}}");
        format!("{}{element}{}", "[".repeat(depth), "]".repeat(depth))
    };
    assert_eq!(verdict(&rules, &nested(4, 1), &nested(4, 2)), Verdict::Equal);
    assert_eq!(found(&rules, &nested(4, 1), &nested(4, 9)).len(), 1);
    let reason = Reason {
        side: Side::Monolith,
        cause: Cause::TooDeep,
    };
    assert_eq!(
        verdict(&rules, &nested(5, 1), &nested(5, 2)),
        Verdict::Incomparable(reason)
    );
}

#[test]
fn secrets_are_found_to_differ_and_never_shown() {
    let rules = Rules {
        redact: places(&["$.customer.name", "$..iban"]),
        ..Rules::default()
    };
    let left = r#"{"customer":{"name":{"first":"Annabel"},"password":"hunter2"},"list":[{"iban":"DE007"}],"token":["t0ken"]}"#;
    let right = r#"{"customer":{"name":{"first":"Bertram"},"password":"hunter3"},"list":[{"iban":"DE008"}],"token":["t1ken"]}"#;
    let listed = found(&rules, left, right);
    let shown = |at: &str| {
        [
            at.to_owned(),
            "[redacted]".to_owned(),
            "[redacted] (differs)".to_owned(),
        ]
    };
    assert_eq!(
        listed,
        [
            "$.customer.name.*",
            "$.customer.password",
            "$.list[0].iban",
            "$.token[0]"
        ]
        .map(shown)
    );
    for right in ["{}", "[]", "null", r#"{"customer":1,"list":[],"token":{}}"#] {
        let text = format!("{:?}{:?}", found(&rules, left, right), found(&rules, right, left));
        for secret in ["Annabel", "hunter", "DE00", "t0ken"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("[redacted]") || text.contains("[absent]"), "{text}");
    }
    assert_eq!(verdict(&rules, left, left), Verdict::Equal);
}
