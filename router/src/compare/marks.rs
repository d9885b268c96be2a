//! Which places of the rules match the value that a walk has come to.
//!
//! For [`super::walk`], [`super::fingerprint`] and [`super::print`]. All places are followed at once while the walk goes
//! down: of each place one mask of 64 bits says how many of its segments can be behind us. A step costs one look at each
//! segment that is waited for, so several `..` cannot make it explode, and nothing is computed again on the way back up.

use super::place::{Place, Segment, Selector};

/// A step from a value to its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'n> {
    Member(&'n str),
    Element(usize),
}

/// Where a list of places has got to, at every level of the current path.
#[derive(Debug)]
pub(super) struct Marks<'r> {
    places: Vec<&'r Place>,
    /// One mask per place for each level; the last ones are those of the current value.
    masks: Vec<u64>,
}

impl<'r> Marks<'r> {
    /// Begins at the root.
    pub(super) fn new(places: impl IntoIterator<Item = &'r Place>) -> Self {
        let places: Vec<_> = places.into_iter().collect();
        let masks = vec![1; places.len()];
        Self { places, masks }
    }

    pub(super) fn enter(&mut self, step: Step<'_>) {
        let level = self.masks.len() - self.places.len();
        for (number, place) in self.places.iter().enumerate() {
            let mask = self.masks.get(level + number).copied().unwrap_or_default();
            self.masks.push(advance(mask, &place.segments, step));
        }
    }

    pub(super) fn leave(&mut self) {
        let above = self.masks.len() - self.places.len();
        self.masks.truncate(above);
    }

    /// The first place of a range of the list that is exactly here.
    pub(super) fn first(&self, range: std::ops::Range<usize>) -> Option<usize> {
        let level = self.masks.len() - self.places.len();
        range.into_iter().find(|number| {
            let place = self.places.get(*number);
            let mask = self.masks.get(level + number).copied().unwrap_or_default();
            place.is_some_and(|place| mask & (1 << place.segments.len()) != 0)
        })
    }
}

fn advance(mask: u64, segments: &[Segment], step: Step<'_>) -> u64 {
    let (mut waiting, mut next) = (mask, 0);
    while waiting != 0 {
        let position = waiting.trailing_zeros() as usize;
        waiting &= waiting - 1;
        // The end of a path waits for nothing.
        let Some(segment) = segments.get(position) else {
            continue;
        };
        if segment.deep {
            next |= 1 << position;
        }
        if selects(&segment.selector, step) {
            next |= 1 << (position + 1);
        }
    }
    next
}

fn selects(selector: &Selector, step: Step<'_>) -> bool {
    match (selector, step) {
        (Selector::Any, _) => true,
        (Selector::Member(wanted), Step::Member(name)) => wanted == name,
        (Selector::Element(wanted), Step::Element(index)) => *wanted == index,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(place: &str, path: &[Step<'_>]) -> bool {
        let place = Place::parse(place).unwrap();
        let mut marks = Marks::new([&place]);
        path.iter().for_each(|step| marks.enter(*step));
        marks.first(0..1).is_some()
    }

    #[test]
    fn places_match_what_rfc_9535_says_they_do() {
        use Step::{Element, Member};
        let price = [Member("items"), Element(7), Member("price")];
        for place in [
            "$.items[*].price",
            "$.items[7].price",
            "$..price",
            "$..items..price",
            "$.*.*.*",
            "$..[7].*",
            "$..*",
        ] {
            assert!(matches(place, &price), "{place}");
        }
        for place in [
            "$",
            "$.items",
            "$.items[*]",
            "$.items[8].price",
            "$.items.price",
            "$..items",
            "$.*.*",
            "$.price",
        ] {
            assert!(!matches(place, &price), "{place}");
        }
        assert!(matches("$", &[]));
        assert!(!matches("$..*", &[]), "a descendant is below");
        assert!(!matches("$['7']", &[Element(7)]), "a name is no index");
    }

    #[test]
    fn leaving_a_value_restores_what_matched_above_it() {
        let place = Place::parse("$..a").unwrap();
        let mut marks = Marks::new([&place]);
        marks.enter(Step::Member("a"));
        marks.enter(Step::Member("b"));
        assert_eq!(marks.first(0..1), None);
        marks.leave();
        assert_eq!(marks.first(0..1), Some(0));
    }

    #[test]
    fn many_descents_stay_cheap() {
        // Backtracking would try 100 choose 30 ways here, and never end.
        let place = Place::parse(&format!("${}.z", "..a".repeat(30))).unwrap();
        let mut marks = Marks::new([&place]);
        (0..100).for_each(|_| marks.enter(Step::Member("a")));
        assert_eq!(marks.first(0..1), None);
        marks.enter(Step::Member("z"));
        assert_eq!(marks.first(0..1), Some(0));
    }
}
