//! Which element of one unordered array answers to which of the other.
//!
//! For [`super::walk`], which then compares each pair once. Three passes, each over what the one before left: elements that
//! are equal; elements that are equal but for numbers with a tolerance, in the order of those; and of the rest those that have most in
//! common, so that a wrong price shows as `$.items[*].price` and not as one item too few and one too many.
//!
//! Sorting bounds the first two at n log n. The third looks at every pair of at most [`MOST_COMPARED`] elements a side and
//! takes the others as they come, which can make a difference look larger than it is, but not smaller.

use std::cmp::Reverse;

use super::fingerprint::{self, Key};
use super::json::Node;
use super::marks::Step;
use super::walk::Walk;

const MOST_COMPARED: usize = 64;

/// Indexes of two elements that belong together; one is missing if nothing is left to go with the other.
pub(super) type Pair = (Option<usize>, Option<usize>);

/// Pairs the elements of two arrays; `walk` stands at the arrays. The order is that of the left indexes, then the right ones.
pub(super) fn pair(walk: &mut Walk<'_, '_>, left: &[Node<'_>], right: &[Node<'_>]) -> Vec<Pair> {
    let mut pairing = Pairing {
        left: elements(walk, left),
        right: elements(walk, right),
        pairs: Vec::with_capacity(left.len().max(right.len())),
    };
    pairing.equal();
    if !walk.rules.tolerance.is_empty() {
        pairing.near();
    }
    pairing.alike(walk, left, right);
    let Pairing {
        left,
        right,
        mut pairs,
    } = pairing;
    pairs.extend(left.iter().map(|element| (Some(element.index), None)));
    pairs.extend(right.iter().map(|element| (None, Some(element.index))));
    pairs.sort_unstable_by_key(|(left, right)| (left.is_none(), *left, *right));
    pairs
}

#[derive(Clone, Copy)]
struct Element {
    key: Key,
    index: usize,
}

/// Which of two lists belong together, by their positions in them, ascending.
type Choose = fn(&[Element], &[Element]) -> Vec<(usize, usize)>;

struct Pairing {
    /// Not yet paired.
    left: Vec<Element>,
    right: Vec<Element>,
    pairs: Vec<Pair>,
}

fn elements(walk: &mut Walk<'_, '_>, nodes: &[Node<'_>]) -> Vec<Element> {
    let mut elements = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        walk.marks.enter(Step::Element(index));
        if !walk.is_ignored() {
            let key = fingerprint::of(walk, node);
            elements.push(Element { key, index });
        }
        walk.marks.leave();
    }
    elements
}

impl Pairing {
    /// Pairs what has the same exact key, the n-th with the n-th.
    ///
    /// Not where one number has a tolerance: 4 and 6 go with 2 and 4 within 2, unless the two 4 are taken out first. In the
    /// order of that number all of them find their partner, if there is one for each, so [`Self::near`] pairs them.
    fn equal(&mut self) {
        let order = |element: &Element| (element.key.exact, element.index);
        self.left.sort_unstable_by_key(order);
        self.right.sort_unstable_by_key(order);
        self.runs(
            |key| key.exact,
            |left, right| {
                let one_number = left.first().is_some_and(|element| element.key.loose == 1);
                let both = if one_number {
                    0
                } else {
                    left.len().min(right.len())
                };
                (0..both).map(|n| (n, n)).collect()
            },
        );
    }

    /// Pairs what has the same shape, in the order of weights.
    fn near(&mut self) {
        let order = |one: &Element, other: &Element| {
            let shape = one.key.shape.cmp(&other.key.shape);
            shape
                .then(one.key.weight.total_cmp(&other.key.weight))
                .then(one.index.cmp(&other.index))
        };
        self.left.sort_unstable_by(order);
        self.right.sort_unstable_by(order);
        self.runs(|key| key.shape, nearest);
    }

    /// Goes through both sorted lists and has the elements of one key paired by `choose`, which is given those of both sides
    /// and answers with positions in them, in ascending order.
    fn runs(&mut self, key: fn(&Key) -> u64, choose: Choose) {
        let (left, right) = (std::mem::take(&mut self.left), std::mem::take(&mut self.right));
        let same = |one: &Element, other: &Element| key(&one.key) == key(&other.key);
        let mut rights = right.chunk_by(same).peekable();
        for lefts in left.chunk_by(same) {
            let wanted = lefts.first().map(|element| key(&element.key));
            let of = |run: &[Element]| run.first().map(|element| key(&element.key));
            while let Some(lower) = rights.next_if(|run| of(run) < wanted) {
                self.right.extend(lower);
            }
            let run = rights.next_if(|run| of(run) == wanted).unwrap_or_default();
            let chosen = choose(lefts, run);
            let pairs = chosen
                .iter()
                .filter_map(|(l, r)| Some((lefts.get(*l)?, run.get(*r)?)));
            self.pairs
                .extend(pairs.map(|(l, r)| (Some(l.index), Some(r.index))));
            self.left.extend(without(lefts, chosen.iter().map(|(l, _)| *l)));
            self.right.extend(without(run, chosen.iter().map(|(_, r)| *r)));
        }
        self.right.extend(rights.flatten());
    }

