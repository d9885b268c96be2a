//! Which of an upstream's addresses is asked, and which are left alone.
//!
//! For [`crate::attempt`]. With one address there is nothing to choose, and nothing of this is asked. With several, two are
//! drawn of those in use, and the one with fewer of this worker's requests under way is asked ("power of two choices":
//! Mitzenmacher, 2001). So a slow address gets less to do, without all workers running to the same one.
//!
//! An address that fails several times in a row is left alone ([`outlier`]), but never so many that the rest could not carry
//! the load, and never the last one. How the upstream does as a whole is for its circuit to judge ([`crate::standing`]): a
//! failure counts there only once no more addresses may be left alone.

pub mod outlier;

use std::sync::{Arc, Mutex, PoisonError};

use self::outlier::Outlier;
use crate::config::{Address, Ejection, Upstream};
use crate::standing::now;

/// What is known of each address of one upstream. Shared by all workers, and carried over reloads by address.
#[derive(Debug)]
pub struct Places {
    outliers: Box<[Arc<Outlier>]>,
    /// Held while one is about to be left alone, so that two workers do not go beyond the share together.
    order: Mutex<()>,
}

/// The address that a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Index in the upstream's list.
    pub index: usize,
    /// It has been left alone, and this request finds out whether it can be asked again.
    pub is_probe: bool,
}

/// What is to be considered in a choice.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Whether the request may be asked elsewhere if this goes wrong, and so may probe first.
    pub is_repeatable: bool,
    /// An address that has just failed this very request.
    pub avoid: Option<usize>,
}

/// What a note about an exchange has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The address has just been left alone, for so many milliseconds.
    Ejected(u64),
    /// It is asked again.
    Returned,
}

impl Places {
    /// The places of an upstream, with what is known already of its addresses.
    pub fn new(upstream: &Upstream, mut known: impl FnMut(&Address) -> Option<Arc<Outlier>>) -> Self {
        let addresses = upstream.addresses.iter();
        Self {
            outliers: addresses
                .map(|address| known(address).unwrap_or_default())
                .collect(),
            order: Mutex::default(),
        }
    }

    /// How an address is doing.
    pub fn outlier(&self, index: usize) -> &Arc<Outlier> {
        &self.outliers[index]
    }

    /// Chooses. `None` if there is no other address in use than the one to be avoided.
    pub fn choose(
        &self,
        asking: Asking,
        settings: &Ejection,
        in_flight: impl Fn(usize) -> usize,
    ) -> Option<Place> {
        let (mut in_use, mut others) = (0u64, 0u64);
        for (index, outlier) in self.outliers.iter().enumerate() {
            if asking.avoid == Some(index) {
                continue;
            }
            others |= 1 << index;
            if !outlier.is_ejected() {
                in_use |= 1 << index;
            } else if asking.avoid.is_none() && outlier.admits_probe(now(), asking.is_repeatable, settings) {
                return Some(Place {
                    index,
                    is_probe: true,
                });
            }
        }
        let from = match (in_use, asking.avoid) {
            // Two workers with different versions of the file may have left all alone between them.
            (0, None) => others,
            _ => in_use,
        };
        let first = draw(from)?;
        let second = draw(from & !(1 << first)).unwrap_or(first);
        let index = match in_flight(second) < in_flight(first) {
            true => second,
            false => first,
        };
        Some(Place {
            index,
            is_probe: false,
        })
    }

    /// Whether another address than this one is in use.
    pub fn has_other(&self, than: usize) -> bool {
        let mut outliers = self.outliers.iter().enumerate();
        outliers.any(|(index, outlier)| index != than && !outlier.is_ejected())
    }

    /// Any address that is in use, for questions that nobody waits for.
    pub fn any(&self) -> usize {
        let in_use = self.outliers.iter().enumerate();
        let in_use = in_use.filter(|(_, outlier)| !outlier.is_ejected());
        let mask = in_use.fold(0u64, |mask, (index, _)| mask | 1 << index);
        draw(mask).unwrap_or_default()
    }

    /// Notes that an address has answered.
    pub fn succeeded(&self, place: Place) -> Change {
        match self.outliers[place.index].succeed(place.is_probe, now()) {
            true => Change::Returned,
            false => Change::None,
        }
    }

    /// Notes that an address has failed, and tells whether that is for the circuit to count, since no more addresses may be
    /// left alone.
    pub fn failed(&self, place: Place, settings: &Ejection) -> (Change, bool) {
        let outlier = &self.outliers[place.index];
        if outlier.is_ejected() {
            // Without the probe it was asked before, and answers for that only now.
            if place.is_probe {
                outlier.eject(now(), settings);
            }
            return (Change::None, false);
        }
        if !outlier.fail(settings) {
            return (Change::None, !self.has_room(settings));
        }
        let _turn = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.has_room(settings), outlier.is_ejected()) {
            (true, false) => (Change::Ejected(outlier.eject(now(), settings)), false),
            (has_room, _) => (Change::None, !has_room),
        }
    }

    /// Whether one more address may be left alone.
    fn has_room(&self, settings: &Ejection) -> bool {
        let ejected = self.outliers.iter().filter(|outlier| outlier.is_ejected());
        ejected.count() < self.most_ejected(settings)
    }

    fn most_ejected(&self, settings: &Ejection) -> usize {
        let share = usize::from(settings.max_share.threshold());
        let count = self.outliers.len();
        match share {
            0 => 0,
            _ => (count * share / 10_000).max(1).min(count - 1),
        }
    }
}

/// One of the numbers in a set, each as likely as the others.
fn draw(mut set: u64) -> Option<usize> {
    if set == 0 {
        return None;
    }
    for _ in 0..rand::random_range(0..set.count_ones()) {
        set &= set - 1;
    }
    Some(set.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests;
