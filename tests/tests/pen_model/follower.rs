//! Copying and following: questions, answers on their way, and what is made of them.
//!
//! For whoever writes the follower. An answer can be late; two copies of a follower may run by mistake, which is why two
//! answers can be on their way at once. [`apply`] is one transaction.

use crate::guards::Guards;
use crate::state::{Answer, Follow, Name, Numbers, PenState, Phase, ROWS, Row, State};

/// Begins to copy, or begins anew. A follower may throw its rows away first, so this one does.
pub fn copy(state: &State, guards: &Guards, name: Name) -> Option<State> {
    let pen = state.side(name).pen;
    let follower = pen.holder == name.peer() && pen.state == PenState::Held;
    if guards.copy_needs_a_follower && !follower {
        return None;
    }
    let mut next = state.clone();
    let head = state.side(name.peer()).head();
    let cursor = if guards.copy_takes_the_cursor_first {
        seen(head, guards)
    } else {
        0
    };
    next.side_mut(name).rows = Default::default();
    next.side_mut(name).follow = Some(Follow {
        epoch: pen.epoch,
        cursor,
        phase: Phase::Copying(0),
    });
    (next != *state).then_some(next)
}

/// Reads the next chunk at the source.
pub fn copy_chunk(state: &State, guards: &Guards, name: Name) -> Option<Answer> {
    let asked = state.side(name).follow?;
    let Phase::Copying(index) = asked.phase else {
        return None;
    };
    let source = state.side(name.peer());
    let mut rows = [None; ROWS];
    rows[usize::from(index)] = Some(source.rows[usize::from(index)]);
    Some(Answer {
        to: name,
        asked,
        rows,
        head: seen(source.head(), guards),
        chunk: true,
    })
}

/// Reads one row again at the source, whatever the feed says.
pub fn repair(state: &State, name: Name, row: usize) -> Option<Answer> {
    let asked = state.side(name).follow?;
    let source = state.side(name.peer());
    let mut rows = [None; ROWS];
    rows[row] = Some(source.rows[row]);
    let following = asked.phase == Phase::Following;
    following.then_some(Answer {
        to: name,
        asked,
        rows,
        head: source.head(),
        chunk: true,
    })
}

/// Reads what has changed at the source: which rows, and how they are now.
pub fn changes(state: &State, guards: &Guards, name: Name) -> Option<Answer> {
    let asked = state.side(name).follow?;
    let source = state.side(name.peer());
    let seen = seen(asked.cursor, guards);
    let mut rows = [None; ROWS];
    for (row, numbers) in source.outbox.iter().enumerate() {
        rows[row] = (numbers & !seen != 0).then_some(source.rows[row]);
    }
    let news = rows.iter().any(Option::is_some) || asked.phase == Phase::CatchingUp;
    news.then_some(Answer {
        to: name,
        asked,
        rows,
        head: self::seen(source.head(), guards),
        chunk: false,
    })
}

/// What a cursor stands for: the numbers that it has seen or, as the naive outbox has it, everything up to the greatest.
fn seen(cursor: Numbers, guards: &Guards) -> Numbers {
    if guards.cursor_is_a_snapshot {
        return cursor;
    }
    Numbers::MAX
        .checked_shr(cursor.leading_zeros())
        .unwrap_or_default()
}

/// Writes an answer's rows and moves the cursor. `torn`: the process dies between the two, if they are two.
pub fn apply(
    state: &State,
    guards: &Guards,
    answer: Answer,
    poison: Option<usize>,
    torn: bool,
) -> Option<State> {
    let follow = state.side(answer.to).follow?;
    if !fits(follow, answer.asked, guards) || (torn && guards.cursor_moves_with_the_rows) {
        return None;
    }
    let mut next = state.clone();
    let side = next.side_mut(answer.to);
    for (row, value) in answer.rows.iter().enumerate() {
        let Some(value) = value else { continue };
        if poison.is_some_and(|write| answer.to == Name::Service && value.times[write] > 0) {
            return None;
        }
        if !torn {
            let answered = if guards.first_answers_travel {
                value.answered
            } else {
                side.rows[row].answered
            };
            side.rows[row] = Row { answered, ..*value };
        }
    }
    side.follow = Some(moved(follow, &answer, guards));
    Some(next)
}

/// Whether the follower's row is the one from before the question.
fn fits(follow: Follow, asked: Follow, guards: &Guards) -> bool {
    let epoch = follow.epoch == asked.epoch;
    let cursor = follow.cursor == asked.cursor && follow.phase == asked.phase;
    (epoch || !guards.answer_fits_the_epoch) && (cursor || !guards.answer_fits_the_cursor)
}

fn moved(follow: Follow, answer: &Answer, guards: &Guards) -> Follow {
    let phase = match follow.phase {
        Phase::Copying(index) if answer.chunk && usize::from(index) + 1 < ROWS => Phase::Copying(index + 1),
        Phase::Copying(_) if answer.chunk => Phase::CatchingUp,
        Phase::CatchingUp if !answer.chunk => Phase::Following,
        phase => phase,
    };
    // Without its guard the copy asks for the feed's end when it is through.
    let late = !guards.copy_takes_the_cursor_first && phase == Phase::CatchingUp;
    let cursor = if answer.chunk && !late {
        follow.cursor
    } else {
        answer.head
    };
    Follow {
        cursor,
        phase,
        ..follow
    }
}
