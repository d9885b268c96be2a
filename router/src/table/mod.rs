//! Which route a request belongs to: a pure lookup whose cost does not grow with the number of routes.
//!
//! For [`crate::choose`]. Precedence is that of the Kubernetes Gateway API and does not depend on the order of the file:
//! an exact host beats a wildcard, a longer wildcard a shorter one, any host named beats none; then, segment by segment
//! from the left, a literal beats `{name}` and that beats `{*rest}`; then a method named beats `*`. A rule that matches in
//! every respect is always found, even if a more specific path exists for other methods only. What no rule matches is the
//! monolith's.
//!
//! Two rules that could claim the same request without one being more specific are refused when the config is loaded, so
//! there is never a tie to break here.

mod meeting;
mod overlap;
mod rule;

use std::collections::HashMap;

pub use overlap::{Overlap, overlaps};
pub use rule::{HostPattern, MatchRule, Methods, Segment, is_safe};

/// A segment of a request's path, decoded.
pub type Piece<'p> = std::borrow::Cow<'p, [u8]>;

/// All routes, arranged for lookup.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Node>,
    /// By suffix with its leading dot, the longest first.
    wildcard: Vec<(String, Node)>,
    any: Node,
}

/// The routes below one point of the path.
#[derive(Debug, Default)]
struct Node {
    /// The keys are the config's, and requests only ask for them, so the hash need not withstand keys of an attacker's choice.
    literals: HashMap<Box<[u8]>, Node, foldhash::fast::RandomState>,
    parameter: Option<Box<Node>>,
    rest: Leaf,
    here: Leaf,
}

/// The routes of one path by method.
#[derive(Debug, Default)]
struct Leaf {
    named: Vec<(String, usize)>,
    any: Option<usize>,
}

impl Table {
    /// Arranges rules; a lookup answers with the index in this list.
    pub fn new<'r>(rules: impl IntoIterator<Item = (Option<&'r HostPattern>, &'r MatchRule)>) -> Self {
        let mut table = Self::default();
        for (index, (host, rule)) in rules.into_iter().enumerate() {
            table.root(host).add(&rule.segments, &rule.methods, index);
        }
        table
            .wildcard
            .sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        let roots = table
            .exact
            .values_mut()
            .chain(table.wildcard.iter_mut().map(|(_, node)| node));
        roots.chain([&mut table.any]).for_each(Node::let_get_answer_head);
        table
    }

    /// The route for a request. `host` is in lower case, without port.
    pub fn find(&self, host: Option<&str>, method: &str, path: &[Piece<'_>]) -> Option<usize> {
        if let Some(host) = host {
            let exact = self.exact.get(host).and_then(|root| root.find(method, path));
            let wildcard = || {
                let matching = self.wildcard.iter().filter(|(suffix, _)| is_below(host, suffix));
                matching.filter_map(|(_, root)| root.find(method, path)).next()
            };
            if let Some(found) = exact.or_else(wildcard) {
                return Some(found);
            }
        }
        self.any.find(method, path)
    }

    /// Whether any rule asks for a host, so that callers can spare themselves reading it.
    pub fn asks_for_host(&self) -> bool {
        !self.exact.is_empty() || !self.wildcard.is_empty()
    }

    fn root(&mut self, host: Option<&HostPattern>) -> &mut Node {
        match host {
            None => &mut self.any,
            Some(HostPattern::Exact(name)) => self.exact.entry(name.clone()).or_default(),
            Some(HostPattern::Below(suffix)) => {
                let at = self.wildcard.iter().position(|(known, _)| known == suffix);
                let at = at.unwrap_or_else(|| {
                    self.wildcard.push((suffix.clone(), Node::default()));
                    self.wildcard.len() - 1
                });
                &mut self.wildcard[at].1
            }
        }
    }
}

fn is_below(host: &str, suffix: &str) -> bool {
    host.len() > suffix.len() && host.ends_with(suffix)
}

impl Node {
    fn add(&mut self, segments: &[Segment], methods: &Methods, route: usize) {
        let Some((first, others)) = segments.split_first() else {
            return self.here.add(methods, route);
        };
        match first {
            Segment::Literal(text) => {
                let child = self.literals.entry(text.clone().into_boxed_slice()).or_default();
                child.add(others, methods, route);
            }
            Segment::Parameter(_) => self.parameter.get_or_insert_default().add(others, methods, route),
            Segment::Rest(_) => self.rest.add(methods, route),
        }
    }

    /// The most specific rule first; on failure back to the next less specific one.
    fn find(&self, method: &str, path: &[Piece<'_>]) -> Option<usize> {
        let Some((first, others)) = path.split_first() else {
            return self.here.find(method);
        };
        let literal = || self.literals.get(first.as_ref())?.find(method, others);
        let parameter = || {
            let child = self.parameter.as_ref().filter(|_| !first.is_empty())?;
            child.find(method, others)
        };
        // `/files/{*rest}` wants something after the slash.
        let rest = || {
            (!first.is_empty() || !others.is_empty())
                .then(|| self.rest.find(method))
                .flatten()
        };
        literal().or_else(parameter).or_else(rest)
    }

    /// HEAD is answered wherever GET is, unless a rule of the same path names HEAD.
    fn let_get_answer_head(&mut self) {
        for leaf in [&mut self.here, &mut self.rest] {
            let get = leaf
                .named
                .iter()
                .find(|(method, _)| method == "GET")
                .map(|(_, route)| *route);
            let has_head = leaf.named.iter().any(|(method, _)| method == "HEAD");
            if let (Some(route), false) = (get, has_head) {
                leaf.named.push(("HEAD".to_owned(), route));
            }
        }
        self.literals.values_mut().for_each(Node::let_get_answer_head);
        if let Some(child) = &mut self.parameter {
            child.let_get_answer_head();
        }
    }
}

impl Leaf {
    fn add(&mut self, methods: &Methods, route: usize) {
        match methods {
            Methods::Any => self.any = Some(route),
            Methods::Named(names) => self.named.extend(names.iter().map(|name| (name.clone(), route))),
        }
    }

