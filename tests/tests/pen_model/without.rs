//! Each guard is needed: switched off alone, a named invariant fails, in fewest steps.
//!
//! For whoever would like to simplify the protocol. The test's name says what would go wrong; with `--nocapture` it prints
//! how. The states in which the run looks are those in which the whole protocol holds.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model as _};

use crate::guards::Guards;
use crate::invariants::{EQUAL, FORWARD, KEPT, ONCE, ONE_WRITER, OWN_PASS, PARITY, WAY_ON};
use crate::model::{Bounds, Model};
use crate::{COPY, JOURNEY, POISON, RACE, REPAIR, THREADS, TWO_FOLLOWERS, TWO_WRITES};

/// Looks for a way to break the invariant, and fails if there is none.
fn breaks(invariant: &'static str, bounds: Bounds, guards: Guards) {
    let model = Model { guards, bounds };
    let enough = HasDiscoveries::AnyOf(BTreeSet::from([invariant]));
    let checker = model
        .checker()
        .threads(THREADS)
        .finish_when(enough)
        .spawn_bfs()
        .join();
    let found = checker.discovery(invariant);
    assert!(
        found.is_some(),
        "\"{invariant}\" holds without the guard: is it needed?"
    );
    eprintln!("\"{invariant}\" fails:");
    for action in found.into_iter().flat_map(stateright::Path::into_actions) {
        eprintln!("  {action:?}");
    }
}

#[test]
fn without_the_triggers_a_stale_router_makes_two_writers() {
    breaks(
        ONE_WRITER,
        JOURNEY,
        Guards {
            writes_need_the_pen: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_lock_on_the_pen_a_transaction_commits_after_the_fence() {
    breaks(
        ONE_WRITER,
        RACE,
        Guards {
            fence_waits_for_writers: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_its_epoch_a_late_fence_stops_the_writes_again() {
    breaks(
        OWN_PASS,
        RACE,
        Guards {
            fence_names_the_epoch: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_fence_a_grant_after_an_abort_loses_a_write() {
    breaks(
        KEPT,
        RACE,
        Guards {
            grant_needs_the_fence: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_its_pass_a_late_grant_ends_another_pass() {
    breaks(
        OWN_PASS,
        RACE,
        Guards {
            grant_names_the_pass: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_proof_a_pen_is_granted_to_a_side_that_can_never_take_it() {
    breaks(
        WAY_ON,
        POISON,
        Guards {
            grant_needs_proof: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_fence_an_abort_takes_back_what_was_granted() {
    breaks(
        ONE_WRITER,
        RACE,
        Guards {
            abort_needs_the_fence: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_its_pass_a_late_abort_ends_another_pass() {
    breaks(
        OWN_PASS,
        RACE,
        Guards {
            abort_names_the_pass: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_skipped_epoch_parity_names_the_wrong_holder() {
    breaks(
        PARITY,
        RACE,
        Guards {
            abort_skips_an_epoch: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_grant_a_pen_is_accepted_that_is_then_taken_back() {
    breaks(
        ONE_WRITER,
        RACE,
        Guards {
            accept_needs_the_grant: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_comparing_epochs_an_old_grant_is_accepted_again() {
    breaks(
        ONE_WRITER,
        RACE,
        Guards {
            accept_needs_a_newer_epoch: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_looking_at_its_cursor_a_side_that_began_to_copy_anew_takes_the_pen() {
    breaks(
        KEPT,
        COPY,
        Guards {
            accept_needs_the_position: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_an_end_to_following_a_late_answer_undoes_the_new_holders_write() {
    breaks(
        KEPT,
        REPAIR,
        Guards {
            accept_ends_following: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_grant_a_late_turn_takes_the_pen_from_its_holder() {
    breaks(
        FORWARD,
        RACE,
        Guards {
            turn_needs_the_grant: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_place_of_the_acceptance_the_reverse_feed_begins_too_late() {
    breaks(
        EQUAL,
        RACE,
        Guards {
            turn_begins_at_the_acceptance: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_looking_at_the_pen_a_copy_overwrites_the_holder() {
    breaks(
        KEPT,
        COPY,
        Guards {
            copy_needs_a_follower: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_cursor_first_a_copy_misses_what_was_written_meanwhile() {
    breaks(
        EQUAL,
        COPY,
        Guards {
            copy_takes_the_cursor_first: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_comparing_cursors_an_old_answer_overwrites_a_new_row() {
    breaks(
        EQUAL,
        TWO_FOLLOWERS,
        Guards {
            answer_fits_the_cursor: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_one_transaction_a_crash_loses_what_the_cursor_has_passed() {
    breaks(
        EQUAL,
        RACE,
        Guards {
            cursor_moves_with_the_rows: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_snapshots_a_late_commit_is_skipped() {
    breaks(
        EQUAL,
        TWO_WRITES,
        Guards {
            cursor_is_a_snapshot: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_the_first_answers_a_repeated_write_is_done_on_both_sides() {
    breaks(
        ONCE,
        JOURNEY,
        Guards {
            first_answers_travel: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_a_refusal_a_replay_does_the_write_twice() {
    breaks(
        ONCE,
        TWO_WRITES,
        Guards {
            replay_needs_a_refusal: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn without_its_epoch_an_answer_from_before_a_pass_there_and_back_undoes_a_write() {
    breaks(
        EQUAL,
        REPAIR,
        Guards {
            answer_fits_the_epoch: false,
            ..Guards::ALL
        },
    );
}
