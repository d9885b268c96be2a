//! Finds pairs of rules that could claim the same request without one being more specific.
//!
//! For the config's check. Two paths are comparable when one is the more specific wherever they differ (`/a/b` and
//! `/a/{x}`); they cross when each is more specific somewhere (`/a/{x}` and `/{y}/b`, which both match `/a/b`). A crossing
//! pair is fine once a third rule takes exactly what both match (`/a/b`), since that one then wins.

use super::meeting::Tree;
use super::rule::{HostPattern, MatchRule, Methods, Segment};

/// Two rules in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Index of the earlier rule.
    pub first: usize,
    /// Index of the later rule.
    pub second: usize,
    /// What is wrong with the pair.
    pub reason: String,
    /// How to resolve it.
    pub remedy: String,
}

type Ruling<'r> = (Option<&'r HostPattern>, &'r MatchRule);

/// How two paths stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Apart,
    Equal,
    Ordered,
    Crossing,
}

/// More conflicts than anybody reads; a file with more of them is no better for having them listed.
const MOST: usize = 1000;

/// The conflicting pairs, up to `MOST`.
pub fn overlaps(rules: &[Ruling<'_>]) -> Vec<Overlap> {
    let mut tree = Tree::default();
    for (index, rule) in rules.iter().enumerate() {
        tree.insert(&rule.1.segments, index);
    }
    let mut found = Vec::new();
    for (second, later) in rules.iter().enumerate() {
        let meeting = tree.meeting(&later.1.segments).into_iter();
        for first in meeting.take_while(|first| *first < second) {
            if found.len() == MOST {
                return found;
            }
            if let Some((reason, remedy)) = conflict(rules[first], *later, rules, &tree) {
                found.push(Overlap {
                    first,
                    second,
                    reason,
                    remedy,
                });
            }
        }
    }
    found
}

fn conflict(
    earlier: Ruling<'_>,
    later: Ruling<'_>,
    rules: &[Ruling<'_>],
    tree: &Tree<'_>,
) -> Option<(String, String)> {
    if earlier.0 != later.0 {
        return None;
    }
    match relate(&earlier.1.segments, &later.1.segments) {
        Relation::Apart | Relation::Ordered => None,
        Relation::Equal => {
            // On one path a method named beats `*`, so only the same claim twice is a conflict.
            let either_any =
                matches!(earlier.1.methods, Methods::Any) != matches!(later.1.methods, Methods::Any);
            let method = earlier
                .1
                .methods
                .shared(&later.1.methods)
                .filter(|_| !either_any)?;
            let reason = format!("match the same requests ({method} on the same path)");
            Some((
                reason,
                "remove one of them, or let them differ in method, path or host".to_owned(),
            ))
        }
        Relation::Crossing => {
            let method = earlier.1.methods.shared(&later.1.methods)?;
            let meet = meet(&earlier.1.segments, &later.1.segments);
            let candidates: Vec<_> = tree
                .meeting(&meet)
                .into_iter()
                .map(|index| rules[index])
                .collect();
            if is_ruled(&meet, earlier, later, &candidates) {
                return None;
            }
            let example = show(&meet);
            let reason = format!("both match {method} {example}, and neither is more specific");
            Some((
                reason,
                format!("add a route for {method} {example}, or narrow one of the two"),
            ))
        }
    }
}

fn relate(left: &[Segment], right: &[Segment]) -> Relation {
    let (mut left_wins, mut right_wins) = (false, false);
    let mut at = 0;
    loop {
        match (left.get(at), right.get(at)) {
            (None, None) => break,
            // What has ended cannot match what goes on; `{*rest}` wants at least one character.
            (None, Some(_)) | (Some(_), None) => return Relation::Apart,
            (Some(Segment::Rest(_)), Some(Segment::Rest(_))) => break,
            (Some(Segment::Rest(_)), Some(other)) => {
                if matches!(other, Segment::Literal(text) if text.is_empty()) {
                    return Relation::Apart;
                }
                right_wins = true;
                break;
            }
            (Some(other), Some(Segment::Rest(_))) => {
                if matches!(other, Segment::Literal(text) if text.is_empty()) {
                    return Relation::Apart;
                }
                left_wins = true;
                break;
            }
            (Some(Segment::Literal(a)), Some(Segment::Literal(b))) if a != b => return Relation::Apart,
            (Some(Segment::Literal(a)), Some(Segment::Parameter(_))) => {
                if a.is_empty() {
                    return Relation::Apart;
                }
                left_wins = true;
            }
            (Some(Segment::Parameter(_)), Some(Segment::Literal(b))) => {
                if b.is_empty() {
                    return Relation::Apart;
                }
                right_wins = true;
            }
            _ => {}
        }
        at += 1;
    }
    match (left_wins, right_wins) {
        (false, false) => Relation::Equal,
        (true, true) => Relation::Crossing,
        _ => Relation::Ordered,
    }
}

/// The path that matches exactly what both match.
fn meet(left: &[Segment], right: &[Segment]) -> Vec<Segment> {
    let mut met = Vec::new();
    for at in 0..left.len().max(right.len()) {
        match (left.get(at), right.get(at)) {
            (Some(Segment::Rest(_)), Some(Segment::Rest(_))) => met.push(left[at].clone()),
            (Some(Segment::Rest(_)) | None, Some(_)) => {
                met.extend_from_slice(&right[at..]);
                break;
            }
            (Some(_), Some(Segment::Rest(_)) | None) => {
                met.extend_from_slice(&left[at..]);
                break;
            }
            (Some(Segment::Parameter(_)), Some(other)) => met.push(other.clone()),
            (Some(own), _) => met.push(own.clone()),
            (None, None) => break,
        }
    }
    met
}

/// Whether a third rule takes the meet for every method that the two share.
fn is_ruled(meet: &[Segment], earlier: Ruling<'_>, later: Ruling<'_>, candidates: &[Ruling<'_>]) -> bool {
    let smaller = if earlier.1.methods.covers(&later.1.methods) {
        later
    } else {
        earlier
    };
    candidates.iter().any(|(host, rule)| {
        *host == earlier.0
            && relate(&rule.segments, meet) == Relation::Equal
            && rule.methods.covers(&smaller.1.methods)
    })
}

fn show(segments: &[Segment]) -> String {
    let parts = segments.iter().map(|segment| match segment {
        Segment::Literal(text) => String::from_utf8_lossy(text).into_owned(),
        Segment::Parameter(name) => format!("{{{name}}}"),
        Segment::Rest(name) => format!("{{*{name}}}"),
    });
    parts.fold(String::new(), |path, part| format!("{path}/{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rules: &[&str]) -> Vec<String> {
        let rules: Vec<_> = rules.iter().map(|text| MatchRule::parse(text).unwrap()).collect();
        let rulings: Vec<_> = rules.iter().map(|rule| (None, rule)).collect();
        overlaps(&rulings)
            .into_iter()
            .map(|overlap| overlap.reason)
            .collect()
    }

    #[test]
    fn equal_claims_are_refused_whatever_the_names() {
        assert_eq!(found(&["GET /a/{x}", "GET /a/{y}"]).len(), 1);
        assert_eq!(found(&["GET,PUT /a", "PUT /a"]).len(), 1);
        assert_eq!(found(&["* /a", "* /a"]).len(), 1);
        assert_eq!(found(&["GET /a/%70", "GET /a/p"]).len(), 1);
        assert_eq!(found(&["GET /{*a}", "GET /{*b}"]).len(), 1);
    }

    #[test]
    fn ordered_claims_are_fine() {
        assert!(found(&["GET /a", "* /a", "PUT /a", "HEAD /a"]).is_empty());
        assert!(found(&["GET /a/{x}", "GET /a/b", "GET /{*rest}", "GET /a/"]).is_empty());
    }

    #[test]
    fn crossing_claims_are_refused_unless_their_meet_is_ruled() {
        let crossing = found(&["GET /a/{x}", "GET /{y}/b"]);
        assert_eq!(crossing, ["both match GET /a/b, and neither is more specific"]);
        assert!(found(&["GET /a/{x}", "GET /{y}/b", "GET /a/b"]).is_empty());
        assert!(found(&["GET /a/{x}", "PUT /{y}/b"]).is_empty());
        assert_eq!(found(&["* /a/{*rest}", "GET /{y}/b"]).len(), 1);
        assert!(found(&["* /a/{*rest}", "GET /{y}/b", "GET /a/b"]).is_empty());
    }

    /// What the tree leaves out is nothing that the pairwise comparison would have found.
    #[test]
    fn the_tree_finds_every_conflict_that_looking_at_all_pairs_finds() {
        let segments = ["a", "b", "{x}", "{y}"];
        let mut texts = Vec::new();
        for first in segments {
            for second in segments.iter().chain(&["{*rest}", ""]) {
                texts.push(
                    format!("GET /{first}/{second}")
                        .replace("{y}/{y}", "{x}/{y}")
                        .replace("{x}/{x}", "{x}/{y}"),
                );
                texts.push(format!("PUT /{second}"));
            }
        }
        let rules: Vec<_> = texts.iter().map(|text| MatchRule::parse(text).unwrap()).collect();
        let rulings: Vec<Ruling<'_>> = rules.iter().map(|rule| (None, rule)).collect();
        let by_tree: Vec<(usize, usize)> = overlaps(&rulings)
            .iter()
            .map(|overlap| (overlap.first, overlap.second))
            .collect();
        let mut by_pairs = Vec::new();
        for second in 0..rules.len() {
            for first in 0..second {
                let mut all = Tree::default();
                rules
                    .iter()
                    .enumerate()
                    .for_each(|(index, rule)| all.insert(&rule.segments, index));
                if conflict(rulings[first], rulings[second], &rulings, &all).is_some() {
                    by_pairs.push((first, second));
                }
            }
        }
        assert!(by_pairs.len() > 50);
        assert_eq!(by_tree, by_pairs);
    }

    #[test]
    fn different_hosts_never_conflict() {
        let rule = MatchRule::parse("GET /a").unwrap();
        let host = HostPattern::parse("*.example.com").unwrap();
        assert!(overlaps(&[(None, &rule), (Some(&host), &rule)]).is_empty());
    }
}
