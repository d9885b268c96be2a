//! What an element of an unordered array is like, in numbers that can be sorted.
//!
//! For [`super::pairing`]. What the rules do not look at is left out of a [`Key`]: ignored places, `null` where that counts as
//! absent, the order of nested unordered arrays. So elements that are equal by the rules have equal keys, but for numbers with
//! a tolerance: being near is not transitive and cannot be hashed. Those count into `exact`, and `shape` leaves them out.
//!
//! Keys only suggest pairs. Every pair is then compared, so a collision can show as a difference that is none, once in 2^64
//! times, but never hides one.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::json::Node;
use super::marks::Step;
use super::number;
use super::walk::Walk;

/// How many children of an element are looked at to find out which it resembles.
const MOST_TRAITS: usize = 64;

/// What an element is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Key {
    /// Everything that the rules look at.
    pub(super) exact: u64,
    /// The same without numbers that have a tolerance.
    pub(super) shape: u64,
    /// Those numbers in one: elements whose numbers are near have weights that are near.
    pub(super) weight: f64,
    /// How many those numbers are.
    pub(super) loose: usize,
}

/// What the children of an element are like, sorted: the more two elements share, the likelier they are the same thing.
pub(super) fn traits(walk: &mut Walk<'_, '_>, node: &Node<'_>) -> Vec<u64> {
    let mut traits = Vec::new();
    match node {
        Node::Object(members) => {
            for (name, value) in members.iter().take(MOST_TRAITS) {
                let Some(key) = child(walk, Step::Member(name), value) else {
                    continue;
                };
                let mut state = DefaultHasher::new();
                (name, key.shape).hash(&mut state);
                traits.push(state.finish());
            }
        }
        Node::Array(elements) => {
            for (index, element) in elements.iter().enumerate().take(MOST_TRAITS) {
                traits.extend(child(walk, Step::Element(index), element).map(|key| key.shape));
            }
        }
        _ => {}
    }
    traits.sort_unstable();
    traits
}

/// The key of a value; `walk` stands at it.
pub(super) fn of(walk: &mut Walk<'_, '_>, node: &Node<'_>) -> Key {
    let mut mixing = Mixing::default();
    match node {
        Node::Null => mixing.both(|state| state.write_u8(0)),
        Node::Bool(value) => mixing.both(|state| (1u8, value).hash(state)),
        Node::Number(text) => {
            mixing.both(|state| state.write_u8(2));
            number::hash(text, &mut mixing.exact);
            if walk.has_tolerance() {
                mixing.weight = number::double(text);
                mixing.loose = 1;
            } else {
                number::hash(text, &mut mixing.shape);
            }
        }
        Node::Text(text) => mixing.both(|state| (3u8, text).hash(state)),
        Node::Array(elements) if walk.is_unordered() => {
            let (mut exact, mut shape) = (0u64, 0u64);
            for (index, element) in elements.iter().enumerate() {
                if let Some(key) = child(walk, Step::Element(index), element) {
                    // A sum does not depend on the order.
                    exact = exact.wrapping_add(key.exact);
                    shape = shape.wrapping_add(key.shape);
                    mixing.weight += key.weight;
                    mixing.loose += key.loose;
                }
            }
            (4u8, exact).hash(&mut mixing.exact);
            (4u8, shape).hash(&mut mixing.shape);
        }
        Node::Array(elements) => {
            mixing.both(|state| state.write_u8(5));
            for (index, element) in elements.iter().enumerate() {
                if let Some(key) = child(walk, Step::Element(index), element) {
                    mixing.add(key, 1.0);
                }
            }
        }
        Node::Object(members) => {
            mixing.both(|state| state.write_u8(6));
            for (name, value) in members {
                if let Some(key) = child(walk, Step::Member(name), value) {
                    mixing.both(|state| name.hash(state));
                    mixing.add(key, coefficient(name));
                }
            }
        }
    }
    mixing.finish()
}

/// The key of a child, unless the rules do not look at it.
fn child(walk: &mut Walk<'_, '_>, step: Step<'_>, node: &Node<'_>) -> Option<Key> {
    let absent = walk.rules.null_is_absent && matches!((step, node), (Step::Member(_), Node::Null));
    if absent {
        return None;
    }
    walk.marks.enter(step);
    let key = (!walk.is_ignored()).then(|| of(walk, node));
    walk.marks.leave();
    key
}

/// Between 1 and 2, so that `{x: 1, y: 2}` and `{x: 2, y: 1}` do not weigh the same.
fn coefficient(name: &str) -> f64 {
    let mut state = DefaultHasher::new();
    name.hash(&mut state);
    1.0 + (state.finish() % 1024) as f64 / 1024.0
}

#[derive(Default)]
struct Mixing {
    exact: DefaultHasher,
    shape: DefaultHasher,
    weight: f64,
    loose: usize,
}

impl Mixing {
    fn both(&mut self, mut put: impl FnMut(&mut DefaultHasher)) {
        put(&mut self.exact);
        put(&mut self.shape);
    }

    fn add(&mut self, child: Key, coefficient: f64) {
        self.exact.write_u64(child.exact);
        self.shape.write_u64(child.shape);
        self.weight += child.weight * coefficient;
        self.loose += child.loose;
    }

    fn finish(self) -> Key {
        Key {
            exact: self.exact.finish(),
            shape: self.shape.finish(),
            weight: self.weight,
            loose: self.loose,
        }
    }
}
