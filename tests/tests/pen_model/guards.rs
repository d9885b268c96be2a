//! The rules of the protocol, each of which can be switched off.
//!
//! For the tests: with all of them the invariants hold, without any single one they do not. So none is decoration, and
//! whoever wants to drop one finds here what it is for. Page: `docs/src/reference/hand-over-protocol.md`.

/// What the two sides look at before they act. `true` is the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// A side that has not the pen refuses writes. (The triggers.)
    pub writes_need_the_pen: bool,
    /// A fence waits for the transactions that have passed the trigger. (The lock on the pen.)
    pub fence_waits_for_writers: bool,
    /// A fence is for one epoch.
    pub fence_names_the_epoch: bool,
    /// Only a fenced pen is granted.
    pub grant_needs_the_fence: bool,
    /// A grant is for the pass that fenced.
    pub grant_names_the_pass: bool,
    /// A grant brings the follower's word that it has reached the fence's position.
    pub grant_needs_proof: bool,
    /// Only a fenced pen is taken back.
    pub abort_needs_the_fence: bool,
    /// An abort is for the pass that fenced.
    pub abort_names_the_pass: bool,
    /// An abort counts the epoch up by two, so that its parity goes on naming the holder.
    pub abort_skips_an_epoch: bool,
    /// A pen is accepted only on a grant, not on the expectation of one.
    pub accept_needs_the_grant: bool,
    /// A grant is accepted only if it is newer than what this side knows.
    pub accept_needs_a_newer_epoch: bool,
    /// A pen is accepted only by a side whose own cursor has reached the position.
    pub accept_needs_the_position: bool,
    /// Whoever accepts stops following in the same transaction.
    pub accept_ends_following: bool,
    /// Only the side that granted turns round, and only for that grant.
    pub turn_needs_the_grant: bool,
    /// The reverse feed begins where the new holder stood when it accepted, not where it stands now.
    pub turn_begins_at_the_acceptance: bool,
    /// A side never copies over its rows while it holds the pen, or has granted it and nobody has accepted yet.
    pub copy_needs_a_follower: bool,
    /// A copy takes the feed's cursor before it reads the first row.
    pub copy_takes_the_cursor_first: bool,
    /// An answer is applied only if nothing was applied since its question.
    pub answer_fits_the_cursor: bool,
    /// An answer is applied only in the epoch in which it was asked for.
    pub answer_fits_the_epoch: bool,
    /// Rows and cursor are written in one transaction.
    pub cursor_moves_with_the_rows: bool,
    /// The cursor is the set of transactions that were seen, not the greatest number.
    pub cursor_is_a_snapshot: bool,
    /// Idempotency records travel with the rows.
    pub first_answers_travel: bool,
    /// The router sends a write again only if it was refused.
    pub replay_needs_a_refusal: bool,
}

impl Guards {
    /// The protocol as it is written down.
    pub const ALL: Self = Self {
        writes_need_the_pen: true,
        fence_waits_for_writers: true,
        fence_names_the_epoch: true,
        grant_needs_the_fence: true,
        grant_names_the_pass: true,
        grant_needs_proof: true,
        abort_needs_the_fence: true,
        abort_names_the_pass: true,
        abort_skips_an_epoch: true,
        accept_needs_the_grant: true,
        accept_needs_a_newer_epoch: true,
        accept_needs_the_position: true,
        accept_ends_following: true,
        turn_needs_the_grant: true,
        turn_begins_at_the_acceptance: true,
        copy_needs_a_follower: true,
        copy_takes_the_cursor_first: true,
        answer_fits_the_cursor: true,
        answer_fits_the_epoch: true,
        cursor_moves_with_the_rows: true,
        cursor_is_a_snapshot: true,
        first_answers_travel: true,
        replay_needs_a_refusal: true,
    };
}
