//! A quick hash for the table's segments.
//!
//! For [`super::Table`], which looks up three or four of them for each request. The standard library's withstands keys that
//! an attacker has chosen; the keys here are the config's, and requests only ask for them.

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes with [`Fnv`].
pub(super) type Quick = BuildHasherDefault<Fnv>;

/// FNV-1a in 64 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The length of a segment: what it adds to its bytes is that no other one's bytes run on into the next key.
    fn write_usize(&mut self, length: usize) {
        self.0 = (self.0 ^ length as u64).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn finish(&self) -> u64 {
        // The map takes bits from both ends, and to the upper ones a short key's last bytes have not come yet.
        let spread = u128::from(self.0) * 0x9e37_79b9_7f4a_7c15;
        spread as u64 ^ (spread >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn names_that_differ_in_a_digit_are_told_apart_in_the_bits_that_the_map_uses() {
        let hash = |number: u32| Quick::default().hash_one(format!("before-{number}").as_bytes());
        let low: HashSet<u64> = (0..1000).map(|number| hash(number) & 0xffff).collect();
        let top: HashSet<u64> = (0..1000).map(|number| hash(number) >> 57).collect();
        assert!(low.len() > 950 && top.len() > 120, "{} {}", low.len(), top.len());
    }
}