    /// Pairs all that is left, those that have most in common first.
    fn alike(&mut self, walk: &mut Walk<'_, '_>, left: &[Node<'_>], right: &[Node<'_>]) {
        if self.left.is_empty() || self.right.is_empty() {
            return;
        }
        self.left.sort_unstable_by_key(|element| element.index);
        self.right.sort_unstable_by_key(|element| element.index);
        let lefts = traits(walk, &self.left, left);
        let rights = traits(walk, &self.right, right);
        let mut scores = Vec::with_capacity(lefts.len() * rights.len());
        for (l, (kind, one)) in lefts.iter().enumerate() {
            for (r, (other_kind, other)) in rights.iter().enumerate() {
                let score = 2 * common(one, other) + usize::from(kind == other_kind);
                scores.push((Reverse(score), l, r));
            }
        }
        scores.sort_unstable();
        let (mut free_left, mut free_right) = (vec![true; self.left.len()], vec![true; self.right.len()]);
        let compared = scores.into_iter().map(|(_, l, r)| (l, r));
        // Beyond those that were compared: the n-th with the n-th.
        let rest = (MOST_COMPARED..self.left.len().min(self.right.len())).map(|n| (n, n));
        for (l, r) in compared.chain(rest) {
            if free_left[l] && free_right[r] {
                (free_left[l], free_right[r]) = (false, false);
                self.pairs
                    .push((Some(self.left[l].index), Some(self.right[r].index)));
            }
        }
        keep(&mut self.left, &free_left);
        keep(&mut self.right, &free_right);
    }
}

fn keep(elements: &mut Vec<Element>, free: &[bool]) {
    let mut free = free.iter();
    elements.retain(|_| free.next().copied().unwrap_or(true));
}

/// Pairs two lists sorted by weight. The longer has some to spare: those are left out whose neighbour is nearer.
fn nearest(left: &[Element], right: &[Element]) -> Vec<(usize, usize)> {
    let mut spare = (
        left.len().saturating_sub(right.len()),
        right.len().saturating_sub(left.len()),
    );
    let (mut l, mut r) = (0, 0);
    let mut pairs = Vec::new();
    while let (Some(one), Some(other)) = (left.get(l), right.get(r)) {
        let apart = |one: &Element, other: &Element| (one.key.weight - other.key.weight).abs();
        let now = apart(one, other);
        if spare.0 > 0 && left.get(l + 1).is_some_and(|next| apart(next, other) < now) {
            (spare.0, l) = (spare.0 - 1, l + 1);
        } else if spare.1 > 0 && right.get(r + 1).is_some_and(|next| apart(one, next) < now) {
            (spare.1, r) = (spare.1 - 1, r + 1);
        } else {
            pairs.push((l, r));
            (l, r) = (l + 1, r + 1);
        }
    }
    pairs
}

/// All elements but those at some positions, which ascend.
fn without(elements: &[Element], positions: impl Iterator<Item = usize>) -> Vec<Element> {
    let mut positions = positions.peekable();
    let kept = elements
        .iter()
        .enumerate()
        .filter(|(at, _)| positions.next_if_eq(at).is_none());
    kept.map(|(_, element)| *element).collect()
}

/// The kind of each of the first elements, and what it consists of.
fn traits<'n>(
    walk: &mut Walk<'_, '_>,
    elements: &[Element],
    nodes: &'n [Node<'n>],
) -> Vec<(std::mem::Discriminant<Node<'n>>, Vec<u64>)> {
    let mut all = Vec::new();
    for element in elements.iter().take(MOST_COMPARED) {
        if let Some(node) = nodes.get(element.index) {
            walk.marks.enter(Step::Element(element.index));
            all.push((std::mem::discriminant(node), fingerprint::traits(walk, node)));
            walk.marks.leave();
        }
    }
    all
}

/// How many values two sorted lists share.
fn common(one: &[u64], other: &[u64]) -> usize {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut count = 0;
    while let (Some(left), Some(right)) = (one.peek(), other.peek()) {
        let order = left.cmp(right);
        count += usize::from(order.is_eq());
        if order.is_le() {
            one.next();
        }
        if order.is_ge() {
            other.next();
        }
    }
    count
}
