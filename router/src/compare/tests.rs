//! Whole answers, compared: what the parts come to together.

use std::io::Write;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::*;

fn json(body: &str) -> Answer {
    answer(200, &[("content-type", "application/json")], body.as_bytes())
}

fn answer(status: u16, fields: &[(&'static str, &'static str)], body: &[u8]) -> Answer {
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
        Verdict::Incomparable(reason) => panic!("{reason}"),
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
        panic!("equal");
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
        panic!("equal");
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
    // Every pair would be 10^10 comparisons, which no deadline of a test run allows.
    let forwards = array(&mut (0..100_000));
    assert_eq!(
        verdict(&rules, &forwards, &array(&mut (0..100_000).rev())),
        Verdict::Equal
    );
    let Verdict::Differs(differences) = verdict(&rules, &forwards, &array(&mut (100_000..200_000))) else {
        panic!("equal");
    };
    assert_eq!(differences.total, 100_000);
}

#[test]
fn nested_unordered_arrays_with_tolerances_are_not_compared_again_at_every_level() {
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
    let nested = |x: u32| format!("{}{{\"x\":{x}}},{{\"x\":{x}}}{}", "[".repeat(60), "]".repeat(60));
    // Twice the work at every level would be 2^60.
    assert_eq!(verdict(&rules, &nested(1), &nested(2)), Verdict::Equal);
    let Verdict::Differs(differences) = verdict(&rules, &nested(1), &nested(9)) else {
        panic!("equal");
    };
    assert_eq!(differences.total, 2);
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

#[test]
fn a_status_of_another_class_hides_the_rest_and_one_of_the_same_class_does_not() {
    let left = answer(200, &[("etag", "\"1\"")], b"one");
    let groups = |status| match compare(
        &Rules::default(),
        &Limits::default(),
        &left,
        &answer(status, &[], b"two"),
    ) {
        Verdict::Differs(differences) => differences.groups().map(str::to_owned).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(groups(404), ["status"]);
    assert_eq!(groups(201), ["status", "header etag", "body"]);
    assert_eq!(groups(200), ["header etag", "body"]);
}

#[test]
fn other_bodies_are_compared_by_length_and_hash() {
    let html = |body: &[u8]| answer(200, &[("content-type", "text/html; charset=utf-8")], body);
    let differ = compare(&Rules::default(), &Limits::default(), &html(b"abc"), &html(b""));
    let Verdict::Differs(differences) = differ else {
        panic!("equal");
    };
    let abc = "text/html, 3 bytes, sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let [difference] = &differences.listed[..] else {
        panic!("{differences:?}");
    };
    assert_eq!(
        (difference.left.as_str(), difference.right.as_str()),
        (abc, "[empty]")
    );
    let rules = Rules {
        ignore: places(&["$"]),
        ..Rules::default()
    };
    assert_eq!(
        compare(&rules, &Limits::default(), &html(b"abc"), &html(b"")),
        Verdict::Equal
    );
}

#[test]
fn what_is_no_json_is_a_difference_on_one_side_and_bytes_on_both() {
    let rules = Rules::default();
    let why = "no JSON: EOF while parsing an object at line 1 column 1";
    assert_eq!(found(&rules, "{", "{}"), one("body", why, "JSON"));
    assert_eq!(verdict(&rules, "{", "{"), Verdict::Equal);
    assert_eq!(found(&rules, "1e400", "1e401").len(), 1);
    assert_eq!(found(&rules, "{}", "").len(), 1);
    let problem = answer(
        200,
        &[("content-type", "Application/Problem+JSON; charset=utf-8")],
        b"{ }",
    );
    let Verdict::Differs(differences) = compare(&rules, &Limits::default(), &json("{}"), &problem) else {
        panic!("equal");
    };
    assert_eq!(differences.groups().collect::<Vec<_>>(), ["header content-type"]);
}

#[test]
fn codings_may_differ_and_what_cannot_be_undone_is_incomparable() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"{\"a\":1}").unwrap();
    let zipped = encoder.finish().unwrap();
    let coded = |coding, body: &[u8]| {
        answer(
            200,
            &[("content-type", "application/json"), ("content-encoding", coding)],
            body,
        )
    };
    let against = |right: &Answer| compare(&Rules::default(), &Limits::default(), &json("{\"a\":1}"), right);
    assert_eq!(against(&coded("gzip", &zipped)), Verdict::Equal);
    for (coding, cause) in [("br", Cause::BrokenCoding), ("zstd", Cause::UnknownCoding)] {
        let reason = Reason {
            side: Side::Service,
            cause,
        };
        assert_eq!(against(&coded(coding, &zipped)), Verdict::Incomparable(reason));
    }
    let deep = json(&format!("{}{}", "[".repeat(65), "]".repeat(65)));
    assert_eq!(
        against(&deep),
        Verdict::Incomparable(Reason {
            side: Side::Service,
            cause: Cause::TooDeep
        })
    );
    let small = Limits {
        body: 6,
        ..Limits::default()
    };
    let large = compare(&Rules::default(), &small, &json("{\"a\":1}"), &json("{}"));
    assert_eq!(
        large,
        Verdict::Incomparable(Reason {
            side: Side::Monolith,
            cause: Cause::TooLarge
        })
    );
}

#[test]
fn a_difference_elsewhere_is_told_together_with_why_the_body_was_not_compared() {
    let right = answer(
        201,
        &[("content-type", "application/json"), ("content-encoding", "br")],
        b"none",
    );
    let Verdict::Differs(differences) = compare(&Rules::default(), &Limits::default(), &json("{}"), &right)
    else {
        panic!("no difference");
    };
    assert_eq!(differences.groups().collect::<Vec<_>>(), ["status"]);
    assert_eq!(
        differences.uncompared,
        Some(Reason {
            side: Side::Service,
            cause: Cause::BrokenCoding
        })
    );
}

#[test]
fn shown_values_are_bounded() {
    let limits = Limits {
        value: 50,
        ..Limits::default()
    };
    let body = |end: char| json(&format!("[\"{}{end}\"]", "ü".repeat(100_000)));
    let Verdict::Differs(differences) = compare(&Rules::default(), &limits, &body('a'), &body('b')) else {
        panic!("equal");
    };
    let [difference] = &differences.listed[..] else {
        panic!("{differences:?}");
    };
    assert!(
        difference.left.len() <= 50 && difference.left.ends_with('…'),
        "{}",
        difference.left
    );
    assert_eq!(difference.right, format!("{} (differs)", difference.left));
}
