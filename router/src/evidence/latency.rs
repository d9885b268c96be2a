//! Latencies as pairs of value and count: what a histogram holds, at the size of what it holds.
//!
//! For everything in [`crate::evidence`] that keeps latencies. An HDR histogram (Tene, <https://hdrhistogram.org>) of one
//! microsecond to ten minutes at two significant digits has 3,072 counters, whether it was told of one request or of a
//! million. A route's evidence is some hundred small spans of time, and most of them saw few different values; so values are
//! rounded exactly as that histogram rounds them, and only those that occurred are kept. Quantiles are asked of the
//! histogram itself ([`Latencies::histogram`]), made for the asking.

use std::cmp::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in microseconds: ten minutes. What took longer counts as this.
pub const LONGEST: u32 = 600_000_000;

/// Significant decimal digits that are kept.
const DIGITS: u8 = 2;

/// The binary digits that the histogram keeps for [`DIGITS`]: 2 × 10², rounded up to a power of two, are 256 values.
const BITS: u32 = 8;

/// Rounds to what the histogram tells apart: the lowest value of its slot, in microseconds, at least 1.
pub fn rounded(latency: Duration) -> u32 {
    let micros = u32::try_from(latency.as_micros())
        .unwrap_or(LONGEST)
        .clamp(1, LONGEST);
    let shift = (u32::BITS - micros.leading_zeros()).saturating_sub(BITS);
    (micros >> shift) << shift
}

/// How often each latency occurred, by [`rounded`] latency, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies(Vec<(u32, u32)>);

impl Latencies {
    /// Adds `count` times one latency, which must be [`rounded`]. Cheap if they come in ascending order.
    pub fn add(&mut self, micros: u32, count: u32) {
        match self.0.last_mut() {
            Some((last, known)) if *last == micros => *known = known.saturating_add(count),
            Some((last, _)) if *last > micros => match self.0.binary_search_by_key(&micros, |pair| pair.0) {
                Ok(place) => self.0[place].1 = self.0[place].1.saturating_add(count),
                Err(place) => self.0.insert(place, (micros, count)),
            },
            _ => self.0.push((micros, count)),
        }
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        let mut merged = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut ours, mut theirs) = (
            self.0.iter().copied().peekable(),
            other.0.iter().copied().peekable(),
        );
        while let (Some(our), Some(their)) = (ours.peek(), theirs.peek()) {
            let order = our.0.cmp(&their.0);
            let mut next = (our.0.min(their.0), 0u32);
            if order != Ordering::Greater {
                next.1 = next.1.saturating_add(ours.next().map_or(0, |pair| pair.1));
            }
            if order != Ordering::Less {
                next.1 = next.1.saturating_add(theirs.next().map_or(0, |pair| pair.1));
            }
            merged.push(next);
        }
        merged.extend(ours);
        merged.extend(theirs);
        self.0 = merged;
    }

    /// How many latencies were noted.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|pair| u64::from(pair.1)).sum()
    }

    /// Whether none was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each latency in microseconds, ascending, and how often it occurred.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().copied()
    }

    /// How many different values are held; what the memory is proportional to, eight bytes each.
    pub fn values(&self) -> usize {
        self.0.len()
    }

    /// The same as a histogram, in microseconds; empty if nothing was noted.
    pub fn histogram(&self) -> Option<Histogram<u64>> {
        let mut histogram = Histogram::new_with_bounds(1, u64::from(LONGEST), DIGITS).ok()?;
        for (micros, count) in &self.0 {
            histogram.saturating_record_n(u64::from(*micros), u64::from(*count));
        }
        Some(histogram)
    }

    /// The latency below or at which the share `quantile` (0 to 1) of all lies; none if nothing was noted, or if the
    /// quantile is no share.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        if self.is_empty() || !(0.0..=1.0).contains(&quantile) {
            return None;
        }
        let histogram = self.histogram()?;
        Some(Duration::from_micros(histogram.value_at_quantile(quantile)))
    }

    /// As bytes, for [`Self::from_bytes`]: for each pair the distance from the value before and the count, each as LEB128
    /// (DWARF 5, section 7.6). Typically three bytes a pair.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 3);
        let mut before = 0;
        for (micros, count) in &self.0 {
            write_number(&mut bytes, micros - before);
            write_number(&mut bytes, *count);
            before = *micros;
        }
        bytes
    }

    /// From the bytes that [`Self::to_bytes`] made; none if they are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (mut rest, mut pairs, mut before) = (bytes, Vec::new(), 0u32);
        while !rest.is_empty() {
            let step = read_number(&mut rest)?;
            let count = read_number(&mut rest)?;
            let micros = before.checked_add(step)?;
            if step == 0 || count == 0 || micros > LONGEST {
                return None;
            }
            pairs.push((micros, count));
            before = micros;
        }
        Some(Self(pairs))
    }
}

