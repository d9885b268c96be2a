//! What a router learns, in every order in which it can hear of it.

use std::sync::Arc;
use std::time::Duration;

use handover::wire::{State, Status};
use serde_json::json;

use super::Pen;
use super::learn::Refusal;
use super::queue::Denied;
use crate::config::{Handover, Owner};

const LONG: Duration = Duration::from_secs(10);

fn settings() -> Handover {
    Handover {
        monolith: String::new(),
        service: String::new(),
        token_file: "token".into(),
        hold: Duration::from_secs(2),
        hold_requests: 3,
        hold_bytes: 1 << 20,
        replay_bytes: 1 << 10,
    }
}

fn pen() -> Arc<Pen> {
    Arc::new(Pen::new("catalog", &settings()))
}

/// What a side says whose row is this one.
fn status(side: &str, holder: &str, epoch: u64, state: &str) -> Option<Status> {
    let nil = "00000000-0000-0000-0000-000000000000";
    let now = "2026-11-25T06:17:51.000000Z";
    let status = json!({
        "protocol": 1, "module": "catalog", "side": side, "peer": "other",
        "pen": { "module": "catalog", "side": side, "holder": holder, "epoch": epoch, "state": state, "pass": null,
            "position": null, "feed": nil, "feed_start": null, "expires_at": null, "since": now, "sequences": null },
        "feed": { "id": nil, "head": "1-0", "followers": [] }, "follow": null,
        "ready": { "take": true, "missing": [] }, "tables": [], "now": now,
    });
    Some(serde_json::from_value(status).unwrap())
}

fn refusal(by: Owner, holder: Owner, epoch: u64, state: State) -> Refusal {
    Refusal {
        by,
        holder,
        epoch,
        state,
    }
}

/// The monolith is known to hold the pen, in an epoch.
fn held_by_monolith(epoch: u64) -> Arc<Pen> {
    let pen = pen();
    pen.note(Owner::Monolith, status("monolith", "monolith", epoch, "held"), 0);
    pen
}

#[test]
fn the_holder_is_the_one_of_the_highest_epoch_and_never_goes_back() {
    let pen = held_by_monolith(3);
    let old = pen.note(Owner::Service, status("catalog", "catalog", 2, "held"), 0);
    assert_eq!((pen.holder(), pen.epoch(), old), (Some(Owner::Monolith), 3, None));
    let moved = pen.note(Owner::Service, status("catalog", "catalog", 4, "held"), 0);
    assert_eq!(
        (pen.holder(), moved),
        (Some(Owner::Service), Some(Owner::Service))
    );
    // Told once.
    let again = pen.note(Owner::Service, status("catalog", "catalog", 4, "held"), 0);
    assert_eq!(again, None);
    pen.note_refusal(refusal(Owner::Service, Owner::Monolith, 1, State::Held));
    pen.note(
        Owner::Monolith,
        status("monolith", "monolith", 3, "held"),
        pen.refusals(),
    );
    assert_eq!((pen.holder(), pen.epoch()), (Some(Owner::Service), 4));
}

#[test]
fn a_holder_that_was_learned_from_a_refusal_is_told_with_the_next_look() {
    let pen = held_by_monolith(1);
    pen.note_refusal(refusal(Owner::Monolith, Owner::Service, 2, State::Held));
    assert_eq!((pen.holder(), pen.is_held()), (Some(Owner::Service), false));
    let told = pen.note(Owner::Monolith, None, 0);
    assert_eq!(told, Some(Owner::Service));
}

#[test]
fn a_look_that_began_before_a_refusal_does_not_undo_it() {
    let pen = held_by_monolith(1);
    let before = pen.refusals();
    pen.note_refusal(refusal(Owner::Monolith, Owner::Monolith, 1, State::Fenced));
    assert!(pen.is_held());
    let seen = status("monolith", "monolith", 1, "held");
    pen.note(Owner::Monolith, seen.clone(), before);
    assert!(
        pen.is_held(),
        "what was so before the fence lets nobody write after it"
    );
    // The fence has been taken back without a trace: writers did not end in time.
    pen.note(Owner::Monolith, seen, pen.refusals());
    assert!(!pen.is_held());
}

#[test]
fn a_later_epoch_is_news_whenever_it_was_asked_for() {
    let pen = held_by_monolith(1);
    let before = pen.refusals();
    pen.note_refusal(refusal(Owner::Monolith, Owner::Service, 2, State::Granted));
    pen.note(Owner::Service, status("catalog", "monolith", 1, "held"), before);
    assert!(pen.is_held(), "the service has not accepted yet");
    pen.note(Owner::Monolith, status("monolith", "monolith", 3, "held"), before);
    assert!(!pen.is_held());
}

