//! Whole answers, compared: status, fields, and bodies that are coded or no JSON.

use std::io::Write;

use super::*;

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
        other => unreachable!("{other:?}"),
    };
    assert_eq!(groups(404), ["status"]);
    assert_eq!(groups(201), ["status", "header etag", "body"]);
    assert_eq!(groups(200), ["header etag", "body"]);
}

#[test]
fn a_body_that_is_described_is_described_in_bounds_whatever_its_media_type() {
    let kind = format!("text/{}", "x".repeat(5000));
    let told = |body: &[u8]| answer(200, &[("content-type", kind.as_str())], body);
    let limits = Limits {
        value: 1,
        ..Limits::default()
    };
    let differ = compare(&Rules::default(), &limits, &told(b"abc"), &told(b"abd"));
    let Verdict::Differs(differences) = differ else {
        unreachable!("equal");
    };
    assert!(
        differences
            .listed
            .iter()
            .all(|difference| difference.right.len() <= 170),
        "{differences:?}"
    );
}

#[test]
fn other_bodies_are_compared_by_length_and_hash() {
    let html = |body: &[u8]| answer(200, &[("content-type", "text/html; charset=utf-8")], body);
    let differ = compare(&Rules::default(), &Limits::default(), &html(b"abc"), &html(b""));
    let Verdict::Differs(differences) = differ else {
        unreachable!("equal");
    };
    let abc = "text/html, 3 bytes, sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let [difference] = &differences.listed[..] else {
        unreachable!("{differences:?}");
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
        unreachable!("equal");
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
        unreachable!("no difference");
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
        unreachable!("equal");
    };
    let [difference] = &differences.listed[..] else {
        unreachable!("{differences:?}");
    };
    assert!(
        difference.left.len() <= 50 && difference.left.ends_with('…'),
        "{}",
        difference.left
    );
    assert_eq!(difference.right, format!("{} (differs)", difference.left));
}