fn write_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0u64;
    for place in 0..5 {
        let (first, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            return u32::try_from(number).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn some(seed: u64, count: usize) -> Latencies {
        let mut random = StdRng::seed_from_u64(seed);
        let mut latencies = Latencies::default();
        for _ in 0..count {
            let micros = 10f64.powf(random.random_range(0.0..9.0)) as u64;
            latencies.add(rounded(Duration::from_micros(micros)), 1);
        }
        latencies
    }

    #[test]
    fn values_are_rounded_exactly_as_the_histogram_rounds_them() {
        let histogram = Histogram::<u64>::new_with_bounds(1, u64::from(LONGEST), DIGITS).unwrap();
        assert_eq!(histogram.distinct_values(), 3_072);
        let mut random = StdRng::seed_from_u64(1);
        let spread = (0..100_000).map(|_| 10f64.powf(random.random_range(0.0..8.77)) as u64);
        for micros in (1..5_000).chain(spread) {
            let ours = u64::from(rounded(Duration::from_micros(micros)));
            assert_eq!(ours, histogram.lowest_equivalent(micros), "{micros}");
        }
    }

    #[test]
    fn what_is_shorter_or_longer_than_can_be_told_counts_as_the_end_of_the_scale() {
        assert_eq!(rounded(Duration::ZERO), 1);
        let longest = rounded(Duration::from_micros(u64::from(LONGEST)));
        assert_eq!(rounded(Duration::from_secs(1_000_000)), longest);
        assert_eq!(rounded(Duration::MAX), longest);
    }

    #[test]
    fn merging_is_adding_one_by_one_in_any_order() {
        for seed in 0..50 {
            let (a, b) = (some(seed, 200), some(seed + 1_000, 100));
            let (mut ab, mut ba) = (a.clone(), b.clone());
            ab.merge(&b);
            ba.merge(&a);
            assert_eq!(ab, ba);
            assert_eq!(ab.len(), 300);
            assert!(ab.0.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn bytes_give_back_what_was_put_in_and_damaged_ones_give_nothing() {
        for seed in 0..50 {
            let latencies = some(seed, 300);
            let bytes = latencies.to_bytes();
            assert_eq!(Latencies::from_bytes(&bytes), Some(latencies));
            assert_eq!(Latencies::from_bytes(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Latencies::from_bytes(&[]), Some(Latencies::default()));
        for damaged in [
            &[0, 1][..],
            &[1, 0],
            &[0xff; 12],
            &[0x80, 0x80, 0x80, 0x80, 0x70, 1],
        ] {
            assert_eq!(Latencies::from_bytes(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn quantiles_are_within_a_hundredth_and_absent_without_data() {
        assert_eq!(Latencies::default().quantile(0.5), None);
        let mut latencies = Latencies::default();
        for micros in (1..=1_000u64).rev() {
            latencies.add(rounded(Duration::from_micros(micros * 100)), 1);
        }
        for (quantile, exact) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0)] {
            let told = latencies.quantile(quantile).unwrap().as_micros() as f64;
            assert!((told / exact - 1.0).abs() < 0.01, "{quantile}: {told}");
        }
        assert_eq!(latencies.quantile(f64::NAN), None);
        assert_eq!(latencies.quantile(1.1), None);
    }
}
