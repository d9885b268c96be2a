//! Finds the rules whose paths could meet a given one, without looking at all of them.
//!
//! For [`super::overlap`], which then judges each pair exactly. A tree by segments: most rules differ in a literal near the
//! front, so most of them are never looked at, and a file of 10,000 routes is checked in a blink.

use std::collections::HashMap;

use super::rule::Segment;

/// Rules by their segments.
#[derive(Debug, Default)]
pub(super) struct Tree<'r> {
    literals: HashMap<&'r [u8], Tree<'r>>,
    parameter: Option<Box<Tree<'r>>>,
    /// Rules whose rest begins here.
    rests: Vec<usize>,
    /// Rules that end here.
    ends: Vec<usize>,
}

impl<'r> Tree<'r> {
    /// Adds a rule under its index.
    pub(super) fn insert(&mut self, segments: &'r [Segment], index: usize) {
        match segments.split_first() {
            None => self.ends.push(index),
            Some((Segment::Rest(_), _)) => self.rests.push(index),
            Some((Segment::Literal(text), more)) => {
                self.literals.entry(text).or_default().insert(more, index);
            }
            Some((Segment::Parameter(_), more)) => {
                self.parameter.get_or_insert_default().insert(more, index);
            }
        }
    }

    /// The indexes of all rules that may match a path which these segments match too, in order.
    pub(super) fn meeting(&self, segments: &[Segment]) -> Vec<usize> {
        let mut found = Vec::new();
        self.collect(segments, &mut found);
        found.sort_unstable();
        found
    }

    fn collect(&self, segments: &[Segment], found: &mut Vec<usize>) {
        let Some((first, more)) = segments.split_first() else {
            found.extend(&self.ends);
            return;
        };
        if matches!(first, Segment::Rest(_)) {
            return self.collect_all(found);
        }
        found.extend(&self.rests);
        if let Some(parameter) = &self.parameter {
            parameter.collect(more, found);
        }
        match first {
            Segment::Literal(text) => {
                if let Some(below) = self.literals.get(text.as_slice()) {
                    below.collect(more, found);
                }
            }
            _ => self
                .literals
                .values()
                .for_each(|below| below.collect(more, found)),
        }
    }

    fn collect_all(&self, found: &mut Vec<usize>) {
        found.extend(self.ends.iter().chain(&self.rests));
        let below = self.literals.values().chain(self.parameter.as_deref());
        below.for_each(|below| below.collect_all(found));
    }
}
