//! Random documents, compared with themselves written otherwise and with one value changed.
//!
//! Every trial has a seed, which a failure shows; `document(seed)` gives the document again.

use std::fmt::Write;

use bytes::Bytes;
use http::HeaderMap;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::place::{Segment, Selector};
use super::*;

const TRIALS: u64 = 300;
const NAMES: [&str; 8] = ["id", "name", "price", "odd key", "it's", "größe", "x", "7"];

fn value(random: &mut StdRng, depth: usize) -> Value {
    match random.random_range(0..if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(random.random_bool(0.5)),
        2 => json!(random.random_range(-5..5)),
        3 => json!(f64::from(random.random_range(-4000..4000)) / 16.0),
        4 => json!("text \"ä\"\\".repeat(random.random_range(0..3))),
        5 | 6 => {
            let names = NAMES
                .iter()
                .filter(|_| random.random_bool(0.5))
                .copied()
                .collect::<Vec<_>>();
            names
                .into_iter()
                .map(|name| (name.to_owned(), value(random, depth - 1)))
                .collect()
        }
        _ => (0..random.random_range(0..5))
            .map(|_| value(random, depth - 1))
            .collect(),
    }
}

fn document(seed: u64) -> (Value, StdRng) {
    let mut random = StdRng::seed_from_u64(seed);
    (value(&mut random, 4), random)
}

/// The document in another order of members, with other blanks and numbers; arrays in another order too, if asked for.
fn rewrite(value: &Value, shuffle: bool, random: &mut StdRng, out: &mut String) {
    let blank = ["", " ", "\n\t"][random.random_range(0..3)];
    out.push_str(blank);
    match value {
        Value::Array(elements) => {
            let mut elements: Vec<_> = elements.iter().collect();
            if shuffle {
                elements.shuffle(random);
            }
            out.push('[');
            for (index, element) in elements.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                rewrite(element, shuffle, random, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.shuffle(random);
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                write!(out, "{}{}:", if index > 0 { "," } else { "" }, json!(name)).unwrap();
                rewrite(value, shuffle, random, out);
            }
            out.push('}');
        }
        Value::Number(number) => match number.as_i64() {
            Some(whole) if whole != 0 && random.random_bool(0.5) => write!(out, "{whole}000e-3").unwrap(),
            Some(whole) => write!(out, "{whole}.0").unwrap(),
            None => write!(out, "{number}00E+0").unwrap(),
        },
        other => write!(out, "{other}").unwrap(),
    }
    out.push_str(blank);
}

fn answer(body: String) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, "application/json".parse().unwrap());
    Answer {
        status: 200,
        headers,
        body: Bytes::from(body),
    }
}

fn rewritten(value: &Value, shuffle: bool, random: &mut StdRng) -> Answer {
    let mut out = String::new();
    rewrite(value, shuffle, random, &mut out);
    answer(out)
}

fn compared(rules: &Rules, left: &Answer, right: &Answer) -> Verdict {
    compare(rules, &Limits::default(), left, right)
}

fn places(texts: &[&str]) -> Vec<Place> {
    texts.iter().map(|text| Place::parse(text).unwrap()).collect()
}

#[test]
fn a_document_equals_itself_in_another_order_and_spelling() {
    let unordered = Rules {
        unordered: places(&["$", "$..*"]),
        ..Rules::default()
    };
    for seed in 0..TRIALS {
        let (document, mut random) = document(seed);
        let left = rewritten(&document, false, &mut random);
        let right = rewritten(&document, false, &mut random);
        assert_eq!(
            compared(&Rules::default(), &left, &right),
            Verdict::Equal,
            "seed {seed}"
        );
        let shuffled = rewritten(&document, true, &mut random);
        assert_eq!(
            compared(&unordered, &left, &shuffled),
            Verdict::Equal,
            "seed {seed}"
        );
    }
}

/// Changes one random leaf (an empty array or object is one) and says where it is, with and without indexes.
fn change(value: &mut Value, random: &mut StdRng, at: &mut String, group: &mut String) {
    match value {
        Value::Array(elements) if !elements.is_empty() => {
            let index = random.random_range(0..elements.len());
            write!(at, "[{index}]").unwrap();
            group.push_str("[*]");
            change(&mut elements[index], random, at, group);
        }
        Value::Object(members) if !members.is_empty() => {
            let chosen = random.random_range(0..members.len());
            let (name, value) = members.iter_mut().nth(chosen).unwrap();
            let before = at.len();
            place::write_member(at, name).unwrap();
            group.push_str(&at[before..]);
            change(value, random, at, group);
        }
        leaf => {
            *leaf = match leaf {
                Value::String(_) => json!(0.5),
                _ => json!("changed"),
            }
        }
    }
}

#[test]
fn one_changed_leaf_is_found_and_named_and_ignoring_it_makes_the_two_equal() {
    for seed in 0..TRIALS {
        let (document, mut random) = document(seed);
        let (mut changed, mut at, mut group) = (document.clone(), "$".to_owned(), "body $".to_owned());
        change(&mut changed, &mut random, &mut at, &mut group);
        let left = rewritten(&document, false, &mut random);
        let right = rewritten(&changed, false, &mut random);
        let Verdict::Differs(differences) = compared(&Rules::default(), &left, &right) else {
            unreachable!("seed {seed}: {at} was not found");
        };
        let [difference] = &differences.listed[..] else {
            unreachable!("seed {seed}: {differences:?}");
        };
        assert_eq!(
            (&difference.at, &difference.group, differences.total),
            (&at, &group, 1),
            "seed {seed}"
        );
        for place in [at.as_str(), group.trim_start_matches("body ")] {
            let rules = Rules {
                ignore: places(&[place]),
                ..Rules::default()
            };
            assert_eq!(
                compared(&rules, &left, &right),
                Verdict::Equal,
                "seed {seed}: {place}"
            );
        }
        let unordered = Rules {
            unordered: places(&["$", "$..*"]),
            ..Rules::default()
        };
        let shuffled = rewritten(&changed, true, &mut random);
        assert!(
            matches!(compared(&unordered, &left, &shuffled), Verdict::Differs(_)),
            "seed {seed}: {at}"
        );
    }
}