#[test]
fn a_refusal_that_is_older_than_what_is_known_lets_nobody_wait() {
    let pen = held_by_monolith(1);
    pen.note(Owner::Service, status("catalog", "catalog", 2, "held"), 0);
    // It was sent before the fence, and its answer came after all was over.
    pen.note_refusal(refusal(Owner::Monolith, Owner::Monolith, 1, State::Fenced));
    assert!(!pen.is_held());
    // The holder itself does not know: it has not accepted, or was put back from a backup.
    pen.note_refusal(refusal(Owner::Service, Owner::Monolith, 1, State::Held));
    assert!(pen.is_held());
}

#[test]
fn a_refusal_with_an_epoch_that_is_none_changes_nothing() {
    let pen = held_by_monolith(1);
    pen.note_refusal(refusal(Owner::Monolith, Owner::Service, u64::MAX, State::Held));
    pen.note(Owner::Service, status("catalog", "catalog", 1 << 53, "held"), 0);
    assert_eq!((pen.holder(), pen.epoch()), (Some(Owner::Monolith), 1));
}

#[test]
fn a_hold_ends_with_the_next_epoch_and_not_with_the_same() {
    let pen = held_by_monolith(1);
    pen.hold_writes(LONG);
    pen.note(Owner::Monolith, status("monolith", "monolith", 1, "held"), 0);
    assert!(pen.is_held(), "the coordinator has not come to the fence yet");
    pen.note(Owner::Service, status("catalog", "catalog", 2, "held"), 0);
    assert!(!pen.is_held());
}

#[test]
fn an_operator_cannot_let_writes_go_on_that_the_sides_would_refuse() {
    let pen = held_by_monolith(1);
    pen.hold_writes(LONG);
    pen.note(Owner::Monolith, status("monolith", "monolith", 1, "fenced"), 0);
    pen.release_writes();
    assert!(pen.is_held());
}

#[tokio::test]
async fn what_no_side_confirms_ends_by_itself() {
    let pen = Arc::new(Pen::new(
        "catalog",
        &Handover {
            hold: Duration::from_millis(50),
            ..settings()
        },
    ));
    pen.note(Owner::Monolith, status("monolith", "monolith", 1, "held"), 0);
    pen.note_refusal(refusal(Owner::Monolith, Owner::Monolith, 1, State::Fenced));
    // Nobody looks, and nobody keeps the time: the place falls back on its own.
    tokio::time::timeout(LONG, pen.until_free(LONG))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn writes_go_on_in_the_order_in_which_they_came() {
    let pen = held_by_monolith(1);
    pen.hold_writes(LONG);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..3 {
        let (waiter, order) = (Arc::clone(&pen), Arc::clone(&order));
        waiting.spawn(async move {
            waiter.until_free(LONG).await.unwrap();
            order.lock().unwrap().push(number);
        });
        tokio::task::yield_now().await;
        // Some are called in vain before.
        pen.note(Owner::Monolith, status("monolith", "monolith", 1, "held"), 0);
        tokio::task::yield_now().await;
    }
    assert_eq!(pen.waiting(), 3);
    assert_eq!(pen.until_free(LONG).await, Err(Denied::Full));
    pen.release_writes();
    waiting.join_all().await;
    assert_eq!((order.lock().unwrap().clone(), pen.waiting()), (vec![0, 1, 2], 0));
}

#[tokio::test]
async fn whoever_keeps_time_lets_writes_go_on_when_a_hold_is_over() {
    let pen = held_by_monolith(1);
    pen.hold_writes(Duration::from_millis(20));
    let keeper = Arc::clone(&pen);
    let keeper = tokio::spawn(async move { keeper.keep_time().await });
    tokio::time::timeout(LONG, pen.until_free(LONG))
        .await
        .unwrap()
        .unwrap();
    keeper.abort();
}

#[tokio::test]
async fn the_file_has_its_say_only_after_both_sides_have_been_asked() {
    let pen = pen();
    let waits = Arc::clone(&pen);
    let waits = tokio::spawn(async move { waits.until_known().await });
    tokio::task::yield_now().await;
    pen.note(Owner::Monolith, None, 0);
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    pen.note(Owner::Service, None, 0);
    tokio::time::timeout(LONG, waits).await.unwrap().unwrap();
    // From then on nobody waits for that.
    tokio::time::timeout(LONG, pen.until_known()).await.unwrap();
    assert_eq!(pen.holder(), None);
}