    fn find(&self, method: &str) -> Option<usize> {
        let named = self.named.iter().find(|(name, _)| name == method);
        named.map(|(_, route)| *route).or(self.any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rules: &[&str]) -> Table {
        let rules: Vec<_> = rules
            .iter()
            .map(
                |text| match text.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
                    Some((host, rule)) => (
                        Some(HostPattern::parse(host).unwrap()),
                        MatchRule::parse(rule).unwrap(),
                    ),
                    None => (None, MatchRule::parse(text).unwrap()),
                },
            )
            .collect();
        let borrowed: Vec<_> = rules.iter().map(|(host, rule)| (host.as_ref(), rule)).collect();
        assert_eq!(overlaps(&borrowed).len(), 0, "the rules of this test overlap");
        Table::new(borrowed)
    }

    fn find(table: &Table, host: Option<&str>, method: &str, path: &str) -> Option<usize> {
        let pieces: Vec<Piece<'_>> = path[1..].split('/').map(|s| s.as_bytes().into()).collect();
        table.find(host, method, &pieces)
    }

    #[test]
    fn literals_beat_parameters_beat_rest_in_any_order() {
        let mut rules = vec![
            "GET /a/{x}",
            "GET /a/b",
            "GET /a/{*rest}",
            "* /{*all}",
            "POST /a/{x}/c",
        ];
        for _ in 0..rules.len() {
            rules.rotate_left(1);
            let table = table(&rules);
            let named = |path| find(&table, None, "GET", path).map(|at| rules[at]);
            assert_eq!(named("/a/b"), Some("GET /a/b"));
            assert_eq!(named("/a/z"), Some("GET /a/{x}"));
            assert_eq!(named("/a/z/c"), Some("GET /a/{*rest}"));
            assert_eq!(named("/a/b/"), Some("GET /a/{*rest}"));
            assert_eq!(named("/a/"), Some("* /{*all}"));
            assert_eq!(named("/"), None);
            assert_eq!(
                find(&table, None, "POST", "/a/b/c").map(|at| rules[at]),
                Some("POST /a/{x}/c")
            );
            assert_eq!(
                find(&table, None, "POST", "/a/b").map(|at| rules[at]),
                Some("* /{*all}")
            );
        }
    }

    #[test]
    fn a_less_specific_path_serves_methods_that_the_specific_one_lacks() {
        let table = table(&["GET /p/featured", "* /p/{sku}"]);
        assert_eq!(find(&table, None, "GET", "/p/featured"), Some(0));
        assert_eq!(find(&table, None, "HEAD", "/p/featured"), Some(0));
        assert_eq!(find(&table, None, "POST", "/p/featured"), Some(1));
    }

    #[test]
    fn get_answers_head_unless_head_is_named() {
        let table = table(&["GET /a", "HEAD /a", "GET /b", "* /b", "GET,HEAD /c"]);
        assert_eq!(find(&table, None, "HEAD", "/a"), Some(1));
        assert_eq!(find(&table, None, "HEAD", "/b"), Some(2));
        assert_eq!(find(&table, None, "PUT", "/b"), Some(3));
        assert_eq!(find(&table, None, "HEAD", "/c"), Some(4));
    }

    #[test]
    fn exact_host_beats_wildcard_beats_none_and_falls_back() {
        let table = table(&[
            "GET /a",
            "@*.example.com GET /a",
            "@*.eu.example.com GET /a",
            "@shop.example.com GET /a",
            "GET /b",
        ]);
        let at = |host| find(&table, host, "GET", "/a");
        assert_eq!(at(Some("shop.example.com")), Some(3));
        assert_eq!(at(Some("x.eu.example.com")), Some(2));
        assert_eq!(at(Some("other.example.com")), Some(1));
        assert_eq!(at(Some("example.com")), Some(0));
        assert_eq!(at(None), Some(0));
        assert_eq!(find(&table, Some("shop.example.com"), "GET", "/b"), Some(4));
    }

    #[test]
    fn case_and_trailing_slash_count() {
        let table = table(&["GET /a/{x}", "GET /slash/"]);
        assert_eq!(find(&table, None, "GET", "/A/x"), None);
        assert_eq!(find(&table, None, "GET", "/a/x/"), None);
        assert_eq!(find(&table, None, "GET", "/a/"), None);
        assert_eq!(find(&table, None, "GET", "/slash/"), Some(1));
        assert_eq!(find(&table, None, "GET", "/slash"), None);
    }
}
