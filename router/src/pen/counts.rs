//! What has become of a module's writes because of its pen, counted since the start.
//!
//! For `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a write was answered 503 although nothing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// Too many waited, or their bodies took too much room.
    Full,
    /// The pen took too long.
    TimeUp,
    /// Both attempts were refused.
    RefusedTwice,
    /// It was refused and its body was not kept.
    BodyGone,
}

/// The counts of one module.
#[derive(Debug, Default)]
pub struct Counts {
    waited: AtomicU64,
    replayed: AtomicU64,
    turned_away: [AtomicU64; TurnedAway::ALL.len()],
}

impl TurnedAway {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Full, Self::TimeUp, Self::RefusedTwice, Self::BodyGone];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::TimeUp => "time-up",
            Self::RefusedTwice => "refused-twice",
            Self::BodyGone => "body-gone",
        }
    }
}

impl Counts {
    pub(super) fn waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn replayed(&self) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn turned_away(&self, why: TurnedAway) {
        self.turned_away[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Writes that waited, and those that were sent once more.
    pub fn waited_and_replayed(&self) -> (u64, u64) {
        (
            self.waited.load(Ordering::Relaxed),
            self.replayed.load(Ordering::Relaxed),
        )
    }

    /// Writes that were answered 503, by reason.
    pub fn all_turned_away(&self) -> [(&'static str, u64); TurnedAway::ALL.len()] {
        TurnedAway::ALL.map(|why| {
            let count = self.turned_away[why as usize].load(Ordering::Relaxed);
            (why.word(), count)
        })
    }
}
