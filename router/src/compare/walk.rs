//! Compares two JSON documents by structure.
//!
//! For [`super::body`]. The walk goes down both trees at once, and at each value asks which rules apply there. A member that
//! only one side has is a difference at that member, whatever is in it. Two arrays are compared element by element in their
//! order, or, where the rules say so, as [`super::pairing`] pairs them.

use std::cmp::Ordering;

use super::body::Cause;
use super::difference::Found;
use super::json::{Member, Node};
use super::marks::{Marks, Step};
use super::number;
use super::pairing;
use super::print::show;
use super::rules::{Limits, Rules};
use super::secret::REDACTED;
use super::trace::Trace;

/// What is shown for a value that is not there.
pub(super) const ABSENT: &str = "[absent]";

/// Each level of unordered arrays in unordered arrays has all that is below it looked through once more.
const MOST_NESTED: usize = 4;

/// One comparison on its way.
pub(super) struct Walk<'r, 'n> {
    pub(super) rules: &'r Rules,
    limits: &'r Limits,
    pub(super) marks: Marks<'r>,
    trace: Trace<'n>,
    found: &'r mut Found,
    /// How many unordered arrays the current place is in.
    nested: usize,
    stopped: Option<Cause>,
}

/// Compares two documents, and says why if it could not do so everywhere.
pub(super) fn compare<'n>(
    rules: &Rules,
    limits: &Limits,
    left: &'n Node<'n>,
    right: &'n Node<'n>,
    found: &mut Found,
) -> Result<(), Cause> {
    let tolerance = rules.tolerance.iter().map(|(place, _)| place);
    let places = rules.ignore.iter().chain(tolerance).chain(&rules.unordered);
    let mut walk = Walk {
        rules,
        limits,
        marks: Marks::new(places),
        trace: Trace::default(),
        found,
        nested: 0,
        stopped: None,
    };
    walk.both(left, right);
    walk.stopped.map_or(Ok(()), Err)
}

impl<'n> Walk<'_, 'n> {
    /// Compares what stands at the current place.
    fn both(&mut self, left: &'n Node<'n>, right: &'n Node<'n>) {
        if self.is_ignored() {
            return;
        }
        match (left, right) {
            (Node::Object(left), Node::Object(right)) => self.members(left, right),
            (Node::Array(left), Node::Array(right)) if self.is_unordered() => self.unordered(left, right),
            (Node::Array(left), Node::Array(right)) => self.ordered(left, right),
            (Node::Number(one), Node::Number(other)) => {
                if !number::equal(one, other) && !self.tolerates(one, other) {
                    self.differ(Some(left), Some(right));
                }
            }
            _ if left == right => {}
            _ => self.differ(Some(left), Some(right)),
        }
    }

    /// Merges two lists that are sorted by name.
    fn members(&mut self, left: &'n [Member<'n>], right: &'n [Member<'n>]) {
        let (mut lefts, mut rights) = (left.iter().peekable(), right.iter().peekable());
        loop {
            let order = match (lefts.peek(), rights.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((one, _)), Some((other, _))) => one.cmp(other),
            };
            // Both move on if they are equal, else the one that is behind.
            let left = lefts.next_if(|_| order.is_le());
            let right = rights.next_if(|_| order.is_ge());
            let Some((name, _)) = left.or(right) else {
                return;
            };
            let values = (left.map(|(_, value)| value), right.map(|(_, value)| value));
            if self.rules.null_is_absent
                && matches!(values, (Some(Node::Null), None) | (None, Some(Node::Null)))
            {
                continue;
            }
            self.child(Step::Member(name), values.0, values.1);
        }
    }

    fn ordered(&mut self, left: &'n [Node<'n>], right: &'n [Node<'n>]) {
        for index in 0..left.len().max(right.len()) {
            self.child(Step::Element(index), left.get(index), right.get(index));
        }
    }

    fn unordered(&mut self, left: &'n [Node<'n>], right: &'n [Node<'n>]) {
        if self.nested == MOST_NESTED {
            self.stopped = Some(Cause::TooDeep);
            return;
        }
        self.nested += 1;
        for (one, other) in pairing::pair(self, left, right) {
            if let Some(index) = one.or(other) {
                let left = one.and_then(|index| left.get(index));
                let right = other.and_then(|index| right.get(index));
                self.child(Step::Element(index), left, right);
            }
        }
        self.nested -= 1;
    }

    /// Compares two children of the current values, one of which may be missing.
    fn child(&mut self, step: Step<'n>, left: Option<&'n Node<'n>>, right: Option<&'n Node<'n>>) {
        self.marks.enter(step);
        self.trace.steps.push(step);
        match (left, right) {
            (Some(left), Some(right)) => self.both(left, right),
            _ if self.is_ignored() => {}
            _ => self.differ(left, right),
        }
        self.trace.steps.pop();
        self.marks.leave();
    }

    fn differ(&mut self, left: Option<&Node<'_>>, right: Option<&Node<'_>>) {
        let redact = &self.rules.redact;
        let written = self.trace.write(redact);
        let (steps, limit) = (&self.trace.steps, self.limits.value);
        let side = |node: Option<&Node<'_>>| match node {
            None => ABSENT.to_owned(),
            Some(_) if written.hidden => REDACTED.to_owned(),
            Some(node) => show(node, steps, redact, limit),
        };
        self.found
            .add(&written.group, &written.at, || (side(left), side(right)));
    }

    pub(super) fn is_ignored(&self) -> bool {
        self.marks.first(0..self.rules.ignore.len()).is_some()
    }

    pub(super) fn is_unordered(&self) -> bool {
        let start = self.rules.ignore.len() + self.rules.tolerance.len();
        self.marks
            .first(start..start + self.rules.unordered.len())
            .is_some()
    }

    /// Whether the current place has a tolerance at all.
    pub(super) fn has_tolerance(&self) -> bool {
        self.tolerance().is_some()
    }

    fn tolerance(&self) -> Option<super::Tolerance> {
        let start = self.rules.ignore.len();
        let first = self.marks.first(start..start + self.rules.tolerance.len())?;
        self.rules
            .tolerance
            .get(first - start)
            .map(|(_, tolerance)| *tolerance)
    }

    fn tolerates(&self, left: &str, right: &str) -> bool {
        self.tolerance()
            .is_some_and(|tolerance| tolerance.allows(left, right))
    }
}
