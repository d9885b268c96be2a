//! What clients saw of products, and whether one order of writes explains it.
//!
//! Every write that is acknowledged answers with the version that it made, and every read with the version and price that it saw. A
//! product is then a register whose writes are numbered, and its history is linearizable (Herlihy and Wing, 1990) exactly if: no two
//! acknowledged writes made the same version; whatever began after another had ended saw or made a version that is not smaller
//! (for writes: greater); a read of a version saw what the write of that version wrote; and no version that was acknowledged is
//! missing in the end. The checker knows nothing of the product but this.

use std::collections::HashMap;
use std::time::Instant;

/// One operation on one product.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The product.
    pub sku: String,
    /// When it was sent.
    pub began: Instant,
    /// When its answer was there.
    pub ended: Instant,
    /// What it was, and what came of it.
    pub what: What,
}

/// What it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It made a version, in which the price is this.
    Wrote {
        /// The version.
        version: i64,
        /// The price, in minor units.
        price: i64,
    },
    /// It saw a version, with this price.
    Read {
        /// The version.
        version: i64,
        /// The price, in minor units.
        price: i64,
    },
    /// It asked for this price and got no answer: whether it was done is not known.
    Unknown {
        /// The price, in minor units.
        price: i64,
    },
}

/// What is wrong with a history; nothing if it is linearizable.
pub fn contradictions(history: &[Operation]) -> Vec<String> {
    let mut by_sku: HashMap<&str, Vec<&Operation>> = HashMap::new();
    for operation in history {
        by_sku.entry(&operation.sku).or_default().push(operation);
    }
    by_sku
        .into_iter()
        .flat_map(|(sku, of)| one_product(sku, of))
        .collect()
}

fn one_product(sku: &str, mut operations: Vec<&Operation>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut written: HashMap<i64, i64> = HashMap::new();
    let mut lost: Vec<i64> = Vec::new();
    for operation in &operations {
        match operation.what {
            What::Wrote { version, price } => {
                if let Some(other) = written.insert(version, price) {
                    wrong.push(format!(
                        "{sku}: version {version} was acknowledged twice, with {other} and {price}"
                    ));
                }
            }
            What::Unknown { price } => lost.push(price),
            What::Read { .. } => {}
        }
    }
    for operation in &operations {
        if let What::Read { version, price } = operation.what {
            match written.get(&version) {
                Some(known) if *known != price => {
                    wrong.push(format!(
                        "{sku}: version {version} was written with {known} and read with {price}"
                    ));
                }
                None if version > 1 && !lost.contains(&price) => {
                    wrong.push(format!(
                        "{sku}: read version {version} with {price}, which nobody wrote"
                    ));
                }
                _ => {}
            }
        }
    }
    operations.sort_by_key(|operation| operation.began);
    let mut ends: Vec<&Operation> = operations.clone();
    ends.sort_by_key(|operation| operation.ended);
    let (mut greatest, mut next) = (0, 0);
    for operation in operations {
        // The greatest version that was seen by whatever had ended before this began.
        while let Some(ended) = ends.get(next).filter(|ended| ended.ended < operation.began) {
            greatest = greatest.max(version(ended.what).unwrap_or(0));
            next += 1;
        }
        match operation.what {
            What::Read { version, .. } if version < greatest => {
                wrong.push(format!(
                    "{sku}: read version {version} after version {greatest} had been seen"
                ));
            }
            What::Wrote { version, .. } if version <= greatest => {
                wrong.push(format!(
                    "{sku}: wrote version {version} after version {greatest} had been seen"
                ));
            }
            _ => {}
        }
    }
    wrong
}

fn version(what: What) -> Option<i64> {
    match what {
        What::Wrote { version, .. } | What::Read { version, .. } => Some(version),
        What::Unknown { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(operations: &[(u64, u64, What)]) -> usize {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let history: Vec<Operation> = operations
            .iter()
            .map(|(began, ended, what)| Operation {
                sku: "A".to_owned(),
                began: at(*began),
                ended: at(*ended),
                what: *what,
            })
            .collect();
        contradictions(&history).len()
    }

    #[test]
    fn a_stale_read_a_doubled_version_and_a_changed_value_are_found_and_overlaps_are_not() {
        let wrote = |version, price| What::Wrote { version, price };
        let read = |version, price| What::Read { version, price };
        assert_eq!(
            check(&[(0, 1, wrote(2, 10)), (2, 3, read(2, 10)), (4, 5, wrote(3, 11))]),
            0
        );
        assert_eq!(
            check(&[(0, 9, wrote(2, 10)), (1, 3, read(1, 9)), (2, 5, read(2, 10))]),
            0
        );
        assert_eq!(check(&[(0, 1, wrote(2, 10)), (2, 3, read(1, 9))]), 1);
        assert_eq!(check(&[(0, 1, wrote(2, 10)), (0, 1, wrote(2, 11))]), 1);
        assert_eq!(check(&[(0, 1, wrote(2, 10)), (2, 3, read(2, 12))]), 1);
        assert_eq!(check(&[(0, 1, wrote(2, 10)), (2, 3, read(3, 12))]), 1);
        assert_eq!(
            check(&[
                (0, 1, wrote(2, 10)),
                (2, 3, What::Unknown { price: 12 }),
                (4, 5, read(3, 12))
            ]),
            0
        );
    }
}