#[test]
fn numbers_in_any_order_are_equal_if_they_can_be_paired_within_the_tolerance() {
    let near = Tolerance {
        absolute: 2.0,
        relative: 0.0,
    };
    let rules = Rules {
        unordered: places(&["$"]),
        tolerance: vec![(places(&["$[*].x"]).remove(0), near)],
        ..Rules::default()
    };
    let mut equal = 0;
    for seed in 0..TRIALS {
        let mut random = StdRng::seed_from_u64(seed);
        let length = random.random_range(1..6);
        let numbers =
            |random: &mut StdRng| -> Vec<i32> { (0..length).map(|_| random.random_range(0..8)).collect() };
        let (mut left, mut right) = (numbers(&mut random), numbers(&mut random));
        let array = |numbers: &[i32]| {
            answer(json!(numbers.iter().map(|n| json!({"x": n})).collect::<Vec<_>>()).to_string())
        };
        let verdict = compared(&rules, &array(&left), &array(&right));
        // Numbers on a line can be paired at all if they can be paired in their order.
        left.sort_unstable();
        right.sort_unstable();
        let expected = left
            .iter()
            .zip(&right)
            .all(|(one, other)| (one - other).abs() <= 2);
        assert_eq!(
            verdict == Verdict::Equal,
            expected,
            "seed {seed}: {left:?} {right:?}"
        );
        equal += usize::from(expected);
    }
    assert!(
        (20..TRIALS as usize - 20).contains(&equal),
        "{equal} of {TRIALS} were equal: one side was not tried"
    );
}

#[test]
fn two_numbers_of_an_element_may_be_off_and_are_not_mixed_up_by_their_sum() {
    let near = |place| {
        (
            places(&[place]).remove(0),
            Tolerance {
                absolute: 0.1,
                relative: 0.0,
            },
        )
    };
    let rules = Rules {
        unordered: places(&["$"]),
        tolerance: vec![near("$[*].x"), near("$[*].y")],
        ..Rules::default()
    };
    let left = answer(r#"[{"x":1,"y":2},{"x":2,"y":1},{"x":1.5,"y":1.5}]"#.to_owned());
    let right = answer(r#"[{"x":1.55,"y":1.5},{"x":2.01,"y":1},{"x":1,"y":2.02}]"#.to_owned());
    assert_eq!(compared(&rules, &left, &right), Verdict::Equal);
}

fn random_place(random: &mut StdRng, most: usize) -> Place {
    let segment = |random: &mut StdRng| Segment {
        deep: random.random_bool(0.3),
        selector: match random.random_range(0..4) {
            0 => Selector::Any,
            1 => Selector::Element(random.random_range(0..3)),
            2 => Selector::Member(NAMES[random.random_range(0..3)].to_owned()),
            _ => Selector::Member(
                (0..random.random_range(0..4))
                    .map(|_| random.random::<char>())
                    .collect(),
            ),
        },
    };
    Place {
        segments: (0..random.random_range(0..most))
            .map(|_| segment(random))
            .collect(),
    }
}

#[test]
fn every_place_is_read_back_from_what_it_prints() {
    for seed in 0..20 * TRIALS {
        let place = random_place(&mut StdRng::seed_from_u64(seed), 8);
        assert_eq!(Place::parse(&place.to_string()), Ok(place), "seed {seed}");
    }
}

/// Tries every way in which a place can match, one after the other.
fn matches(segments: &[Segment], path: &[marks::Step<'_>]) -> bool {
    let Some((segment, rest)) = segments.split_first() else {
        return path.is_empty();
    };
    let Some((step, below)) = path.split_first() else {
        return false;
    };
    let here = match (&segment.selector, step) {
        (Selector::Any, _) => true,
        (Selector::Member(wanted), marks::Step::Member(name)) => wanted == name,
        (Selector::Element(wanted), marks::Step::Element(index)) => wanted == index,
        _ => false,
    };
    (here && matches(rest, below)) || (segment.deep && matches(segments, below))
}

#[test]
fn following_all_ways_at_once_matches_what_trying_them_does() {
    let mut hits = 0;
    for seed in 0..50 * TRIALS {
        let mut random = StdRng::seed_from_u64(seed);
        let place = random_place(&mut random, 5);
        let step = |random: &mut StdRng| match random.random_bool(0.5) {
            true => marks::Step::Member(NAMES[random.random_range(0..3)]),
            false => marks::Step::Element(random.random_range(0..3)),
        };
        let path: Vec<_> = (0..random.random_range(0..6))
            .map(|_| step(&mut random))
            .collect();
        let mut marks = marks::Marks::new([&place]);
        path.iter().for_each(|step| marks.enter(*step));
        let expected = matches(&place.segments, &path);
        assert_eq!(
            marks.first(0..1).is_some(),
            expected,
            "seed {seed}: {place} {path:?}"
        );
        hits += usize::from(expected);
    }
    assert!(hits > 100, "{hits} hits are too few to mean anything");
}
